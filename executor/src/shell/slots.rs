//! Tasks that run: one a slot, each with somebody who waits for its end.

use super::{panics, runtime::TaskRuntime, task::Evaluator};
use crate::machine::Event;
use hearth_core::{
    Payload, TaskId, failpoint,
    messages::task::{MapStatuses, TaskFailure, TaskLaunch, TaskMetrics, TaskOutput, TaskTarget},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, JoinHandle},
};
use tokio_util::task::TaskTracker;

type Ended = Result<(TaskOutput, TaskMetrics), TaskFailure>;

/// Starts and cancels tasks. Dropping it cancels all.
pub(super) struct Slots {
    runtime: Arc<TaskRuntime>,
    evaluator: Arc<Evaluator>,
    events: mpsc::Sender<Event>,
    tracker: TaskTracker,
    cancels: BTreeMap<TaskId, oneshot::Sender<String>>,
}

impl Slots {
    pub(super) fn new(
        runtime: Arc<TaskRuntime>,
        evaluator: Arc<Evaluator>,
        events: mpsc::Sender<Event>,
        tracker: TaskTracker,
    ) -> Self {
        Self { runtime, evaluator, events, tracker, cancels: BTreeMap::new() }
    }

    pub(super) fn start(&mut self, launch: TaskLaunch, payload: Payload, inputs: Vec<Arc<MapStatuses>>) {
        let task = launch.task;
        let (cancel, cancelled) = oneshot::channel();
        self.cancels.retain(|_, c| !c.is_closed());
        self.cancels.insert(task, cancel);
        let work = self.runtime.spawn(attempt(self.evaluator.clone(), launch, payload, inputs));
        let events = self.events.clone();
        self.tracker.spawn(async move {
            let result = watch(work, cancelled).await;
            // The loop is gone when the executor exits; nobody wants to know then.
            let _ = events.send(Event::TaskEnded { task, result }).await;
        });
    }

    pub(super) fn cancel(&mut self, task: TaskId, reason: String) {
        if let Some(cancel) = self.cancels.remove(&task) {
            // A task that has just ended cannot be told.
            let _ = cancel.send(reason);
        }
    }
}

/// Runs one attempt.
async fn attempt(
    evaluator: Arc<Evaluator>,
    launch: TaskLaunch,
    payload: Payload,
    inputs: Vec<Arc<MapStatuses>>,
) -> Ended {
    let TaskLaunch { task, stage, stage_attempt, partition, attempt, .. } = launch;
    failpoint!(
        "task.start", task = task, stage = stage, stage_attempt = stage_attempt, partition = partition, attempt = attempt,
        result = launch.target == TaskTarget::Result; error => return Err(TaskFailure::Transient(error.to_string()))
    );
    let ended = evaluator.run(launch, payload, inputs).await;
    failpoint!("task.end", task = task, stage = stage, partition = partition, attempt = attempt, ok = ended.is_ok());
    ended
}

/// Waits for a task's end, which a cancellation brings about at the task's next pause.
async fn watch(mut work: JoinHandle<Ended>, cancelled: oneshot::Receiver<String>) -> Ended {
    let reason = tokio::select! {
        ended = &mut work => return ended.unwrap_or_else(|e| Err(broken(e, "the task runtime ended"))),
        reason = cancelled => reason.unwrap_or_else(|_| "the executor ends".into()),
    };
    work.abort();
    work.await.unwrap_or_else(|e| Err(broken(e, &reason)))
}

fn broken(error: JoinError, reason: &str) -> TaskFailure {
    match error.try_into_panic() {
        Ok(thrown) => panics::failure(thrown.as_ref()),
        Err(_) => TaskFailure::Killed(reason.to_owned()),
    }
}
