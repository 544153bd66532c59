//! Why a worker cannot start.

use hearth_core::{BadId, Resources};
use std::{io, path::PathBuf};

/// Why a worker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It would serve others than this machine.
    #[error(
        "cannot listen on {host:?}: nothing is authenticated yet, so a worker listens on loopback only; give 127.0.0.1, \
         ::1 or localhost as --host"
    )]
    NotLoopback {
        /// What was asked for.
        host: String,
    },
    /// It has nothing to offer.
    #[error("a worker needs at least 1 core and 1 MiB, not {0}; see --cores and --memory")]
    NoResources(Resources),
    /// Its directory cannot be used.
    #[error("the work directory {path:?} cannot be used: {source}; choose another with --work-dir")]
    WorkDir {
        /// The directory, or the file in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another worker has its directory.
    #[error(
        "the work directory {path:?} is in use by another worker; stop that one, or choose another with --work-dir"
    )]
    WorkDirTaken {
        /// The directory.
        path: PathBuf,
    },
    /// The id in its directory is none.
    #[error("{path:?} should hold this worker's id: {source}; remove the file, and the worker takes a new id")]
    WorkerId {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BadId,
    },
}
