//! The application's executors, as the driver sees them.
//!
//! ```text
//!            granted           Register                    link closed
//!   (none) ─────────> Granted ─────────> Connected(link) ──────────────> Away ──┐
//!      └────────── Register before the grant's news ──────────^  ^──────────────┘ Register again
//!
//!   any of them ── the master says it is over, its worker is removed, silence ──> lost for good
//! ```
//!
//! An executor that is away keeps its tasks for a short grace; then they are queued again, and it may still come back
//! without them. Ids are never used twice: what was lost stays lost, whatever it says later.

use super::{Effect, tasks::Suspect};
use hearth_core::{
    ExecutorId, LinkId, Mutant, Now, TaskId, WorkerId,
    messages::{
        application::ExecutorGrant,
        task::{BlockLocation, ExecutorRegistration, MAX_PEERS, TaskDown},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Executors that may connect before the master's grant is heard of: a burst of launches, not a flood of strangers.
pub(super) const MAX_UNGRANTED: usize = 1024;
/// Lost executors that are remembered one by one; older ids count as lost too.
const LOST_KEPT: usize = 4096;
/// How often silence is looked for; detection is late by at most this.
const SWEEP: Duration = Duration::from_secs(5);

/// Where an executor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Its process is being started.
    Granted,
    /// It listens on this link.
    Connected(LinkId),
    /// Its link closed; until then it keeps its tasks.
    Away(Option<Now>),
}

/// What is free of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Free {
    pub(super) executor: ExecutorId,
    /// All of its slots.
    pub(super) cores: u32,
    /// Those that no task holds.
    pub(super) slots: u32,
}

/// One executor.
#[derive(Debug)]
pub(super) struct Executor {
    pub(super) worker: WorkerId,
    pub(super) host: String,
    pub(super) cores: u32,
    /// Where its outputs are, once it has said so.
    blocks: Option<BlockLocation>,
    pub(super) presence: Presence,
    granted: bool,
    /// When it last said anything, or was granted.
    heard: Now,
    /// Attempts that hold its slots, with how many each holds.
    pub(super) running: BTreeMap<TaskId, u32>,
    /// Attempts that it brought back when nobody waited for them any more, with when they cost it. Until they have ended
    /// nobody knows how many of its slots are free.
    leaving: BTreeMap<TaskId, Now>,
    /// Tasks that it had when it went away, and that were queued again: they may have been what ended it.
    pub(super) suspects: Vec<Suspect>,
}

impl Executor {
    /// Slots that are known to be free.
    fn free(&self) -> u32 {
        if self.leaving.is_empty() { self.cores.saturating_sub(self.used()) } else { 0 }
    }

    /// Whether it takes tasks, now or when one of those that it has ends.
    pub(super) fn serves(&self) -> bool {
        matches!(self.presence, Presence::Connected(_)) && self.leaving.is_empty()
    }

    /// Slots that its tasks hold.
    pub(super) fn used(&self) -> u32 {
        self.running.values().fold(0, |sum, slots| sum.saturating_add(*slots))
    }
}

/// The table of executors.
#[derive(Debug, Default)]
pub(super) struct Executors {
    table: BTreeMap<ExecutorId, Executor>,
    links: BTreeMap<LinkId, ExecutorId>,
    lost: BTreeSet<ExecutorId>,
    /// Ids below this are lost.
    floor: ExecutorId,
    graces: BTreeSet<(Now, ExecutorId)>,
    sweep_at: Option<Now>,
    had_any: bool,
}

impl Executors {
    /// The master grants one. False when it is lost already.
    pub(super) fn granted(&mut self, now: Now, grant: ExecutorGrant) -> bool {
        if self.is_lost(grant.executor) {
            return false;
        }
        let executor = self.table.entry(grant.executor).or_insert_with(|| Executor {
            worker: grant.worker,
            host: grant.host,
            cores: grant.resources.cores,
            blocks: None,
            presence: Presence::Granted,
            granted: true,
            heard: now,
            running: BTreeMap::new(),
            leaving: BTreeMap::new(),
            suspects: Vec::new(),
        });
        executor.granted = true;
        self.sweep_at.get_or_insert(now.after(SWEEP));
        true
    }

    /// It connected, or came back. Gives the link that this one replaces.
    pub(super) fn connected(&mut self, now: Now, link: LinkId, said: ExecutorRegistration) -> Option<LinkId> {
        let id = said.executor;
        let executor = self.table.entry(id).or_insert_with(|| Executor {
            worker: said.worker.clone(),
            host: said.host.clone(),
            cores: said.cores,
            blocks: None,
            presence: Presence::Granted,
            granted: false,
            heard: now,
            running: BTreeMap::new(),
            leaving: BTreeMap::new(),
            suspects: Vec::new(),
        });
        (executor.worker, executor.host, executor.cores) = (said.worker, said.host, said.cores);
        executor.blocks = Some(said.blocks);
        executor.heard = now;
        executor.suspects.clear();
        executor.leaving.clear();
        let before = std::mem::replace(&mut executor.presence, Presence::Connected(link));
        self.links.insert(link, id);
        self.had_any = true;
        self.sweep_at.get_or_insert(now.after(SWEEP));
        match before {
            Presence::Connected(_) if Mutant::DuplicateRegistration.is_on() => None,
            Presence::Connected(old) => {
                self.links.remove(&old);
                Some(old)
            }
            Presence::Away(Some(until)) => {
                self.graces.remove(&(until, id));
                None
            }
            Presence::Granted | Presence::Away(None) => None,
        }
    }

