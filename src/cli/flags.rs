//! What several commands' flags share.

use super::Failure;
use comfy_table::{Table, presets};
use hearth_core::{
    conf::{
        master_url::MasterUrl,
        size::{self, Unit},
    },
    messages::worker::Address,
};

/// Where a master listens unless told otherwise.
pub(crate) const DEFAULT_MASTER: &str = "hearth://127.0.0.1:7077";

/// A master URL.
pub(crate) fn master_url(text: &str) -> Result<MasterUrl, String> {
    text.parse().map_err(|e| format!("{e}"))
}

/// The addresses of a cluster's masters, as `flag` gives them.
pub(crate) fn cluster(flag: &str, url: &MasterUrl) -> Result<Vec<Address>, Failure> {
    match url {
        MasterUrl::Cluster(addresses) => Ok(addresses.clone()),
        other => {
            let text =
                format!("{flag}: {other} is a local mode, which has no master to reach; give hearth://HOST:PORT");
            Err(Failure::usage(text))
        }
    }
}

/// Memory, in MiB.
pub(crate) fn memory_mib(text: &str) -> Result<u64, String> {
    let bytes = size::parse(text, Unit::MiB).map_err(|e| e.to_string())?;
    if bytes == 0 || bytes % (1 << 20) != 0 {
        return Err(format!("{text:?} is not a whole number of MiB above 0; write 512m or 2g"));
    }
    Ok(bytes >> 20)
}

/// `KEY=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err(format!("{text:?} is not KEY=VALUE")),
    }
}

/// A count of at least one.
pub(crate) fn positive(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(format!("{text:?} is not a whole number above 0")),
    }
}

/// A table for people.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(header.to_vec());
    table
}

/// Text of others, such as names, with control characters shown instead of obeyed.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_drive_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\nc"), "a\\u{1b}[31mb\\nc");
    }

    #[test]
    fn memory_is_whole_mebibytes() {
        assert_eq!(memory_mib("2g"), Ok(2048));
        assert_eq!(memory_mib("512"), Ok(512));
        assert!(memory_mib("0").is_err());
        assert!(memory_mib("1k").is_err());
        assert!(memory_mib("many").is_err());
    }

    #[test]
    fn pairs_need_a_key() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(pair("=b").is_err());
        assert!(pair("ab").is_err());
    }
}
