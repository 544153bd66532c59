//! Why a program's wish was not granted.

use hearth_core::{Resources, conf::ConfError};
use std::io;

/// Why a program's wish was not granted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key or a value of the configuration.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// The worker of a local mode.
    #[error("local mode cannot start: {0} (in local mode the directory is below spark.local.dir)")]
    Worker(#[from] hearth_worker::shell::WorkerError),
    /// The master of a local mode.
    #[error(transparent)]
    Master(#[from] hearth_master::shell::Error),
    /// The driver could not start.
    #[error(transparent)]
    Driver(#[from] hearth_driver::shell::Error),
    /// The query.
    #[error(transparent)]
    Query(#[from] hearth_driver::api::QueryError),
    /// An executor that no worker of a local mode can hold.
    #[error(
        "an executor of {asked} does not fit into this local mode's worker of {worker}; ask for less with --executor-cores or --executor-memory"
    )]
    NeverFits {
        /// What one executor is to have.
        asked: Resources,
        /// What a worker has.
        worker: Resources,
    },
    /// The worker of a local mode ended before it was of use.
    #[error("the worker of this local mode gave up with code {0}; its log, above, says why")]
    NoWorker(i32),
    /// A temporary directory.
    #[error("cannot make a temporary directory in {dir} ({source}); set spark.local.dir to one that can be written")]
    Scratch {
        /// Where.
        dir: String,
        /// Why.
        source: io::Error,
    },
    /// This program's own file, which local-cluster starts its children from.
    #[error("this program's own path is not known: {0}")]
    Program(io::Error),
}

impl Error {
    /// Whether no query of this application can succeed any more, so that only another application helps.
    pub const fn ends_application(&self) -> bool {
        use hearth_driver::{api::QueryError, machine::JobFailure};
        matches!(
            self,
            Self::Driver(_)
                | Self::Query(QueryError::Driver(_))
                | Self::Query(QueryError::Job(
                    JobFailure::Forgotten { .. }
                        | JobFailure::Refused { .. }
                        | JobFailure::MasterUnreachable { .. }
                        | JobFailure::Ended { .. }
                ))
        )
    }
}
