//! Why a block could not be fetched.

use crate::{BlockId, FailureKind, OutputId};
use hearth_core::messages::task::{BlockLocation, TaskFailure};

/// A block could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot fetch block {id} from {}: {kind}: {message}", location.address)]
pub struct FetchError {
    /// Its place in the list of those wanted.
    pub index: usize,
    /// Where it should be.
    pub location: Box<BlockLocation>,
    /// Which.
    pub id: BlockId,
    /// In what way it could not be had.
    pub kind: FailureKind,
    /// For people.
    pub message: String,
}

impl From<FetchError> for TaskFailure {
    /// What a task fails with that could not read its input: the loss of a map output is the map's, not the task's.
    fn from(e: FetchError) -> Self {
        match e.id.output {
            OutputId::Map { shuffle, map_partition, task } => {
                let FetchError { location, kind: cause, message, .. } = e;
                Self::FetchFailed { shuffle, map_partition, map_task: task, location, cause, message }
            }
            OutputId::Result { .. } | OutputId::Replica { .. } => Self::Transient(e.to_string()),
        }
    }
}
