//! The executor's machine: task slots.
#![allow(missing_docs, reason = "skeleton: fields are named for what they hold")]

use hearth_core::messages::{LinkId, task::*};
use hearth_core::{Level, Payload, PayloadHash, Refusal, ShuffleId, TaskId};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The link to the driver that was dialed is open.
    LinkOpened { link: LinkId },
    /// It could not be opened.
    DialFailed { reason: String },
    /// It ended.
    LinkClosed { link: LinkId },
    /// The driver said something.
    DriverSaid { link: LinkId, message: TaskDown },
    /// A payload that was asked for arrived, or did not.
    PayloadArrived { hash: PayloadHash, answer: Result<Payload, Refusal> },
    /// The outputs of a shuffle that were asked for arrived, or did not.
    MapStatusesArrived { shuffle: ShuffleId, answer: Result<MapStatuses, Refusal> },
    /// A task that was started is over; its slot is free.
    TaskEnded { task: TaskId, result: Result<(TaskOutput, TaskMetrics), TaskFailure> },
    /// End: the worker or a signal wants it.
    StopAsked { reason: String },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a link to the driver.
    Dial,
    /// Say something to the driver.
    ToDriver { link: LinkId, message: TaskUp },
    /// Ask the driver for a payload.
    FetchPayload { hash: PayloadHash },
    /// Ask the driver for the outputs of a shuffle.
    FetchMapStatuses { shuffle: ShuffleId, epoch: u64 },
    /// Run a task in a slot, with one set of map statuses an input, in order.
    StartTask { launch: TaskLaunch, payload: Payload, inputs: Vec<std::sync::Arc<MapStatuses>> },
    /// Stop a task; `TaskEnded` follows.
    CancelTask { task: TaskId, reason: String },
    /// Remove the files of these outputs, as far as this executor wrote them and serves them itself.
    RemoveFiles { shuffles: Vec<ShuffleId>, results: Vec<TaskId> },
    /// Tell the log.
    Log { level: Level, text: String },
    /// Exit with this code.
    Exit { code: i32, reason: String },
}
