//! An application as the master sees it: what it asked for, what it has, and whether its driver can be spoken to.

use super::{ends::Ends, options::MasterOptions, placement::Demand, retry::Retries};
use hearth_core::messages::{application::ApplicationSpec, status::ApplicationView};
use hearth_core::{ApplicationId, ApplicationState, ExecutorId, LinkId, Now, Resources, WallTime, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a driver can be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// On this link.
    Linked(LinkId),
    /// Its link broke; it has a grace to come back.
    Away {
        /// Since when.
        since: Now,
    },
}

/// An executor that an application has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Where.
    pub(super) worker: WorkerId,
    /// What it holds.
    pub(super) resources: Resources,
}

/// An application that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Application {
    pub(super) id: ApplicationId,
    pub(super) spec: ApplicationSpec,
    pub(super) presence: Presence,
    pub(super) submitted: WallTime,
    pub(super) registered: Now,
    /// Those that are not over, dying ones included.
    pub(super) executors: BTreeMap<ExecutorId, Held>,
    /// Every worker that ever had one: it may hold the application's files.
    pub(super) workers: BTreeSet<WorkerId>,
    pub(super) retries: Retries,
    /// When to tell the driver again why it waits; nothing while it does not.
    pub(super) next_notice: Option<Now>,
    pub(super) ends: Ends,
    next_executor: u32,
}

impl Application {
    pub(super) fn new(
        id: ApplicationId,
        spec: ApplicationSpec,
        link: LinkId,
        registered: Now,
        submitted: WallTime,
    ) -> Self {
        Self {
            id,
            spec,
            presence: Presence::Linked(link),
            submitted,
            registered,
            executors: BTreeMap::new(),
            workers: BTreeSet::new(),
            retries: Retries::default(),
            next_notice: None,
            ends: Ends::default(),
            next_executor: 0,
        }
    }

    /// Its link, when its driver can be spoken to.
    pub(super) const fn link(&self) -> Option<LinkId> {
        if let Presence::Linked(link) = self.presence { Some(link) } else { None }
    }

    /// Running from its first executor on.
    pub(super) const fn state(&self) -> ApplicationState {
        if self.next_executor == 0 { ApplicationState::Waiting } else { ApplicationState::Running }
    }

    /// What its executors hold.
    pub(super) fn held(&self) -> Resources {
        self.executors.values().fold(Resources::default(), |sum, held| sum.plus(&held.resources))
    }

    /// Its cap on cores.
    pub(super) fn cap(&self, options: &MasterOptions) -> Option<u32> {
        self.spec.max_cores.or(options.default_cores)
    }

    /// Its limit on executors; the master has one of its own.
    pub(super) fn limit(&self, options: &MasterOptions) -> u32 {
        self.spec.max_executors.unwrap_or(u32::MAX).min(options.max_executors_per_application)
    }

    /// What it may still get, not counting what keeps it from getting it now.
    pub(super) fn wants(&self, options: &MasterOptions) -> Demand {
        let executors = u32::try_from(self.executors.len()).unwrap_or(u32::MAX);
        // An executor's number is never used twice, not even when they run out.
        let numbers = u32::MAX - self.next_executor;
        Demand {
            application: self.id.clone(),
            cores_per_executor: self.spec.cores_per_executor,
            memory_mib: self.spec.memory_per_executor_mib,
            cores: self.cap(options).unwrap_or(u32::MAX).saturating_sub(self.held().cores),
            executors: self.limit(options).saturating_sub(executors).min(numbers),
        }
    }

    /// What it may get now; nothing while its driver is away or its executors end too quickly.
    pub(super) fn demand(&self, options: &MasterOptions) -> Option<Demand> {
        if self.link().is_none() || self.retries.pause_until.is_some() {
            return None;
        }
        Some(self.wants(options)).filter(Demand::is_open)
    }

    /// Whether it has nothing and wants something.
    pub(super) fn is_starved(&self, options: &MasterOptions) -> bool {
        self.executors.is_empty() && self.limit(options) > 0
    }

    /// Whether it asked for a certain amount and does not have it yet. One that takes whatever it gets has it.
    pub(super) fn is_short(&self, options: &MasterOptions) -> bool {
        let bounded = self.cap(options).is_some() || self.spec.max_executors.is_some();
        self.is_starved(options) || (bounded && self.wants(options).is_open())
    }

    /// Takes an executor, and gives it its number.
    pub(super) fn take(&mut self, held: Held) -> ExecutorId {
        let id = ExecutorId(self.next_executor);
        self.next_executor += 1;
        self.workers.insert(held.worker.clone());
        self.executors.insert(id, held);
        id
    }

    /// How many executors it has ever had.
    pub(super) const fn ever_had(&self) -> u32 {
        self.next_executor
    }

    /// When its driver is given up, unless it comes back before.
    pub(super) fn expires(&self, options: &MasterOptions) -> Option<Now> {
        match self.presence {
            Presence::Linked(_) => None,
            Presence::Away { since } => Some(since.after(options.driver_grace)),
        }
    }

    /// Panics if it contradicts itself.
    pub(super) fn check(&self, options: &MasterOptions) {
        let id = &self.id;
        assert!(self.executors.keys().all(|e| e.0 < self.next_executor), "{id} has an executor with a future number");
        assert!(self.executors.values().all(|h| self.workers.contains(&h.worker)), "{id} forgot a worker");
        assert!(self.executors.len() <= options.max_executors_per_application as usize, "{id} has too many executors");
        self.ends.check();
        let notice = self.link().is_some() && self.is_starved(options);
        assert_eq!(self.next_notice.is_some(), notice, "{id} waits in silence, or is told that it waits and does not");
    }
}

/// An application that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Completed {
    /// What is shown of it.
    pub(super) view: ApplicationView,
    /// How its last executors ended.
    pub(super) ends: Ends,
    /// How many it ever had: their numbers lie below.
    pub(super) ever_had: u32,
}
