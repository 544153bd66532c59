//! What can go wrong with files. Each error names the path.

use hearth_core::messages::task::TaskFailure;
use std::{io, path::PathBuf};

/// A file could not be written; nothing half-written stays.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct WriteError {
    /// Which file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl From<WriteError> for TaskFailure {
    fn from(e: WriteError) -> Self {
        Self::Disk { path: e.path.display().to_string(), message: e.source.to_string() }
    }
}

/// A block could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It was never committed here, or it was removed.
    #[error("{}: {detail}", path.display())]
    NotFound {
        /// The file that should be there.
        path: PathBuf,
        /// What is missing.
        detail: String,
    },
    /// The file is not what was committed.
    #[error("{} is corrupt: {detail}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The system could not read it.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ReadError {
    pub(super) fn from_io(path: &std::path::Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path, detail: "no such file".into() },
            // A file that shrinks while it is read.
            io::ErrorKind::UnexpectedEof => Self::Corrupt { path, detail: "it ends too early".into() },
            _ => Self::Io { path, source },
        }
    }
}
