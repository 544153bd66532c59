//! Every "no" that one process says to another.

use crate::{ApplicationId, ExecutorId, WorkerId};

/// Why something was refused. One exhaustive function a shell turns it into a status of its protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The peers were built from different versions.
    #[error("version {theirs} cannot talk to version {ours}; install the same version on both sides")]
    VersionMismatch {
        /// The caller's.
        theirs: String,
        /// The refuser's.
        ours: String,
    },
    /// A living worker has this id or address.
    #[error(
        "worker {worker} at {address} is already registered and alive; stop it first, or give this one another --port and --work-dir"
    )]
    DuplicateWorker {
        /// The one that lives.
        worker: WorkerId,
        /// Its address.
        address: String,
    },
    /// The master does not lead.
    #[error("this master is in standby; ask the one that leads")]
    Standby,
    /// No such application, or it is over.
    #[error("application {0} is not known here, or is over")]
    UnknownApplication(ApplicationId),
    /// The driver does not know this executor, or has given it up.
    #[error("executor {0} is not known to this driver, or was given up")]
    UnknownExecutor(ExecutorId),
    /// Nothing of that name.
    #[error("nothing here is called {0:?}; `hearth status` lists what there is")]
    UnknownId(String),
    /// A message that makes no sense here.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// What was asked for is gone.
    #[error("{0} is gone")]
    Gone(String),
    /// A bound was reached.
    #[error("{what} is at its limit of {limit}; try again later")]
    Full {
        /// What.
        what: String,
        /// The bound.
        limit: u64,
    },
}
