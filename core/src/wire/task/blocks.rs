//! Where blocks are.

use super::{
    super::check::{self, Malformed, counted, id, required},
    MAX_INLINE_RESULT,
};
use crate::{
    ExecutorId, TaskId,
    messages::task::{BlockLocation, MapStatus, ResultBlock},
    stage::MAX_PARTITIONS,
};
use hearth_proto::v1::{self, result_block};

impl From<BlockLocation> for v1::BlockLocation {
    fn from(location: BlockLocation) -> Self {
        Self {
            worker: location.worker.into(),
            executor: location.executor.map(|id| id.0),
            address: Some(location.address.into()),
            directory: location.directory,
        }
    }
}

impl TryFrom<v1::BlockLocation> for BlockLocation {
    type Error = Malformed;
    fn try_from(location: v1::BlockLocation) -> Result<Self, Malformed> {
        Ok(Self {
            worker: id("BlockLocation.worker", &location.worker)?,
            executor: location.executor.map(ExecutorId),
            address: required("BlockLocation.address", location.address)?.try_into()?,
            directory: check::path("BlockLocation.directory", location.directory)?,
        })
    }
}

impl From<MapStatus> for v1::MapStatus {
    fn from(status: MapStatus) -> Self {
        Self {
            partition: status.partition,
            task: status.task.0,
            location: Some(status.location.into()),
            sizes: status.sizes,
            checksum: status.checksum,
        }
    }
}

impl TryFrom<v1::MapStatus> for MapStatus {
    type Error = Malformed;
    fn try_from(status: v1::MapStatus) -> Result<Self, Malformed> {
        let sizes = counted("MapStatus.sizes", status.sizes, MAX_PARTITIONS as usize)?;
        for &size in &sizes {
            check::quantity("MapStatus.sizes", size)?;
        }
        Ok(Self {
            partition: check::partition("MapStatus.partition", status.partition)?,
            task: TaskId(status.task),
            location: required("MapStatus.location", status.location)?.try_into()?,
            sizes,
            checksum: status.checksum,
        })
    }
}

impl From<ResultBlock> for v1::ResultBlock {
    fn from(block: ResultBlock) -> Self {
        let block = match block {
            ResultBlock::Inline(bytes) => result_block::Block::Inline(bytes),
            ResultBlock::Stored { task, location, bytes } => result_block::Block::Stored(result_block::Stored {
                task: task.0,
                location: Some(location.into()),
                bytes,
            }),
        };
        Self { block: Some(block) }
    }
}

impl TryFrom<v1::ResultBlock> for ResultBlock {
    type Error = Malformed;
    fn try_from(block: v1::ResultBlock) -> Result<Self, Malformed> {
        Ok(match required("ResultBlock.block", block.block)? {
            result_block::Block::Inline(bytes) => {
                if bytes.len() > MAX_INLINE_RESULT {
                    let (has, limit) = (bytes.len(), MAX_INLINE_RESULT);
                    return Err(Malformed(format!("ResultBlock.inline has {has} bytes; expected at most {limit}")));
                }
                Self::Inline(bytes)
            }
            result_block::Block::Stored(stored) => Self::Stored {
                task: TaskId(stored.task),
                location: required("ResultBlock.Stored.location", stored.location)?.try_into()?,
                bytes: check::quantity("ResultBlock.Stored.bytes", stored.bytes)?,
            },
        })
    }
}
