//! Effects become deeds.

use super::{ExecutorExit, disks::Disks, replicas::Replicas, slots::Slots, uplink::Uplink};
use crate::machine::{Effect, Event};
use hearth_core::{
    Level, ShuffleId, TaskId,
    client::DriverClient,
    run::{Perform, Performed},
};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

/// The executor's hands.
pub(super) struct Performer {
    pub(super) slots: Slots,
    pub(super) uplink: Uplink,
    pub(super) client: Arc<dyn DriverClient>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) tracker: TaskTracker,
    pub(super) replicas: Arc<Replicas>,
    pub(super) outputs: Arc<Disks>,
    pub(super) exit: watch::Sender<Option<ExecutorExit>>,
}

impl Perform<Effect> for Performer {
    fn perform(&mut self, effect: Effect) -> Performed {
        match effect {
            Effect::Dial => self.uplink.dial(),
            Effect::ToDriver { link, message } => self.uplink.say(link, message),
            Effect::FetchPayload { hash } => {
                let client = self.client.clone();
                self.ask(async move { Event::PayloadArrived { hash, answer: client.payload(hash).await } });
            }
            Effect::FetchMapStatuses { shuffle, epoch } => {
                let client = self.client.clone();
                self.ask(async move {
                    Event::MapStatusesArrived { shuffle, answer: client.map_statuses(shuffle, epoch).await }
                });
            }
            Effect::StartTask { launch, payload, inputs } => self.slots.start(launch, payload, inputs),
            Effect::CancelTask { task, reason } => self.slots.cancel(task, reason),
            Effect::RemoveFiles { shuffles, results } => self.remove(shuffles, results),
            Effect::Log { level, text } => log(level, &text),
            Effect::Exit { code, reason } => {
                self.exit.send_replace(Some(ExecutorExit { code, reason }));
                return Performed::Stopped;
            }
        }
        Performed::Done
    }
}

impl Performer {
    /// Asks the driver something. There are as many questions at once as tasks have different inputs.
    fn ask(&self, question: impl Future<Output = Event> + Send + 'static) {
        let events = self.events.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                // The loop may be gone by now: then nobody wants to know.
                event = question => drop(events.send(event).await),
                () = events.closed() => {}
            }
        });
    }

    fn remove(&self, shuffles: Vec<ShuffleId>, results: Vec<TaskId>) {
        self.replicas.forget(&shuffles);
        let outputs = self.outputs.clone();
        self.tracker.spawn_blocking(move || {
            for dir in outputs.paths() {
                match hearth_blocks::remove_outputs(dir, &shuffles, &results) {
                    Ok(files) => tracing::debug!("removed {files} files of {shuffles:?} and {results:?}"),
                    // They go with the application's directory.
                    Err(e) => tracing::warn!("cannot remove the files of {shuffles:?} and {results:?}: {e}"),
                }
            }
        });
    }
}

fn log(level: Level, text: &str) {
    match level {
        Level::Debug => tracing::debug!("{text}"),
        Level::Info => tracing::info!("{text}"),
        Level::Warn => tracing::warn!("{text}"),
        Level::Error => tracing::error!("{text}"),
    }
}
