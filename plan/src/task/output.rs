//! From batches to chunks of blocks.

use super::{Chunk, buffers::Buffers};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::{DataFusionError, Result, plan_datafusion_err, plan_err},
    execution::{SendableRecordBatchStream, TaskContext, memory_pool::MemoryConsumer},
    physical_plan::{Partitioning, metrics::Time, repartition::BatchPartitioner},
};
use futures::{Stream, StreamExt, stream};
use hearth_core::stage::MAX_PARTITIONS;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Which blocks rows go to.
pub(super) enum Layout {
    /// The job's result: one stream, there even without rows.
    Result,
    /// The same without its rows, which are only counted.
    Discarded,
    /// One block.
    Single,
    /// One block a reduce partition.
    Hash(Partitioning),
}

/// The output of one task.
pub(super) struct TaskOutput {
    /// For a hash layout. DataFusion's own, with its own seed: operators that look into the hash agree with it.
    partitioner: Option<BatchPartitioner>,
    partitions: u32,
    always: bool,
    discards: bool,
    buffers: Buffers,
    rows: Arc<AtomicU64>,
}

impl TaskOutput {
    pub(super) fn try_new(
        layout: Layout,
        schema: SchemaRef,
        context: &TaskContext,
        rows: Arc<AtomicU64>,
    ) -> Result<Self> {
        let always = matches!(layout, Layout::Result | Layout::Discarded);
        let discards = matches!(layout, Layout::Discarded);
        let (partitioner, partitions) = match layout {
            Layout::Result | Layout::Discarded | Layout::Single => (None, 1),
            Layout::Hash(Partitioning::Hash(keys, count)) => {
                let partitions = u32::try_from(count).ok().filter(|p| (1..=MAX_PARTITIONS).contains(p));
                let partitions = partitions.ok_or_else(|| {
                    plan_datafusion_err!("a hash exchange into {count} partitions; 1 to {MAX_PARTITIONS} can be")
                })?;
                (Some(BatchPartitioner::new_hash_partitioner(keys, count, Time::new())?), partitions)
            }
            Layout::Hash(other) => return plan_err!("a hash exchange partitioned by {other}"),
        };
        // Not as one that spills: those share the pool evenly, and this one is content with little.
        let reservation = MemoryConsumer::new("ExchangeWriter").register(context.memory_pool());
        let buffers = Buffers::new(schema, partitions, context.session_config().batch_size(), reservation);
        Ok(Self { partitioner, partitions, always, discards, buffers, rows })
    }

    pub(super) const fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Writes all batches. Each step of the stream takes at most one of them.
    pub(super) fn write(
        self,
        batches: SendableRecordBatchStream,
    ) -> impl Stream<Item = Result<Chunk, DataFusionError>> + Send + 'static {
        stream::try_unfold((self, Some(batches)), |(mut output, mut batches)| async move {
            loop {
                if let Some(chunk) = output.buffers.pop() {
                    return Ok(Some((chunk, (output, batches))));
                }
                let Some(running) = &mut batches else { return Ok(None) };
                match running.next().await {
                    Some(batch) => output.push(batch?)?,
                    None => {
                        batches = None;
                        output.buffers.finish(output.always)?;
                    }
                }
            }
        })
    }

    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        if self.discards {
            return Ok(());
        }
        match &mut self.partitioner {
            None => self.buffers.push(0, batch),
            Some(partitioner) => partitioner.partition(batch, |partition, rows| self.buffers.push(partition, rows)),
        }
    }
}
