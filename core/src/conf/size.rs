//! Sizes as Spark writes them: `512m`, `2g`, `1048576b`.

use super::quantity;
use std::fmt;

/// What a plain number is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Byte,
    /// 1024 bytes.
    KiB,
    /// 1024 KiB.
    MiB,
}

impl Unit {
    const fn bytes(self) -> u64 {
        match self {
            Self::Byte => 1,
            Self::KiB => 1 << 10,
            Self::MiB => 1 << 20,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Byte => "bytes",
            Self::KiB => "KiB",
            Self::MiB => "MiB",
        })
    }
}

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a size: {problem}; write 512m or 2g (k, m, g, t and p are powers of 1024, a plain number is {unit})"
)]
pub struct BadSize {
    text: String,
    problem: &'static str,
    unit: Unit,
}

/// The largest size, 1 PiB: nothing here is larger, and thousands of them still add up in 64 bits.
pub const MAX: u64 = 1 << 50;

/// The number of bytes in a text; a plain number is a number of `unit`.
///
/// Units are `b`, `k`, `m`, `g`, `t` and `p`, also as `kb` or `kib`, in either case, and always powers of 1024. There are
/// no fractions, as in Spark: `1536m`, not `1.5g`.
pub fn parse(text: &str, unit: Unit) -> Result<u64, BadSize> {
    let bad = |problem| BadSize { text: text.chars().take(100).collect(), problem, unit };
    let (number, suffix) = quantity::split(text, "a size has no fraction").map_err(bad)?;
    let factor = match suffix.as_str() {
        "" => unit.bytes(),
        "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        "p" | "pb" | "pib" => 1 << 50,
        _ => return Err(bad("its unit is not known")),
    };
    number.checked_mul(factor).filter(|&bytes| bytes <= MAX).ok_or_else(|| bad("it is above 1 PiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_spark_reads_them() {
        let table = [
            ("0", 0),
            ("512", 512 << 20),
            ("512m", 512 << 20),
            ("512M", 512 << 20),
            ("512mb", 512 << 20),
            ("512MiB", 512 << 20),
            (" 2 g ", 2 << 30),
            ("1b", 1),
            ("3k", 3 << 10),
            ("1t", 1 << 40),
            ("1p", 1 << 50),
        ];
        for (text, bytes) in table {
            assert_eq!(parse(text, Unit::MiB), Ok(bytes), "{text}");
        }
        assert_eq!(parse("7", Unit::Byte), Ok(7));
        assert_eq!(parse("7", Unit::KiB), Ok(7 << 10));
    }

    #[test]
    fn what_is_not_a_size_is_refused_with_the_reason() {
        let table = [
            ("", "does not begin with a digit"),
            ("g", "does not begin with a digit"),
            ("-1", "does not begin with a digit"),
            ("+1", "does not begin with a digit"),
            ("1.5g", "has no fraction"),
            ("1x", "unit is not known"),
            ("1mm", "unit is not known"),
            ("1 g b", "unit is not known"),
            ("１m", "does not begin with a digit"),
            ("2p", "above 1 PiB"),
            ("99999999999999999999", "above 1 PiB"),
            ("18446744073709551615k", "above 1 PiB"),
        ];
        for (text, problem) in table {
            let error = parse(text, Unit::MiB).expect_err(text).to_string();
            assert!(error.contains(problem) && error.contains("write 512m or 2g"), "{error}");
        }
    }
}
