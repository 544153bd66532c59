//! A worker as the master sees it: what it offers, what runs on it, and whether it can be spoken to.
//!
//! The worker's table of executors is where cores and memory are accounted for. An executor holds its share until the
//! worker reports its end or is given up, also while it is being killed and when its application is over already: only
//! then are the cores really free.

use super::options::MasterOptions;
use hearth_core::messages::worker::{Address, WorkerRegistration};
use hearth_core::{ApplicationId, ExecutorId, ExecutorState, Labels, LinkId, Now, Resources, WorkerId, WorkerState};
use std::collections::BTreeMap;

/// An executor's full name.
pub(super) type ExecutorKey = (ApplicationId, ExecutorId);

/// Whether a worker can be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is alive, on this link.
    Linked(LinkId),
    /// Its link broke; it has a short grace to come back with all it had.
    Away {
        /// Since when.
        since: Now,
    },
    /// It was given up. It holds nothing.
    Dead {
        /// Since when.
        since: Now,
        /// Its link, when that is still open.
        link: Option<LinkId>,
        /// Nothing more is to be said on that link: it was told to register anew, or it is leaving.
        told: bool,
        /// It said that it leaves.
        left: bool,
        /// For people.
        reason: String,
    },
}

/// An executor on a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Executor {
    /// What it holds.
    pub(super) resources: Resources,
    /// `LAUNCHING` or `RUNNING`.
    pub(super) state: ExecutorState,
    /// Since when it has been running.
    pub(super) running_since: Option<Now>,
    /// Why it is being killed, when it is.
    pub(super) kill: Option<String>,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Worker {
    pub(super) address: Address,
    pub(super) total: Resources,
    pub(super) labels: Labels,
    pub(super) standing: Standing,
    pub(super) last_heard: Now,
    executors: BTreeMap<ExecutorKey, Executor>,
    used: Resources,
}

impl Worker {
    /// A worker that has just been registered.
    pub(super) fn new(now: Now, link: LinkId, registration: &WorkerRegistration) -> Self {
        Self {
            address: registration.address.clone(),
            total: registration.resources,
            labels: registration.labels.clone(),
            standing: Standing::Linked(link),
            last_heard: now,
            executors: BTreeMap::new(),
            used: Resources::default(),
        }
    }

    /// Its link, when it is alive and can be spoken to.
    pub(super) const fn link(&self) -> Option<LinkId> {
        if let Standing::Linked(link) = self.standing { Some(link) } else { None }
    }

    /// Its state, as people know it. A worker in its grace counts as alive.
    pub(super) const fn state(&self) -> WorkerState {
        match self.standing {
            Standing::Linked(_) | Standing::Away { .. } => WorkerState::Alive,
            Standing::Dead { .. } => WorkerState::Dead,
        }
    }

    /// Whether it said that it leaves, and has not come back.
    pub(super) const fn has_left(&self) -> bool {
        matches!(self.standing, Standing::Dead { left: true, .. })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.state() == WorkerState::Alive
    }

    /// When it must be given up, unless it is heard of before.
    pub(super) fn expires(&self, options: &MasterOptions) -> Option<Now> {
        match self.standing {
            Standing::Linked(_) => Some(self.last_heard.after(options.worker_timeout)),
            Standing::Away { since } => Some(since.after(options.worker_link_grace)),
            Standing::Dead { .. } => None,
        }
    }

    /// What its executors hold.
    pub(super) const fn used(&self) -> Resources {
        self.used
    }

    /// What is left.
    pub(super) fn free(&self) -> Resources {
        self.total.minus(&self.used).expect("no more is held than there is")
    }

    pub(super) const fn executors(&self) -> &BTreeMap<ExecutorKey, Executor> {
        &self.executors
    }

    pub(super) fn executor_mut(&mut self, key: &ExecutorKey) -> Option<&mut Executor> {
        self.executors.get_mut(key)
    }

    /// Puts an executor on it. False, and nothing is done, when there is no room or the executor is there already.
    pub(super) fn hold(&mut self, key: ExecutorKey, executor: Executor) -> bool {
        if !self.free().fits(&executor.resources) || self.executors.contains_key(&key) {
            return false;
        }
        self.used = self.used.plus(&executor.resources);
        self.executors.insert(key, executor);
        true
    }

    /// Takes an executor off it.
    pub(super) fn release(&mut self, key: &ExecutorKey) -> Option<Executor> {
        let executor = self.executors.remove(key)?;
        self.used = self.used.minus(&executor.resources).expect("what was held is in the sum");
        Some(executor)
    }

    /// Panics if it contradicts itself.
    pub(super) fn check(&self, id: &WorkerId) {
        let held = self.executors.values().fold(Resources::default(), |sum, e| sum.plus(&e.resources));
        assert_eq!(self.used, held, "{id} accounts for {}, its executors hold {held}", self.used);
        assert!(self.total.fits(&held), "{id} is oversubscribed: {held} of {}", self.total);
        for (key, executor) in &self.executors {
            assert!(!executor.state.is_final(), "{key:?} is over and still on {id}");
            assert!(executor.resources.cores > 0, "{key:?} on {id} has no core");
            assert_eq!(executor.running_since.is_some(), executor.state == ExecutorState::Running, "{key:?} on {id}");
        }
        if let Standing::Dead { .. } = self.standing {
            assert!(self.executors.is_empty(), "{id} is dead and holds executors");
        }
    }
}
