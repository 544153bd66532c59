//! Why a child could not be started, or is of no use.

use std::{io, path::PathBuf, time::Duration};

/// Why a child could not be started, or is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The directory it is to run in is not there.
    #[error("cannot start {program:?}: its working directory {cwd:?} is not a directory")]
    WorkingDirectory {
        /// The program.
        program: PathBuf,
        /// The directory.
        cwd: PathBuf,
    },
    /// Its log cannot be written.
    #[error("cannot start {program:?}: its log {path:?} cannot be opened: {source}")]
    Log {
        /// The program.
        program: PathBuf,
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system cannot start it.
    #[error("cannot start {program:?}: {source}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has not written its first line in time.
    #[error("{program:?} has not said that it is ready within {within:?}")]
    NotReady {
        /// The program.
        program: PathBuf,
        /// How long it was waited for.
        within: Duration,
    },
    /// Its standard output ended before its first line.
    #[error("{program:?} ended before it was ready")]
    EndedUnready {
        /// The program.
        program: PathBuf,
    },
}
