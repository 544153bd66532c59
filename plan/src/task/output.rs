//! From batches to chunks of blocks.

use super::{Chunk, buffers::Buffers, checksum::Checksum, router::Router};
use crate::exchange::{Keys, Piece, RangeRouter, Samples, decode, travelling};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::{DataFusionError, Result, plan_datafusion_err, plan_err},
    execution::{SendableRecordBatchStream, TaskContext, memory_pool::MemoryConsumer},
    physical_plan::{Partitioning, metrics::Time, repartition::BatchPartitioner},
};
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use hearth_core::{messages::task::TaskFailure, stage::MAX_PARTITIONS};
use std::{
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
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
    Partitioned(Partitioning),
    /// One block a reduce partition, by bounds that are made of these samples when the first row is wanted.
    Range { keys: Keys, partitions: u32, samples: BoxStream<'static, std::result::Result<Piece, TaskFailure>> },
}

/// The output of one task.
pub(super) struct TaskOutput {
    router: Router,
    partitions: u32,
    always: bool,
    discards: bool,
    buffers: Buffers,
    rows: Arc<AtomicU64>,
    /// Of its rows, where that is wanted, and where it goes.
    checksum: Option<(Checksum, Arc<OnceLock<u64>>)>,
}

impl TaskOutput {
    /// The output of task `task` of its stage, and what it waits for before its first row.
    pub(super) fn try_new(
        layout: Layout,
        task: u32,
        schema: SchemaRef,
        context: &TaskContext,
        rows: Arc<AtomicU64>,
    ) -> Result<(Self, Option<Waiting>)> {
        let always = matches!(layout, Layout::Result | Layout::Discarded);
        let discards = matches!(layout, Layout::Discarded);
        let (router, partitions, waiting) = match layout {
            Layout::Result | Layout::Discarded | Layout::Single => (Router::One, 1, None),
            Layout::Partitioned(Partitioning::Hash(keys, count)) => {
                let partitions = limited(count)?;
                let hash = BatchPartitioner::new_hash_partitioner(keys, count, Time::new())?;
                (Router::Hash(hash), partitions, None)
            }
            Layout::Partitioned(Partitioning::RoundRobinBatch(count)) => {
                let partitions = limited(count)?;
                // Tasks of few rows each begin at different partitions.
                (Router::RoundRobin { next: task % partitions, partitions }, partitions, None)
            }
            Layout::Partitioned(other) => return plan_err!("an exchange partitioned by {other}"),
            Layout::Range { keys, partitions, samples } => {
                limited(partitions as usize)?;
                (Router::One, partitions, Some(Waiting { keys, partitions, samples }))
            }
        };
        // Not as one that spills: those share the pool evenly, and this one is content with little.
        let reservation = MemoryConsumer::new("ExchangeWriter").register(context.memory_pool());
        let buffers = Buffers::new(schema, partitions, context.session_config().batch_size(), reservation);
        Ok((Self { router, partitions, always, discards, buffers, rows, checksum: None }, waiting))
    }

    /// Leaves a checksum of its rows here at the end.
    pub(super) fn check(&mut self, result: Arc<OnceLock<u64>>) {
        self.checksum = Some((Checksum::new(self.partitions), result));
    }

    pub(super) const fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Writes all batches. Each step of the stream takes at most one of them.
    pub(super) fn write(
        self,
        waiting: Option<Waiting>,
        batches: SendableRecordBatchStream,
    ) -> impl Stream<Item = Result<Chunk, DataFusionError>> + Send + 'static {
        stream::try_unfold((self, waiting, Some(batches)), |(mut output, mut waiting, mut batches)| async move {
            if let Some(waiting) = waiting.take() {
                output.router = Router::Range(waiting.router().await?);
            }
            loop {
                if let Some(chunk) = output.buffers.pop() {
                    return Ok(Some((chunk, (output, waiting, batches))));
                }
                let Some(running) = &mut batches else { return Ok(None) };
                match running.next().await {
                    Some(batch) => output.push(batch?)?,
                    None => {
                        batches = None;
                        output.buffers.finish(output.always)?;
                        output.leave_checksum();
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
        let (buffers, checksum) = (&mut self.buffers, &mut self.checksum);
        self.router.route(batch, |partition, rows| {
            // Of rows that cannot be hashed there is no checksum, and who compares them takes them for others.
            if let Some((sum, _)) = checksum
                && sum.add(partition, &rows).is_err()
            {
                *checksum = None;
            }
            buffers.push(partition, rows)
        })
    }

    fn leave_checksum(&mut self) {
        if let Some((sum, result)) = self.checksum.take() {
            result.get_or_init(|| sum.finish());
        }
    }
}

/// Samples that are still to be read.
pub(super) struct Waiting {
    keys: Keys,
    partitions: u32,
    samples: BoxStream<'static, std::result::Result<Piece, TaskFailure>>,
}

impl Waiting {
    async fn router(self) -> Result<RangeRouter> {
        let mut samples = Samples::default();
        let mut batches = pin!(decode(self.samples, None));
        while let Some(batch) = batches.next().await {
            batch.and_then(|batch| samples.add(&batch)).map_err(travelling)?;
        }
        Ok(RangeRouter::new(self.keys, samples.bounds(self.partitions)))
    }
}

fn limited(count: usize) -> Result<u32> {
    u32::try_from(count)
        .ok()
        .filter(|p| (1..=MAX_PARTITIONS).contains(p))
        .ok_or_else(|| plan_datafusion_err!("an exchange into {count} partitions; 1 to {MAX_PARTITIONS} can be"))
}
