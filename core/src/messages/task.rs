//! Between a driver and its executors.

pub use super::metrics::{MAX_OPERATORS, OperatorMetrics, TaskMetrics};

use super::worker::Address;
use crate::{ApplicationId, ExecutorId, JobId, PayloadHash, Refusal, ShuffleId, StageId, TaskId, WorkerId};
use bytes::Bytes;

/// Where blocks are served, and where a reader on the same machine finds their files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockLocation {
    /// The worker whose machine holds them.
    pub worker: WorkerId,
    /// The executor that serves them itself, and whose death loses them; nobody when the block service does.
    pub executor: Option<ExecutorId>,
    /// Who serves them. Port 0: nobody, they can only be read as files (local mode).
    pub address: Address,
    /// The directory of their files, absolute, on that machine.
    pub directory: String,
}

/// Who serves blocks, from whichever of its directories: what is lost together when nobody answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockServer {
    /// An executor, wherever it listens.
    Executor(ExecutorId),
    /// The block service of a worker's machine.
    Service(WorkerId, Address),
}

impl BlockLocation {
    /// Who serves them.
    pub fn server(&self) -> BlockServer {
        match self.executor {
            Some(executor) => BlockServer::Executor(executor),
            None => BlockServer::Service(self.worker.clone(), self.address.clone()),
        }
    }
}

/// The committed output of one map task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapStatus {
    /// The map partition.
    pub partition: u32,
    /// The map task attempt that wrote it: part of each block's id.
    pub task: TaskId,
    /// Where it is.
    pub location: BlockLocation,
    /// Bytes of each reduce partition's block.
    pub sizes: Vec<u64>,
    /// A checksum of which rows are in which block, whatever their order; only where another attempt may give other rows.
    pub checksum: Option<u64>,
}

/// The most executors that are named to one another as readers of the same blocks: enough to share the work of one server.
pub const MAX_PEERS: usize = 64;

/// The outputs of one shuffle, as of an epoch. Complete: one for each map partition, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapStatuses {
    /// Which shuffle.
    pub shuffle: ShuffleId,
    /// The tracker's epoch when this was true.
    pub epoch: u64,
    /// One status a map partition, in order.
    pub statuses: Vec<MapStatus>,
    /// Where executors keep what they have read of it, for one another; nothing where each reads a part of its own.
    pub peers: Vec<BlockLocation>,
}

/// The exit code of an executor that heard nothing of its driver for too long; `EX_TEMPFAIL` of sysexits.h. Its tasks are not
/// to blame.
pub const EXIT_WITHOUT_DRIVER: i32 = 75;

/// What an executor says when its link opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorRegistration {
    /// The version of its binary.
    pub version: String,
    /// Its application: an address may be another driver's by now.
    pub application: ApplicationId,
    /// Its id.
    pub executor: ExecutorId,
    /// Its worker.
    pub worker: WorkerId,
    /// Its machine.
    pub host: String,
    /// Its task slots.
    pub cores: u32,
    /// Where readers find its outputs.
    pub blocks: BlockLocation,
    /// Tasks that still run, on a registration after the first.
    pub running: Vec<TaskId>,
}

/// What becomes of a task's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskTarget {
    /// Blocks of a shuffle, one a reduce partition.
    Shuffle {
        /// Which shuffle.
        shuffle: ShuffleId,
        /// How many reduce partitions.
        partitions: u32,
    },
    /// The job's result.
    Result,
}

/// One task attempt to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskLaunch {
    /// This attempt.
    pub task: TaskId,
    /// Its job.
    pub job: JobId,
    /// Its stage.
    pub stage: StageId,
    /// The stage's attempt, from 0.
    pub stage_attempt: u32,
    /// The partition that it computes.
    pub partition: u32,
    /// How many task slots it takes.
    pub slots: u32,
    /// How many attempts at this partition went before, in this stage attempt.
    pub attempt: u32,
    /// What it computes.
    pub payload: PayloadHash,
    /// The shuffles it reads, in the order of the payload's inputs, each with the epoch its outputs must not be older than.
    pub inputs: Vec<TaskInput>,
    /// What becomes of its rows.
    pub target: TaskTarget,
    /// Memory was too little for it before: it takes operators that spill, where there are such.
    pub thrifty: bool,
}

