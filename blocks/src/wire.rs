//! Ids and faults from and to protobuf.

use crate::{
    BlockId, OutputId, ReadError,
    id::BadBlockId,
    machine::{Failure, FailureKind},
};
use hearth_core::{ShuffleId, TaskId};
use hearth_proto::v1;

impl From<BlockId> for v1::BlockId {
    fn from(id: BlockId) -> Self {
        use v1::block_id::{Map, Output, Replica, Result};
        let output = match id.output {
            OutputId::Map { shuffle, map_partition, task } => {
                Output::Map(Map { shuffle: shuffle.0, map_partition, task: task.0 })
            }
            OutputId::Result { task } => Output::Result(Result { task: task.0 }),
            OutputId::Replica { shuffle, map_partition, task, piece } => {
                Output::Replica(Replica { shuffle: shuffle.0, map_partition, task: task.0, piece })
            }
        };
        Self { output: Some(output), reduce: id.reduce }
    }
}

impl TryFrom<v1::BlockId> for BlockId {
    type Error = BadBlockId;

    fn try_from(id: v1::BlockId) -> Result<Self, BadBlockId> {
        use v1::block_id::Output;
        let output = match id.output.ok_or_else(BadBlockId::no_output)? {
            Output::Map(m) => {
                OutputId::Map { shuffle: ShuffleId(m.shuffle), map_partition: m.map_partition, task: TaskId(m.task) }
            }
            Output::Result(r) => OutputId::Result { task: TaskId(r.task) },
            Output::Replica(r) => OutputId::Replica {
                shuffle: ShuffleId(r.shuffle),
                map_partition: r.map_partition,
                task: TaskId(r.task),
                piece: r.piece,
            },
        };
        Ok(output.block(id.reduce))
    }
}

/// Longest message of a fault: paths are shorter.
const MAX_FAULT_MESSAGE: usize = 16 * 1024;

impl From<&ReadError> for v1::BlockFault {
    fn from(e: &ReadError) -> Self {
        let kind = match e {
            ReadError::NotFound { .. } => v1::BlockFaultKind::NotFound,
            ReadError::Corrupt { .. } => v1::BlockFaultKind::Corrupt,
            ReadError::Io { .. } => v1::BlockFaultKind::Io,
        };
        let message = e.to_string().chars().take(MAX_FAULT_MESSAGE / 4).collect();
        Self { kind: kind.into(), message }
    }
}

impl From<v1::BlockFault> for Failure {
    fn from(fault: v1::BlockFault) -> Self {
        let kind = match fault.kind() {
            v1::BlockFaultKind::NotFound => FailureKind::NotFound,
            v1::BlockFaultKind::Corrupt => FailureKind::CorruptOnDisk,
            // A kind of a later version: all that is known is that the server has not got it out.
            v1::BlockFaultKind::Io | v1::BlockFaultKind::Unspecified => FailureKind::Io,
        };
        Self { kind, message: fault.message }
    }
}

impl From<ReadError> for Failure {
    fn from(e: ReadError) -> Self {
        let kind = match e {
            ReadError::NotFound { .. } => FailureKind::NotFound,
            ReadError::Corrupt { .. } => FailureKind::CorruptOnDisk,
            ReadError::Io { .. } => FailureKind::Io,
        };
        Self { kind, message: e.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_the_wire() {
        let map = OutputId::Map { shuffle: ShuffleId(1), map_partition: 2, task: TaskId(3) };
        let replica = OutputId::Replica { shuffle: ShuffleId(1), map_partition: 2, task: TaskId(3), piece: 4 };
        for id in [map.block(4), OutputId::Result { task: TaskId(u64::MAX) }.block(0), replica.block(0)] {
            assert_eq!(BlockId::try_from(v1::BlockId::from(id)), Ok(id));
        }
        let e = BlockId::try_from(v1::BlockId { output: None, reduce: 0 }).unwrap_err();
        assert!(e.to_string().starts_with("\"\" is not a valid output id"), "{e}");
    }
}
