//! Why a write was not begun, or not committed.

use crate::store::StoreError;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a write was not begun, or not committed. Nothing of it is visible then.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is something already.
    #[error("{place}: {what}")]
    Exists {
        /// Where.
        place: String,
        /// What is there, and what to do.
        what: &'static str,
    },
    /// The system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An object store refused, or was not there.
    #[error("cannot {what} {source}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// With what, and what was wrong.
        source: StoreError,
    },
    /// It would have written more files than a driver can list.
    #[error(
        "it writes more than {} files; partition by fewer columns, or by columns with fewer values",
        super::MAX_WRITE_FILES
    )]
    TooManyFiles,
    /// A task gave something else than a manifest.
    #[error("a task's account of what it wrote cannot be read: {0}; please report this with the statement")]
    Malformed(String),
    /// The write was done, and its table is not there.
    #[error("the rows are in {place}, but the table cannot be made: {message}")]
    Table {
        /// Where the rows are.
        place: String,
        /// Why there is no table.
        message: String,
    },
    /// The thread that did it panicked.
    #[error("internal error: {0}; please report this with the statement")]
    Internal(String),
}

impl WriteError {
    /// For `map_err`.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}
