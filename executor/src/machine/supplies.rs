//! What tasks need before they can run: payloads and map statuses.

use super::{Cache, Effect, ExecutorOptions};
use hearth_core::{
    Mutant, Payload, PayloadHash, Refusal, ShuffleId,
    messages::task::{MapStatuses, TaskFailure, TaskInput, TaskLaunch},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a map status weighs beside its sizes: its location's texts, mostly.
const STATUS_OVERHEAD: u64 = 256;

/// Why the tasks that wait for something cannot have it.
#[derive(Debug, PartialEq)]
pub(super) enum Denied {
    Payload {
        hash: PayloadHash,
        failure: TaskFailure,
    },
    /// The question was for statuses of this epoch.
    Statuses {
        shuffle: ShuffleId,
        epoch: u64,
        failure: TaskFailure,
    },
}

impl Denied {
    pub(super) const fn failure(&self) -> &TaskFailure {
        match self {
            Self::Payload { failure, .. } | Self::Statuses { failure, .. } => failure,
        }
    }
}

/// What is kept, and what was asked for. Each thing is asked for once at a time, however many tasks wait for it.
#[derive(Debug)]
pub(super) struct Supplies {
    payloads: Cache<PayloadHash, Payload>,
    payloads_asked: BTreeSet<PayloadHash>,
    statuses: Cache<ShuffleId, Arc<MapStatuses>>,
    /// With the epoch that was asked for.
    statuses_asked: BTreeMap<ShuffleId, u64>,
}

impl Supplies {
    pub(super) const fn new(options: &ExecutorOptions) -> Self {
        Self {
            payloads: Cache::new(options.payload_cache_bytes),
            payloads_asked: BTreeSet::new(),
            statuses: Cache::new(options.statuses_cache_bytes),
            statuses_asked: BTreeMap::new(),
        }
    }

    fn has_input(&self, input: &TaskInput) -> bool {
        self.statuses.peek(&input.shuffle).is_some_and(|s| s.epoch >= input.epoch || Mutant::EpochNotCompared.is_on())
    }

    /// Asks for what a task needs, as far as it is neither here nor asked for.
    pub(super) fn ask(&mut self, launch: &TaskLaunch, fx: &mut Vec<Effect>) {
        let hash = launch.payload;
        if self.payloads.peek(&hash).is_none() && self.payloads_asked.insert(hash) {
            fx.push(Effect::FetchPayload { hash });
        }
        for input in &launch.inputs {
            if !self.has_input(input) && !self.statuses_asked.contains_key(&input.shuffle) {
                let TaskInput { shuffle, epoch } = *input;
                self.statuses_asked.insert(shuffle, epoch);
                fx.push(Effect::FetchMapStatuses { shuffle, epoch });
            }
        }
    }

    /// All that a task needs, or nothing when some of it is not here yet.
    pub(super) fn get(&mut self, launch: &TaskLaunch) -> Option<(Payload, Vec<Arc<MapStatuses>>)> {
        if !launch.inputs.iter().all(|input| self.has_input(input)) {
            return None;
        }
        let payload = self.payloads.get(&launch.payload)?.clone();
        let inputs = launch.inputs.iter().map(|input| self.statuses.get(&input.shuffle).map(Arc::clone));
        Some((payload, inputs.collect::<Option<_>>()?))
    }

    /// Takes an answer, and says what its question's askers cannot have. One that nobody waits for any more is dropped.
    pub(super) fn payload_arrived(&mut self, hash: PayloadHash, answer: Result<Payload, Refusal>) -> Option<Denied> {
        if !self.payloads_asked.remove(&hash) {
            return None;
        }
        let failure = match answer {
            Ok(payload) if payload.hash() == hash => {
                let weight = payload.bytes().len() as u64;
                self.payloads.insert(hash, payload, weight);
                return None;
            }
            Ok(payload) => format!("the driver answered with payload {} where {hash} was asked for", payload.hash()),
            Err(refusal) => format!("the driver does not give payload {hash}: {refusal}"),
        };
        Some(Denied::Payload { hash, failure: TaskFailure::Transient(failure) })
    }

    /// Takes an answer, and says what its question's askers cannot have. One that nobody waits for any more is dropped.
    ///
    /// Outputs that are gone are no failure of the task that wanted to read them: the driver knows of the loss and has
    /// them made again. There is no location to blame, so it is not a failed fetch either; the task counts as killed.
    pub(super) fn statuses_arrived(
        &mut self,
        shuffle: ShuffleId,
        answer: Result<MapStatuses, Refusal>,
    ) -> Option<Denied> {
        let epoch = self.statuses_asked.remove(&shuffle)?;
        let failure = match answer {
            Ok(statuses) if statuses.shuffle == shuffle && statuses.epoch >= epoch => {
                let weight = statuses.statuses.iter().map(|s| STATUS_OVERHEAD + 8 * s.sizes.len() as u64).sum();
                self.statuses.insert(shuffle, Arc::new(statuses), weight);
                return None;
            }
            Ok(statuses) => TaskFailure::Transient(format!(
                "the driver answered with the outputs of shuffle {} as of epoch {} where those of shuffle {shuffle} as of \
                 epoch {epoch} were asked for",
                statuses.shuffle, statuses.epoch
            )),
            Err(Refusal::Gone(what)) => TaskFailure::Killed(format!(
                "the map outputs of shuffle {shuffle} are being recomputed: {what} is gone"
            )),
            Err(refusal) => {
                TaskFailure::Transient(format!("the driver does not give the outputs of shuffle {shuffle}: {refusal}"))
            }
        };
        Some(Denied::Statuses { shuffle, epoch, failure })
    }

    /// Whether a waiting task cannot have what it waits for.
    pub(super) fn denies(&self, denied: &Denied, launch: &TaskLaunch) -> bool {
        match denied {
            Denied::Payload { hash, .. } => launch.payload == *hash,
            // A later epoch is another question.
            Denied::Statuses { shuffle, epoch, .. } => {
                let mut inputs = launch.inputs.iter();
                inputs.any(|i| i.shuffle == *shuffle && i.epoch <= *epoch && !self.has_input(i))
            }
        }
    }

    /// Drops these, and the questions for them.
    pub(super) fn forget(&mut self, payloads: &[PayloadHash], shuffles: &[ShuffleId]) {
        for hash in payloads {
            self.payloads.remove(hash);
            self.payloads_asked.remove(hash);
        }
        for shuffle in shuffles {
            self.statuses.remove(shuffle);
            self.statuses_asked.remove(shuffle);
        }
    }

    /// Keeps to the bounds. What the tasks in slots use stays.
    pub(super) fn trim<'a>(&mut self, launches: impl Iterator<Item = &'a TaskLaunch> + Clone) {
        self.payloads.trim(|hash| uses_payload(launches.clone(), hash));
        self.statuses.trim(|shuffle| uses_shuffle(launches.clone(), shuffle));
    }

    pub(super) fn clear(&mut self) {
        self.payloads.clear();
        self.payloads_asked.clear();
        self.statuses.clear();
        self.statuses_asked.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.payloads.is_empty()
            && self.payloads_asked.is_empty()
            && self.statuses.is_empty()
            && self.statuses_asked.is_empty()
    }

    /// A waiting task lacks something, and all it lacks was asked for.
    pub(super) fn check_waiting(&self, launch: &TaskLaunch) {
        let task = launch.task;
        let payload = self.payloads.peek(&launch.payload).is_some();
        assert!(payload || self.payloads_asked.contains(&launch.payload), "{task:?} waits for what nobody asked for");
        for input in launch.inputs.iter().filter(|input| !self.has_input(input)) {
            assert!(self.statuses_asked.contains_key(&input.shuffle), "{task:?} waits for what nobody asked for");
        }
        assert!(!payload || !launch.inputs.iter().all(|i| self.has_input(i)), "{task:?} waits for nothing");
    }

    pub(super) fn check<'a>(&self, launches: impl Iterator<Item = &'a TaskLaunch> + Clone) {
        self.payloads.check(|hash| uses_payload(launches.clone(), hash));
        self.statuses.check(|shuffle| uses_shuffle(launches.clone(), shuffle));
        let asked_twice = self.payloads_asked.iter().any(|hash| self.payloads.peek(hash).is_some());
        assert!(!asked_twice, "a payload that is here was asked for");
    }
}

fn uses_payload<'a>(mut launches: impl Iterator<Item = &'a TaskLaunch>, hash: &PayloadHash) -> bool {
    launches.any(|l| l.payload == *hash)
}

fn uses_shuffle<'a>(mut launches: impl Iterator<Item = &'a TaskLaunch>, shuffle: &ShuffleId) -> bool {
    launches.any(|l| l.inputs.iter().any(|i| i.shuffle == *shuffle))
}
