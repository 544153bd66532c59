//! The driver's machine: DagScheduler and TaskScheduler, drained into each other inside one step.
#![allow(missing_docs, reason = "skeleton: fields are named for what they hold")]

use hearth_core::messages::{application::*, task::*};
use hearth_core::{ApplicationState, JobId, Level, LinkId, Payload, PayloadHash, Refusal, ReplyId, ShuffleId, StageGraph, StageId};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody wants a job done. The shell numbers jobs from 1.
    JobSubmitted { job: JobId, graph: StageGraph },
    /// Nobody wants it any more.
    JobCancelled { job: JobId, reason: String },
    /// The result blocks of a job that is over have been read: they can be forgotten.
    JobReleased { job: JobId },
    /// The link to the master is open.
    MasterLinkOpened { link: LinkId },
    /// It could not be opened. `jitter` in 0..=1000 is this try's chance, drawn by the shell.
    MasterDialFailed { reason: String, jitter: u32 },
    /// It ended.
    MasterLinkClosed { link: LinkId, jitter: u32 },
    /// The master said something.
    MasterSaid { link: LinkId, message: AppDown },
    /// An executor said something on a link; the first message on each link is `Register`.
    ExecutorSaid { link: LinkId, message: TaskUp },
    /// An executor's link ended.
    ExecutorLinkClosed { link: LinkId },
    /// An executor wants a payload.
    PayloadAsked { reply: ReplyId, hash: PayloadHash },
    /// An executor wants the outputs of a shuffle.
    MapStatusesAsked { reply: ReplyId, shuffle: ShuffleId, epoch: u64 },
    /// The application ends: cancel what runs, stop the executors, say goodbye to the master.
    StopAsked { state: ApplicationState, message: String },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a link to the master.
    DialMaster,
    /// Say something to the master.
    ToMaster { link: LinkId, message: AppUp },
    /// Say something to an executor.
    ToExecutor { link: LinkId, message: TaskDown },
    /// Close an executor's link, once what was said on it is sent.
    CloseExecutorLink { link: LinkId },
    /// Answer a question.
    Answer { reply: ReplyId, answer: Answer },
    /// Tell whoever submitted a job.
    Job { job: JobId, news: JobNews },
    /// Tell the log.
    Log { level: Level, text: String },
    /// The application is over; nothing follows.
    Stopped,
}

/// An answer to an executor's question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A payload.
    Payload(Payload),
    /// All outputs of a shuffle.
    MapStatuses(MapStatuses),
    /// No.
    Refused(Refusal),
}

/// News of a job for whoever submitted it.
#[derive(Clone, Debug, PartialEq)]
pub enum JobNews {
    /// A stage attempt started, or its counts changed (at most one a step and stage).
    Stage { stage: StageId, name: String, attempt: u32, tasks: u32, running: u32, done: u32, over: bool },
    /// A result partition is there; each comes once, in any order.
    Result { partition: u32, block: ResultBlock, metrics: TaskMetrics },
    /// The job is over, the last news.
    Over(Result<(), JobFailure>),
    /// For people: why nothing is running.
    Waiting { reason: String },
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JobFailure {
    /// Somebody cancelled it.
    #[error("cancelled: {0}")]
    Cancelled(String),
}
