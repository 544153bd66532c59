//! Faults: drawn from the seed, fired while tasks run, over after a while.

mod strike;

use super::{
    chance::Chance,
    cluster::{Cluster, Occurrence},
    node::NodeId,
};
use hearth_core::{JobId, LinkId, Now, StageId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An executor's process ends with code 137, 134 or 1.
    KillExecutor,
    /// A worker's process ends with all its children, with or without its disk, and is started again.
    KillWorker,
    /// A block service ends; its worker starts another one.
    KillBlockService,
    /// All outputs on a worker's disk are gone.
    LoseDisk,
    /// One output on a worker's disk is not any more what was written.
    DamageOutput,
    /// A worker is asked to stop, and is started again once it has.
    StopWorker,
    /// The master ends, and is started again with empty tables.
    KillMaster,
    /// A driver ends; its user starts another one.
    KillDriver,
    /// A process is stopped and continued.
    Pause,
    /// A link breaks, and both ends know it soon.
    Cut,
    /// A link breaks, and one end learns of it only from its keep-alive.
    HalfOpen,
    /// Links stop and go on, one by one.
    Swizzle,
    /// Some machines cannot talk to the others.
    Partition,
    /// Nothing passes from some machines to others; the other way round it does.
    OneWay,
    /// Tasks on one machine take longer.
    Slow,
    /// The wall's clock jumps.
    ClockJump,
    /// Executors cannot be started.
    SpawnFails,
    /// Tasks do not hear that they are to end.
    Deaf,
    /// Answers to executors are lost, late, or come twice.
    LoseAnswers,
    /// A user does not want a job any more, and then wants it again.
    Cancel,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 20] = [
        Self::KillExecutor,
        Self::KillWorker,
        Self::KillBlockService,
        Self::LoseDisk,
        Self::DamageOutput,
        Self::StopWorker,
        Self::KillMaster,
        Self::KillDriver,
        Self::Pause,
        Self::Cut,
        Self::HalfOpen,
        Self::Swizzle,
        Self::Partition,
        Self::OneWay,
        Self::Slow,
        Self::ClockJump,
        Self::SpawnFails,
        Self::Deaf,
        Self::LoseAnswers,
        Self::Cancel,
    ];

    fn random(chance: &mut Chance) -> Self {
        use Kind::*;
        // What happens most in clusters comes most often.
        const OFTEN: [Kind; 8] =
            [KillExecutor, KillExecutor, KillWorker, Cut, Pause, Partition, LoseDisk, KillExecutor];
        if chance.once_in(2) {
            OFTEN[chance.index(OFTEN.len() - 1)]
        } else {
            Kind::ALL[chance.index(Kind::ALL.len() - 1)]
        }
    }
}

/// One fault.
#[derive(Debug)]
struct Fault {
    kind: Kind,
    /// It is due when so many tasks were started …
    after_tasks: u64,
    /// … and so much time has passed.
    delay: Duration,
    /// Times that there was nothing for it to strike.
    misses: u32,
    undo: Undo,
}

/// What ends a fault.
#[derive(Debug)]
enum Undo {
    Nothing,
    Heal(Vec<(usize, usize)>),
    Unclog(LinkId),
    Quicken(usize),
    HearAnswers,
}

/// Whom a fault concerns.
#[derive(Clone, Debug)]
pub(super) enum Touches {
    Everybody,
    /// Whoever has to do with this machine.
    Host(usize),
    /// Whoever has to do with both machines of a pair.
    Pairs(Vec<(usize, usize)>),
}

impl Touches {
    /// Whether it concerns somebody who has to do with these machines.
    pub(super) fn concern(&self, hosts: &BTreeSet<usize>) -> bool {
        match self {
            Self::Everybody => true,
            Self::Host(host) => hosts.contains(host),
            Self::Pairs(pairs) => pairs.iter().any(|(a, b)| hosts.contains(a) && hosts.contains(b)),
        }
    }
}

/// A fault that fired.
#[derive(Debug)]
pub(super) struct Fired {
    pub(super) kind: Kind,
    pub(super) lasts: Duration,
    pub(super) over: Now,
    pub(super) touches: Touches,
}

/// What happens to a driver's executors and questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// A task crashed an executor.
    Crash,
    /// An executor could not be started, or ended in failure.
    BadEnd,
    /// A question got no answer in time.
    NoAnswer,
}

/// All faults of a run.
#[derive(Debug)]
pub(super) struct Faults {
    /// In the order in which they are due.
    all: Vec<Fault>,
    queued: usize,
    over_at: Now,
    spawns_that_fail: u32,
    deaf_tasks: u32,
    answers_lost: bool,
    cancelled: BTreeSet<(NodeId, JobId)>,
    block_service_deaths: u32,
    /// Those that fired.
    fired: Vec<Fired>,
    /// What happened to whose executors and questions.
    notes: Vec<(Now, Note, NodeId)>,
    /// The machines on which each driver had executors.
    used: BTreeMap<NodeId, BTreeSet<usize>>,
    /// Failures that count against a task, by its driver, stage and partition.
    counted: BTreeMap<(NodeId, StageId, u32), u64>,
    /// Workers that were asked to stop.
    stopping: BTreeSet<NodeId>,
}

/// Times that a fault looks for something to strike before another one takes its place.
const MISSES: u32 = 10;

