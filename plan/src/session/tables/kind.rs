//! Formats of files, by what their names end with.

use crate::format::Format;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use std::str::FromStr;

/// The formats that files can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Parquet,
    Csv,
    /// CSV with tabs.
    Tsv,
    Json,
    Avro,
    Arrow,
}

/// For messages.
pub(super) const EXTENSIONS: &str = ".parquet, .csv, .tsv, .json, .ndjson, .jsonl, .avro or .arrow (.csv, .tsv and JSON also \
                                     with .gz, .bz2, .xz or .zst)";

impl Kind {
    /// The endings are those that results are written by, and Avro's, which is read only.
    fn of_extension(extension: &str) -> Option<Self> {
        Some(match Format::of_extension(extension) {
            Some(Format::Parquet) => Self::Parquet,
            Some(Format::Csv) => Self::Csv,
            Some(Format::Tsv) => Self::Tsv,
            Some(Format::Json | Format::Ndjson) => Self::Json,
            Some(Format::Arrow | Format::ArrowStream) => Self::Arrow,
            // For people.
            Some(Format::Table | Format::Markdown | Format::Vertical) => return None,
            None if extension == "avro" => Self::Avro,
            None => return None,
        })
    }

    /// Of `STORED AS`.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::of_extension(&word.to_ascii_lowercase())
    }

    /// The name of the factory of formats.
    pub(super) const fn factory(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv | Self::Tsv => "csv",
            Self::Json => "json",
            Self::Avro => "avro",
            Self::Arrow => "arrow",
        }
    }

    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Parquet => "expected a Parquet file, which begins and ends with \"PAR1\"",
            Self::Csv => "expected CSV with a header line",
            Self::Tsv => "expected tab-separated values with a header line",
            Self::Json => "expected JSON, one object a line",
            Self::Avro => "expected an Avro file, which begins with \"Obj\"",
            Self::Arrow => "expected an Arrow IPC file, which begins with \"ARROW1\", or an Arrow IPC stream",
        }
    }

    /// Whether a file may be compressed as a whole.
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv | Self::Json)
    }
}

/// What a file's name says about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) kind: Kind,
    /// The ending that says how it is compressed, if it is.
    pub(super) compression: Option<String>,
    /// All of what the name ends with, such as `.csv.gz`.
    pub(super) ending: String,
}

impl Named {
    /// Of a file's name, or a path.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (stem, last) = name.rsplit_once('.')?;
        if let Some(kind) = Kind::of_extension(last) {
            return Some(Self { kind, compression: None, ending: format!(".{last}") });
        }
        if !FileCompressionType::from_str(last).is_ok_and(|c| c.is_compressed()) {
            return None;
        }
        let (_, format) = stem.rsplit_once('.')?;
        let kind = Kind::of_extension(format).filter(|kind| kind.is_text())?;
        Some(Self { kind, compression: Some(last.to_owned()), ending: format!(".{format}.{last}") })
    }
}

/// Whether a file or folder of this name is nobody's data: markers, checksums, what is being written.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name.starts_with('_') && !name.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_format_and_compression() {
        let of = |name| Named::of(name).map(|n| (n.kind, n.compression, n.ending));
        assert_eq!(of("a.b.parquet"), Some((Kind::Parquet, None, ".parquet".into())));
        assert_eq!(of("x.pq"), Some((Kind::Parquet, None, ".pq".into())));
        assert_eq!(of("x.tab.gz"), Some((Kind::Tsv, Some("gz".into()), ".tab.gz".into())));
        assert_eq!(of("x.csv.gz"), Some((Kind::Csv, Some("gz".into()), ".csv.gz".into())));
        assert_eq!(of("x.jsonl.zst"), Some((Kind::Json, Some("zst".into()), ".jsonl.zst".into())));
        for name in ["parquet", "x.txt", "x.md", "x.gz", "x.parquet.gz", "README"] {
            assert_eq!(of(name), None, "{name}");
        }
        assert!(is_hidden("_SUCCESS") && is_hidden(".x.csv.crc") && !is_hidden("_k=1") && !is_hidden("a_b"));
    }
}
