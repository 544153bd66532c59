//! What the executor's machine is told, and what it wants done.

use hearth_core::{
    Level, LinkId, Payload, PayloadHash, Refusal, ShuffleId, TaskId,
    messages::task::{MapStatuses, TaskDown, TaskFailure, TaskLaunch, TaskMetrics, TaskOutput, TaskUp},
};
use std::sync::Arc;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The link to the driver that was dialed is open.
    LinkOpened {
        /// Its number.
        link: LinkId,
    },
    /// It could not be opened.
    DialFailed {
        /// For people: names the address.
        reason: String,
    },
    /// It ended.
    LinkClosed {
        /// Which.
        link: LinkId,
    },
    /// The driver said something.
    DriverSaid {
        /// On which link.
        link: LinkId,
        /// What.
        message: TaskDown,
    },
    /// A payload that was asked for arrived, or did not.
    PayloadArrived {
        /// Which was asked for.
        hash: PayloadHash,
        /// The payload, or why not.
        answer: Result<Payload, Refusal>,
    },
    /// The outputs of a shuffle that were asked for arrived, or did not.
    MapStatusesArrived {
        /// Which shuffle was asked for.
        shuffle: ShuffleId,
        /// All its outputs, or why not.
        answer: Result<MapStatuses, Refusal>,
    },
    /// A task that was started is over; its slot is free.
    TaskEnded {
        /// Which attempt.
        task: TaskId,
        /// What it gave.
        result: Result<(TaskOutput, TaskMetrics), TaskFailure>,
    },
    /// End: the worker or a signal wants it.
    StopAsked {
        /// For people.
        reason: String,
    },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a link to the driver. `LinkOpened` or `DialFailed` follows.
    Dial,
    /// Say something to the driver.
    ToDriver {
        /// On which link.
        link: LinkId,
        /// What.
        message: TaskUp,
    },
    /// Ask the driver for a payload. `PayloadArrived` follows.
    FetchPayload {
        /// Which.
        hash: PayloadHash,
    },
    /// Ask the driver for the outputs of a shuffle. `MapStatusesArrived` follows.
    FetchMapStatuses {
        /// Which shuffle.
        shuffle: ShuffleId,
        /// The answer must not be older.
        epoch: u64,
    },
    /// Run a task in a slot. `TaskEnded` follows.
    StartTask {
        /// Which.
        launch: TaskLaunch,
        /// What it computes.
        payload: Payload,
        /// One set of map statuses an input, in the order of the launch's inputs.
        inputs: Vec<Arc<MapStatuses>>,
    },
    /// Stop a task; `TaskEnded` follows, unless `Exit` comes first.
    CancelTask {
        /// Which attempt.
        task: TaskId,
        /// For people.
        reason: String,
    },
    /// Remove the files of these outputs from the directory this executor writes to, whoever wrote them.
    RemoveFiles {
        /// All outputs of these shuffles.
        shuffles: Vec<ShuffleId>,
        /// The result blocks of these attempts.
        results: Vec<TaskId>,
    },
    /// Tell the log.
    Log {
        /// How much it matters.
        level: Level,
        /// What to tell.
        text: String,
    },
    /// Exit; the last effect.
    Exit {
        /// 0 when somebody asked for it, 1 otherwise.
        code: i32,
        /// For people.
        reason: String,
    },
}

impl hearth_core::Durable for Effect {
    /// An executor keeps nothing over its death.
    type Record = std::convert::Infallible;

    fn record(&self) -> Option<&Self::Record> {
        None
    }
}
