//! One task: a payload and a partition in, chunks of blocks out.
//!
//! ```text
//! DecodedPayload ──decode──> fresh plan ──specialise(p)──> plan of one partition ──execute──> batches
//!                                                                                               │
//!                 chunks (reduce partition, bytes) <──IPC, LZ4── coalesced slices <──route──────┘
//! ```
//!
//! What holds:
//! - Every attempt has a plan of its own, so that no operator ever sees partitions that are not this task's.
//! - The chunks of one reduce partition, put one after the other, are one Arrow IPC stream. A reduce partition without
//!   rows has no chunks; a result always has its one stream, so that its schema is known.
//! - Rows keep their order inside a reduce partition.
//! - Memory for rows that wait for their block is reserved in the pool; when the pool refuses, rows are written earlier,
//!   in smaller batches. They never fail a task.
//! - A task that ran out of memory runs again [thriftily](TaskEnv::thrifty): another plan, the same rows.
//! - Dropping a [`TaskRun`] stops it, at the next batch at the latest.
//!
//! Panics are the caller's to catch: it owns the thread.

mod buffers;
mod checksum;
mod compact;
mod env;
mod memory;
mod nested;
mod operators;
mod output;
mod router;
pub(crate) mod specialise;
mod thrifty;

pub use env::{TaskEnv, TaskEnvOptions};

use crate::{
    BlockSource, DecodedPayload, Maps, Selection,
    exchange::{Blocks, Keys},
    failure::failure_in,
    payload::{FreshPlan, Output, Range},
    scan,
};
use bytes::Bytes;
use datafusion::{
    common::{Result, plan_err},
    execution::memory_pool::MemoryPool,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, coalesce_partitions::CoalescePartitionsExec,
        sorts::sort_preserving_merge::SortPreservingMergeExec,
    },
};
use futures::{StreamExt, stream::BoxStream};
use hearth_core::messages::task::{TaskFailure, TaskMetrics};
use memory::TaskMemory;
use operators::Operators;
use output::{Layout, TaskOutput};
use specialise::{partitions, specialise};
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// A piece of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The reduce partition whose block it continues; 0 for a result and for a single block.
    pub partition: u32,
    /// What it continues with.
    pub bytes: Bytes,
}

/// A task while it runs. Nothing runs but while [`TaskRun::next`] is polled, except for what DataFusion spawns, which
/// ends with it.
pub struct TaskRun {
    chunks: BoxStream<'static, Result<Chunk, TaskFailure>>,
    output_partitions: u32,
    rows: Arc<AtomicU64>,
    checksum: Arc<OnceLock<u64>>,
    operators: Operators,
    memory: Arc<TaskMemory>,
}

impl TaskRun {
    /// The next piece of the output; nothing at its end. After a failure nothing follows.
    pub async fn next(&mut self) -> Option<Result<Chunk, TaskFailure>> {
        self.chunks.next().await
    }

    /// How many blocks it writes: 1 for a result.
    pub const fn output_partitions(&self) -> u32 {
        self.output_partitions
    }

    /// Rows that came out so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// At its end: a checksum of which rows went to which block, whatever their order. Only where another attempt may give
    /// other rows, and rows can be hashed.
    pub fn checksum(&self) -> Option<u64> {
        self.checksum.get().copied()
    }

    /// The memory that it may have: for those who hold its output until it is written.
    pub fn memory(&self) -> Arc<dyn MemoryPool> {
        Arc::<TaskMemory>::clone(&self.memory)
    }

    /// What it did so far, as far as its plan tells: rows, what its sources read, what its operators spilled, and what it held.
    pub fn metrics(&self) -> TaskMetrics {
        TaskMetrics { rows: self.rows(), peak_memory: self.memory.peak(), ..self.operators.metrics() }
    }
}

impl fmt::Debug for TaskRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskRun({} partitions, {} rows so far)", self.output_partitions, self.rows())
    }
}

/// Starts computing partition `partition` of a stage. It reads its inputs from `source`.
pub fn run_task(
    payload: &DecodedPayload,
    partition: u32,
    source: Arc<dyn BlockSource>,
    env: &TaskEnv,
) -> Result<TaskRun, TaskFailure> {
    start(payload, partition, source, env).map_err(|e| failure_in(env.spill_dir(), &e))
}

fn start(payload: &DecodedPayload, partition: u32, source: Arc<dyn BlockSource>, env: &TaskEnv) -> Result<TaskRun> {
    let (memory, env) = env.begin();
    let config = payload.config().clone().with_extension(Arc::new(Blocks(Arc::clone(&source))));
    let context = Arc::new(env.context(config, payload.stores()));
    let FreshPlan { plan, output } = payload.plan(&context)?;
    let schema = plan.schema();
    let stage = plan;
    let plan = match payload.whole() {
        true => whole(Arc::clone(&stage), partition)?,
        false => specialise(&stage, partition as usize)?,
    };
    // In every task: where the top is one partition, there may be several below.
    let plan = nested::with_one_right_side(plan)?;
    let plan = if env.is_thrifty() { thrifty::spilling(plan)? } else { plan };
    let plan = nested::with_left_sides_that_come_again(compact::kept_inputs(scan::guard(plan)?)?)?;
    let operators = Operators::of(&stage, &plan, partition as usize);
    let layout = match output {
        Output::Result if payload.discards() => Layout::Discarded,
        Output::Result => Layout::Result,
        Output::Single => Layout::Single,
        Output::Partitioned(partitioning) => Layout::Partitioned(partitioning),
        Output::Range(Range { keys, partitions, samples }) => Layout::Range {
            keys: Keys::try_new(keys, &schema)?,
            partitions,
            samples: source.read(samples, Selection { reduce: 0, maps: Maps::All }),
        },
    };
    let batches = plan.execute(0, Arc::clone(&context))?;
    let rows = Arc::new(AtomicU64::new(0));
    let checksum = Arc::new(OnceLock::new());
    let (mut output, waiting) = TaskOutput::try_new(layout, partition, schema, &context, Arc::clone(&rows))?;
    if payload.checked() {
        output.check(Arc::clone(&checksum));
    }
    let output_partitions = output.partitions();
    let failure = move |error| failure_in(env.spill_dir(), &error);
    let chunks = output.write(waiting, batches).map(move |chunk| chunk.map_err(&failure)).boxed();
    Ok(TaskRun { chunks, output_partitions, rows, checksum, operators, memory })
}

/// All partitions of the plan as one, in the order that each has by itself, if it has one.
fn whole(plan: Arc<dyn ExecutionPlan>, partition: u32) -> Result<Arc<dyn ExecutionPlan>> {
    match (partition, partitions(&plan), plan.output_ordering().cloned()) {
        (0, 1, _) => Ok(plan),
        (0, _, Some(ordering)) => Ok(Arc::new(SortPreservingMergeExec::new(ordering, plan))),
        (0, ..) => Ok(Arc::new(CoalescePartitionsExec::new(plan))),
        (p, ..) => plan_err!("partition {p} of a stage that runs whole, in one task"),
    }
}