    /// Where the executors that listen keep blocks which others can ask for.
    pub(super) fn peers(&self) -> Vec<BlockLocation> {
        let listens = |executor: &&Executor| matches!(executor.presence, Presence::Connected(_));
        let blocks = self.table.values().filter(listens).filter_map(|executor| executor.blocks.clone());
        // Executors of one worker have one block service.
        let served: BTreeSet<_> = blocks.filter(|blocks| blocks.address.port != 0).collect();
        served.into_iter().take(MAX_PEERS).collect()
    }

    /// Its link closed.
    pub(super) fn link_closed(&mut self, now: Now, link: LinkId, grace: Duration) -> Option<ExecutorId> {
        let id = self.links.remove(&link)?;
        let until = now.after(grace);
        let executor = self.table.get_mut(&id).expect("a link has an executor");
        executor.presence = Presence::Away(Some(until));
        executor.leaving.clear(); // It names them again when it comes back.
        self.graces.insert((until, id));
        Some(id)
    }

    /// The next executor that has been away for too long to keep its tasks.
    pub(super) fn next_overdue(&mut self, now: Now) -> Option<ExecutorId> {
        let (until, id) = *self.graces.first()?;
        if until > now {
            return None;
        }
        self.graces.remove(&(until, id));
        self.table.get_mut(&id).expect("a grace has an executor").presence = Presence::Away(None);
        Some(id)
    }

    /// Executors of which nothing has been heard for `timeout`. Looks only when it is time to.
    pub(super) fn silent(&mut self, now: Now, timeout: Duration) -> Vec<ExecutorId> {
        if self.sweep_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.sweep_at = (!self.table.is_empty()).then(|| now.after(SWEEP));
        self.table.iter().filter(|(_, executor)| now.since(executor.heard) >= timeout).map(|(id, _)| *id).collect()
    }

    /// It is gone for good. Gives what it was, and its link when that is still open.
    pub(super) fn lose(&mut self, id: ExecutorId) -> Option<(Executor, Option<LinkId>)> {
        self.lost.insert(id);
        if self.lost.len() > LOST_KEPT
            && let Some(oldest) = self.lost.pop_first()
        {
            self.floor = ExecutorId(oldest.0.saturating_add(1)).max(self.floor);
        }
        let executor = self.table.remove(&id)?;
        if self.table.is_empty() {
            self.sweep_at = None;
        }
        let link = match executor.presence {
            Presence::Connected(link) => {
                self.links.remove(&link);
                Some(link)
            }
            Presence::Away(Some(until)) => {
                self.graces.remove(&(until, id));
                None
            }
            Presence::Granted | Presence::Away(None) => None,
        };
        Some((executor, link))
    }

    pub(super) fn is_lost(&self, id: ExecutorId) -> bool {
        !self.table.contains_key(&id) && (id < self.floor || self.lost.contains(&id))
    }

    /// Whether one more may connect that the master has not spoken of.
    pub(super) fn takes_strangers(&self) -> bool {
        self.table.values().filter(|executor| !executor.granted).count() < MAX_UNGRANTED
    }

    /// Who speaks on this link; it was heard.
    pub(super) fn heard(&mut self, now: Now, link: LinkId) -> Option<ExecutorId> {
        let id = *self.links.get(&link)?;
        self.table.get_mut(&id).expect("a link has an executor").heard = now;
        Some(id)
    }

    pub(super) fn get(&self, id: ExecutorId) -> Option<&Executor> {
        self.table.get(&id)
    }

    /// The machine that it is on.
    pub(super) fn worker_of(&self, id: ExecutorId) -> Option<&WorkerId> {
        self.table.get(&id).map(|executor| &executor.worker)
    }

    pub(super) fn get_mut(&mut self, id: ExecutorId) -> Option<&mut Executor> {
        self.table.get_mut(&id)
    }

    pub(super) fn on_worker(&self, worker: &WorkerId) -> Vec<ExecutorId> {
        self.table.iter().filter(|(_, executor)| executor.worker == *worker).map(|(id, _)| *id).collect()
    }

    /// A task holds so many slots of it.
    pub(super) fn assign(&mut self, id: ExecutorId, task: TaskId, slots: u32) {
        let slots = if Mutant::WideTaskCountedOnce.is_on() { 1 } else { slots };
        self.table.get_mut(&id).expect("only a connected executor is offered").running.insert(task, slots);
    }

