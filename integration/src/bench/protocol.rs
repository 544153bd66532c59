//! What a run says to an engine's process and what that answers: a JSON object a line, through standard input and output.
//!
//! First comes a [`Setup`], answered when the engine can take queries; then [`Ask`]s, each answered by one [`Reply`]. The end
//! of standard input is the end of the engine.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What an engine is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// `hearth`, `datafusion`, or a peer's name.
    pub(crate) engine: String,
    /// The Parquet files, one a table, named as the tables are.
    pub(crate) tables: Vec<PathBuf>,
    /// How many cores it may use. A distributed engine other than Hearth makes so many workers of one core each.
    pub(crate) cores: u32,
    /// Memory of one executor.
    pub(crate) executor_memory_mib: u64,
    /// Where temporary files go.
    pub(crate) scratch: PathBuf,
    /// Hearth only: its configuration.
    pub(crate) conf: Vec<(String, String)>,
}

/// A query to be run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// Its text.
    pub(crate) sql: String,
    /// Where its rows are written, after the clock was stopped: CSV with a typed header, as `hearth_integration::compare` reads.
    pub(crate) out: PathBuf,
    /// Whether [`Reply::detail`] is wanted.
    pub(crate) detail: bool,
}

/// What an engine answers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reply {
    /// Why it failed; nothing else counts then.
    pub(crate) error: Option<String>,
    /// After the setup: what it is.
    pub(crate) version: String,
    /// From the query's text to all of its rows in memory.
    pub(crate) seconds: f64,
    /// Where the time went, for people.
    pub(crate) detail: Option<String>,
}
