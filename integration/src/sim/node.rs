//! Who takes part in a simulation.

use hearth_core::{ApplicationId, ExecutorId};

/// One simulated process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum NodeId {
    /// The master.
    Master,
    /// A worker, by its place.
    Worker(usize),
    /// A driver, by its place.
    Driver(usize),
    /// An executor.
    Executor(ApplicationId, ExecutorId),
}
