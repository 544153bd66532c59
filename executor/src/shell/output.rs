//! Where a task's rows go: blocks in files, or a result small enough to travel with the news of its success.
//!
//! Nothing is there before it is committed: a task that fails or is cancelled drops its writer, which removes its files.

use super::{disks::Disks, task::Attempt};
use bytes::{Bytes, BytesMut};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use hearth_blocks::{AsyncOutputWriter, Committed, OutputId, WriteError, WriterOptions};
use hearth_core::{
    ShuffleId, TaskId,
    messages::task::{BlockLocation, MapStatus, ResultBlock, TaskFailure, TaskOutput},
};
use hearth_plan::TaskRun;

/// Bytes of a result that travels with its status.
pub(super) const INLINE_LIMIT: usize = 1 << 20;

/// What was written.
pub(super) struct Written {
    pub(super) output: TaskOutput,
    pub(super) bytes: u64,
    pub(super) bytes_spilled: u64,
}

/// Writes blocks, and spills what is buffered when the pool has no memory for it.
struct BlockWriter<'a> {
    writer: AsyncOutputWriter,
    reservation: MemoryReservation,
    outputs: &'a Disks,
    location: BlockLocation,
}

impl<'a> BlockWriter<'a> {
    /// In the directory whose turn it is. What it buffers is of the task's own memory, and counts as such.
    fn new(id: OutputId, partitions: u32, run: &TaskRun, attempt: &Attempt<'a>) -> Result<Self, TaskFailure> {
        let reservation = MemoryConsumer::new(format!("output of {id}")).register(&run.memory());
        let dir = attempt.outputs.choose()?;
        let location = BlockLocation { directory: dir.to_string_lossy().into_owned(), ..attempt.location.clone() };
        let writer = AsyncOutputWriter::create(dir, id, partitions, WriterOptions::default());
        Ok(Self { writer, reservation, outputs: attempt.outputs, location })
    }

    async fn write(&mut self, partition: u32, bytes: Bytes) -> Result<(), TaskFailure> {
        let outputs = self.outputs;
        self.writer.write(partition, bytes).await.map_err(|e| failed(outputs, e))?;
        let buffered = usize::try_from(self.writer.buffered_bytes()).unwrap_or(usize::MAX);
        if self.reservation.try_resize(buffered).is_err() {
            self.writer.spill().await.map_err(|e| failed(outputs, e))?;
            self.reservation.free();
        }
        Ok(())
    }

    /// Gives what was written, and where readers find it.
    async fn commit(self) -> Result<(Committed, BlockLocation), TaskFailure> {
        let Self { writer, outputs, location, .. } = self;
        Ok((writer.commit().await.map_err(|e| failed(outputs, e))?, location))
    }
}

/// The next attempt takes another directory.
fn failed(outputs: &Disks, error: WriteError) -> TaskFailure {
    outputs.failed(&error.path);
    error.into()
}

/// Writes a map task's blocks.
pub(super) async fn write_map(
    run: &mut TaskRun,
    (shuffle, partitions): (ShuffleId, u32),
    attempt: &Attempt<'_>,
) -> Result<Written, TaskFailure> {
    if run.output_partitions() != partitions {
        return Err(TaskFailure::Query(format!(
            "the plan gives {} blocks where shuffle {shuffle} has {partitions} reduce partitions; please report this with \
             the query",
            run.output_partitions()
        )));
    }
    let id = OutputId::Map { shuffle, map_partition: attempt.partition, task: attempt.task };
    let mut writer = BlockWriter::new(id, partitions, run, attempt)?;
    while let Some(chunk) = run.next().await {
        let chunk = chunk?;
        writer.write(chunk.partition, chunk.bytes).await?;
    }
    let (Committed { sizes, bytes_spilled }, location) = writer.commit().await?;
    let bytes = sizes.iter().sum();
    let (partition, task, checksum) = (attempt.partition, attempt.task, run.checksum());
    let output = TaskOutput::Map(MapStatus { partition, task, location, sizes, checksum });
    Ok(Written { output, bytes, bytes_spilled })
}

/// Collects a result; one that grows too large for a message goes to a file.
pub(super) async fn write_result(run: &mut TaskRun, attempt: &Attempt<'_>) -> Result<Written, TaskFailure> {
    let mut inline = BytesMut::new();
    while let Some(chunk) = run.next().await {
        let bytes = chunk?.bytes;
        if inline.len() + bytes.len() > INLINE_LIMIT {
            return store_result(run, inline.freeze(), bytes, attempt).await;
        }
        inline.extend_from_slice(&bytes);
    }
    let bytes = inline.len() as u64;
    let output = TaskOutput::Result(ResultBlock::Inline(inline.freeze()));
    Ok(Written { output, bytes, bytes_spilled: 0 })
}

async fn store_result(
    run: &mut TaskRun,
    collected: Bytes,
    next: Bytes,
    attempt: &Attempt<'_>,
) -> Result<Written, TaskFailure> {
    let task: TaskId = attempt.task;
    let mut writer = BlockWriter::new(OutputId::Result { task }, 1, run, attempt)?;
    writer.write(0, collected).await?;
    writer.write(0, next).await?;
    while let Some(chunk) = run.next().await {
        writer.write(0, chunk?.bytes).await?;
    }
    let (Committed { sizes, bytes_spilled }, location) = writer.commit().await?;
    let bytes = sizes.iter().sum();
    let output = TaskOutput::Result(ResultBlock::Stored { task, location, bytes });
    Ok(Written { output, bytes, bytes_spilled })
}