/// A shuffle that a task reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskInput {
    /// Which shuffle.
    pub shuffle: ShuffleId,
    /// Map statuses older than this must be asked for again.
    pub epoch: u64,
}

/// The rows of one result partition: one Arrow IPC stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultBlock {
    /// Small enough to travel with the status (1 MiB).
    Inline(Bytes),
    /// To be fetched.
    Stored {
        /// The task attempt that wrote it: its block id.
        task: TaskId,
        /// Where it is.
        location: BlockLocation,
        /// How large it is.
        bytes: u64,
    },
}

/// What a finished task gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskOutput {
    /// A map task's blocks.
    Map(MapStatus),
    /// A result task's rows.
    Result(ResultBlock),
}

/// In what way a block could not be had. `Display` is the diagnosis, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum FetchCause {
    /// Nobody there has it (any more).
    #[error("it is not there")]
    NotFound,
    /// What lies on the disk is not what was committed.
    #[error("damaged on its disk")]
    CorruptOnDisk,
    /// It was damaged between two processes, twice.
    #[error("damaged on the wire")]
    CorruptOnWire,
    /// Its server cannot be reached, or breaks off.
    #[error("out of reach")]
    Unreachable,
    /// The disk could not be read.
    #[error("its disk cannot be read")]
    Io,
}

/// Why a task attempt did not give an output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskFailure {
    /// The query's or its input's own fault: it would fail again, so it is not retried.
    #[error("{0}")]
    Query(String),
    /// Something that may pass; counts towards `spark.task.maxFailures`.
    #[error("{0}")]
    Transient(String),
    /// The task panicked; counts.
    #[error("the task panicked: {0}")]
    Panicked(String),
    /// It wanted more memory than the executor's pool could give; counts.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// A file could not be written (a full disk, say); counts.
    #[error("{path}: {message}")]
    Disk {
        /// Which file or directory.
        path: String,
        /// What the system said.
        message: String,
    },
    /// A map output could not be read; does not count, the map runs again.
    #[error("cannot fetch the output of map task {map_task} (partition {map_partition} of shuffle {shuffle}) from {}: {cause}: {message}", location.address)]
    FetchFailed {
        /// Which shuffle.
        shuffle: ShuffleId,
        /// Which map partition.
        map_partition: u32,
        /// Which attempt wrote it.
        map_task: TaskId,
        /// From where.
        location: Box<BlockLocation>,
        /// In what way it could not be read.
        cause: FetchCause,
        /// What happened.
        message: String,
    },
    /// Killed because the driver said so; does not count.
    #[error("killed: {0}")]
    Killed(String),
}

/// News of one task attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    /// Which attempt.
    pub task: TaskId,
    /// What became of it.
    pub news: TaskNews,
}

/// What became of a task attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskNews {
    /// It runs in a slot.
    Started,
    /// It is done.
    Succeeded(TaskOutput, TaskMetrics),
    /// It failed or was killed; its slot is free.
    Failed(TaskFailure),
}

/// From an executor to its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskUp {
    /// The first message of every link.
    Register(ExecutorRegistration),
    /// News of tasks, batched.
    Statuses(Vec<TaskStatus>),
    /// Still here.
    Heartbeat,
    /// It leaves of its own accord.
    Leaving {
        /// For people.
        reason: String,
    },
}

/// From a driver to an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskDown {
    /// The registration is taken.
    Registered,
    /// The answer to a heartbeat.
    Heartbeat,
    /// The registration is refused: exit.
    Refused(Refusal),
    /// Run these.
    Launch(Vec<TaskLaunch>),
    /// Stop this one.
    Kill {
        /// Which attempt.
        task: TaskId,
        /// For people.
        reason: String,
    },
    /// A job is over: payloads and map statuses of these stages and shuffles are not needed any more, their files neither.
    Forget {
        /// Payloads.
        payloads: Vec<PayloadHash>,
        /// Shuffles.
        shuffles: Vec<ShuffleId>,
        /// Result blocks, by the attempt that wrote them.
        results: Vec<TaskId>,
    },
    /// Exit.
    Stop {
        /// For people.
        reason: String,
    },
}