    /// The attempts that hold its slots.
    pub(super) fn tasks_of(&self, id: ExecutorId) -> BTreeSet<TaskId> {
        self.table.get(&id).map(|executor| executor.running.keys().copied().collect()).unwrap_or_default()
    }

    /// Its slots are free.
    pub(super) fn release(&mut self, id: ExecutorId, task: TaskId) {
        if let Some(executor) = self.table.get_mut(&id) {
            executor.running.remove(&task);
        }
    }

    /// It was told to end an attempt that nobody waits for, and has until then.
    pub(super) fn leaves(&mut self, id: ExecutorId, task: TaskId, until: Now) {
        if let Some(executor) = self.table.get_mut(&id) {
            executor.leaving.insert(task, until);
        }
    }

    /// Such an attempt has ended.
    pub(super) fn left(&mut self, id: ExecutorId, task: TaskId) {
        if let Some(executor) = self.table.get_mut(&id) {
            executor.leaving.remove(&task);
        }
    }

    /// The next attempt that did not end in time, with its executor.
    pub(super) fn next_unreaped(&self, now: Now) -> Option<(TaskId, ExecutorId)> {
        let late = |executor: &Executor| executor.leaving.iter().find(|(_, at)| **at <= now).map(|(task, _)| *task);
        self.table.iter().find_map(|(id, executor)| Some((late(executor)?, *id)))
    }

    /// Those that listen, with what is free of them.
    pub(super) fn free_slots(&self) -> Vec<Free> {
        let connected = self.table.iter().filter(|(_, e)| matches!(e.presence, Presence::Connected(_)));
        connected.map(|(id, e)| Free { executor: *id, cores: e.cores, slots: e.free() }).collect()
    }

    /// The slots of the largest of all, also of those on their way; nothing when there is none.
    pub(super) fn largest(&self) -> Option<u32> {
        self.table.values().map(|executor| executor.cores).max()
    }

    /// Whether one of at least so many slots is on its way, or away, or about to have them free.
    pub(super) fn awaits(&self, slots: u32) -> bool {
        let is_here = |e: &Executor| matches!(e.presence, Presence::Connected(_)) && e.leaving.is_empty();
        self.table.values().any(|e| e.cores >= slots && !is_here(e))
    }

    /// Says something to an executor; nothing when it is away: it hears what it must when it comes back.
    pub(super) fn tell(&self, id: ExecutorId, message: TaskDown, fx: &mut Vec<Effect>) {
        if let Some(Presence::Connected(link)) = self.table.get(&id).map(|executor| executor.presence) {
            fx.push(Effect::ToExecutor { link, message });
        }
    }

    /// Says the same to every connected executor.
    pub(super) fn tell_all(&self, message: &TaskDown, fx: &mut Vec<Effect>) {
        for link in self.links.keys() {
            fx.push(Effect::ToExecutor { link: *link, message: message.clone() });
        }
    }

    pub(super) fn ids(&self) -> Vec<ExecutorId> {
        self.table.keys().copied().collect()
    }

    pub(super) fn has_connected(&self) -> bool {
        !self.links.is_empty()
    }

    /// Whether there is one, here or on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether any ever connected.
    pub(super) const fn had_any(&self) -> bool {
        self.had_any
    }

    pub(super) fn deadline(&self) -> Option<Now> {
        let leaving = self.table.values().flat_map(|executor| executor.leaving.values().copied());
        self.graces.first().map(|(at, _)| *at).into_iter().chain(self.sweep_at).chain(leaving).min()
    }

    pub(super) fn runs(&self, id: ExecutorId, task: TaskId) -> bool {
        self.table.get(&id).is_some_and(|executor| executor.running.contains_key(&task))
    }

    pub(super) fn running_count(&self) -> usize {
        self.table.values().map(|executor| executor.running.len()).sum()
    }

    pub(super) fn check(&self) {
        for (id, executor) in &self.table {
            assert!(!self.is_lost(*id), "{id:?} is here and lost");
            assert!(executor.used() <= executor.cores, "{id:?} runs more than it has slots");
            let connected = matches!(executor.presence, Presence::Connected(_));
            assert!(connected || executor.leaving.is_empty(), "{id:?} is away, and is waited for to end tasks");
            match executor.presence {
                Presence::Connected(link) => assert_eq!(self.links.get(&link), Some(id), "{id:?} is on a strange link"),
                Presence::Away(Some(until)) => assert!(self.graces.contains(&(until, *id)), "{id:?} waits for ever"),
                Presence::Away(None) => assert!(executor.running.is_empty(), "{id:?} kept its tasks too long"),
                Presence::Granted => assert!(executor.running.is_empty(), "{id:?} runs tasks and never connected"),
            }
        }
        let connected = self.table.values().filter(|e| matches!(e.presence, Presence::Connected(_))).count();
        assert_eq!(connected, self.links.len(), "a link belongs to nobody");
        assert_eq!(self.sweep_at.is_some(), !self.table.is_empty(), "nobody looks for silence, or in vain");
    }
}
