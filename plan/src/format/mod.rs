//! Rows for people and programs: what `--format` and `.format` choose from.
//!
//! Every format streams: memory does not grow with the number of rows. `table` looks at the first rows for its widths
//! (`table.rs`), `parquet` holds one row group. What `EXPLAIN` gives is text of many lines, which `table` prints as such.
//!
//! | | missing values | control characters | two columns of one name |
//! |---|---|---|---|
//! | table, vertical, markdown | `NULL` | shown escaped | as they are |
//! | csv, tsv | an empty field; an empty text is `""`, and so is a missing value that is alone on its line | as they are, quoted | as they are |
//! | json, ndjson | `null` | JSON's escapes | the second is `name_2`, as members of an object must differ |
//! | arrow, arrow-stream, parquet | missing | as they are | the second is `name_2`, as readers find columns by name |

mod cells;
mod columns;
mod delimited;
mod explain;
mod markdown;
mod table;
#[cfg(test)]
mod tests;
mod vertical;
mod writer;

pub use writer::Writer;

use std::{fmt, path::Path, str::FromStr};

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Columns with a frame, for people.
    #[default]
    Table,
    /// Comma-separated, with a header line (RFC 4180).
    Csv,
    /// The same with tabs.
    Tsv,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// A table of Markdown.
    Markdown,
    /// One line a value, for rows that are wider than the screen.
    Vertical,
    /// An Arrow IPC file.
    Arrow,
    /// An Arrow IPC stream.
    ArrowStream,
    /// A Parquet file.
    Parquet,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Table,
        Self::Csv,
        Self::Tsv,
        Self::Json,
        Self::Ndjson,
        Self::Markdown,
        Self::Vertical,
        Self::Arrow,
        Self::ArrowStream,
        Self::Parquet,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Markdown => "markdown",
            Self::Vertical => "vertical",
            Self::Arrow => "arrow",
            Self::ArrowStream => "arrow-stream",
            Self::Parquet => "parquet",
        }
    }

    /// The format that a file of this name is expected to have; none when its extension says nothing.
    pub fn of_file(path: &Path) -> Option<Self> {
        Self::of_extension(&path.extension()?.to_str()?.to_ascii_lowercase())
    }

    /// The format of files whose names end with `.` and this, in small letters; of tables that are read too.
    pub(crate) fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "json" => Self::Json,
            "ndjson" | "jsonl" => Self::Ndjson,
            "md" | "markdown" => Self::Markdown,
            "txt" => Self::Table,
            "arrow" | "feather" | "ipc" => Self::Arrow,
            "arrows" => Self::ArrowStream,
            "parquet" | "pq" => Self::Parquet,
            _ => return None,
        })
    }

    /// Whether it is for programs only: such bytes are nothing for a terminal, and one file has room for one result.
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::ArrowStream | Self::Parquet)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let (last, others) = names.split_last().unwrap_or((&"", &[]));
            format!("unknown format {text:?}: expected {} or {last}", others.join(", "))
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