impl Faults {
    /// So many of them, of any kind or of this one only.
    pub(super) fn plan(chance: &mut Chance, count: u32, only: Option<Kind>) -> Self {
        let fault = |chance: &mut Chance| Fault {
            kind: only.unwrap_or_else(|| Kind::random(chance)),
            after_tasks: chance.between(1, 170),
            delay: chance.millis(0, 500),
            misses: 0,
            undo: Undo::Nothing,
        };
        let mut all: Vec<_> = (0..count).map(|_| fault(chance)).collect();
        all.sort_by_key(|fault| fault.after_tasks);
        Self {
            all,
            queued: 0,
            over_at: Now::default(),
            spawns_that_fail: 0,
            deaf_tasks: 0,
            answers_lost: false,
            cancelled: BTreeSet::new(),
            block_service_deaths: 0,
            fired: Vec::new(),
            notes: Vec::new(),
            used: BTreeMap::new(),
            counted: BTreeMap::new(),
            stopping: BTreeSet::new(),
        }
    }

    /// Whether nothing is to break any more.
    pub(super) fn are_over(&self, now: Now) -> bool {
        self.queued == self.all.len() && now > self.over_at
    }

    /// When the last of the faults that fired is over.
    pub(super) const fn over_at(&self) -> Now {
        self.over_at
    }

    pub(super) fn was_cancelled(&self, driver: NodeId, job: JobId) -> bool {
        self.cancelled.contains(&(driver, job))
    }

    /// Whether a worker has reason to exit.
    pub(super) fn may_exit(&self, worker: NodeId) -> bool {
        self.block_service_deaths > 10 || self.stopping.contains(&worker)
    }

    /// The faults that fired.
    pub(super) fn fired(&self) -> &[Fired] {
        &self.fired
    }

    /// Something happened to a driver's executors or questions.
    pub(super) fn note(&mut self, now: Now, note: Note, driver: NodeId) {
        self.notes.push((now, note, driver));
    }

    /// How often it happened to this driver since.
    pub(super) fn noted(&self, note: Note, driver: NodeId, since: Now) -> u64 {
        self.notes.iter().filter(|(at, what, whose)| (*what, *whose) == (note, driver) && *at >= since).count() as u64
    }

    /// A driver has an executor on a machine.
    pub(super) fn uses(&mut self, driver: NodeId, host: usize) {
        self.used.entry(driver).or_default().insert(host);
    }

    /// The machines on which a driver has had executors.
    pub(super) fn used(&self, driver: NodeId) -> impl Iterator<Item = usize> {
        self.used.get(&driver).into_iter().flatten().copied()
    }

    /// A failure that counts against a task.
    pub(super) fn count(&mut self, driver: NodeId, stage: StageId, partition: u32) {
        *self.counted.entry((driver, stage, partition)).or_default() += 1;
    }

    pub(super) fn counted(&self, driver: NodeId, stage: StageId, partition: u32) -> u64 {
        self.counted.get(&(driver, stage, partition)).copied().unwrap_or(0)
    }

    /// All that count against tasks of a driver.
    pub(super) fn counted_of(&self, driver: NodeId) -> u64 {
        self.counted.iter().filter(|((of, ..), _)| *of == driver).map(|(_, count)| count).sum()
    }
}

/// A fault that has struck.
struct Struck {
    lasts: Duration,
    undo: Undo,
    touches: Touches,
}

impl Struck {
    /// It was over as soon as it was there.
    fn at_once(touches: Touches) -> Option<Self> {
        Self::lasts(Duration::ZERO, touches)
    }

    fn lasts(lasts: Duration, touches: Touches) -> Option<Self> {
        Self::until(lasts, Undo::Nothing, touches)
    }

    fn until(lasts: Duration, undo: Undo, touches: Touches) -> Option<Self> {
        Some(Self { lasts, undo, touches })
    }
}

impl Cluster {
    /// One more task was started: some faults may be due.
    pub(super) fn task_started(&mut self) {
        while let Some(fault) = self.faults.all.get(self.faults.queued) {
            if fault.after_tasks > self.outcome.tasks {
                return;
            }
            let (place, delay) = (self.faults.queued, fault.delay);
            self.faults.queued += 1;
            self.later(delay, Occurrence::FaultIsDue { place });
        }
    }

    pub(super) fn fault_is_due(&mut self, place: usize) {
        let kind = self.faults.all[place].kind;
        match self.strike(kind) {
            Some(Struck { lasts, undo, touches }) => {
                self.trace.say(self.now, || format!("FAULT {kind:?} for {lasts:?}: {undo:?}"));
                self.outcome.fired[kind as usize] += 1;
                let over = self.now.after(lasts);
                self.faults.fired.push(Fired { kind, lasts, over, touches });
                self.faults.over_at = self.faults.over_at.max(over);
                self.faults.all[place].undo = undo;
                self.queue.put(over, Occurrence::FaultIsOver { place });
            }
            None => {
                let fault = &mut self.faults.all[place];
                fault.misses += 1;
                if fault.misses.is_multiple_of(MISSES) && self.options.only.is_none() {
                    fault.kind = Kind::random(&mut self.chance);
                }
                let delay = self.chance.millis(10, 100);
                self.later(delay, Occurrence::FaultIsDue { place });
            }
        }
    }

    pub(super) fn fault_is_over(&mut self, place: usize) {
        let undo = std::mem::replace(&mut self.faults.all[place].undo, Undo::Nothing);
        match undo {
            Undo::Nothing => {}
            Undo::Heal(pairs) => {
                for (link, arrivals) in self.network.heal(self.now, &pairs, &mut self.chance) {
                    self.arrive(link, arrivals);
                }
            }
            Undo::Unclog(link) => {
                let arrivals = self.network.unclog(self.now, link, &mut self.chance);
                self.arrive(link, arrivals);
            }
            Undo::Quicken(seat) => self.seats[seat].slow = 1,
            Undo::HearAnswers => self.faults.answers_lost = false,
        }
    }
}
