//! Faults: drawn from the seed, fired while tasks run, over after a while.

use super::{
    chance::Chance,
    cluster::{Cluster, MASTER_HOST, Occurrence},
    node::{NodeId, Process},
};
use hearth_core::{JobId, LinkId, Now};
use hearth_driver::machine as driver;
use hearth_worker::machine::Child;
use std::{collections::BTreeSet, time::Duration};

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
    pub const ALL: [Self; 18] = [
        Self::KillExecutor,
        Self::KillWorker,
        Self::KillBlockService,
        Self::LoseDisk,
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
}

/// Times that a fault looks for something to strike before another one takes its place.
const MISSES: u32 = 10;

impl Faults {
    pub(super) fn plan(chance: &mut Chance, count: u32) -> Self {
        let fault = |chance: &mut Chance| Fault {
            kind: Kind::random(chance),
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
        }
    }

    /// When the last of the faults that fired is over.
    pub(super) const fn over_at(&self) -> Now {
        self.over_at
    }

    pub(super) fn was_cancelled(&self, driver: NodeId, job: JobId) -> bool {
        self.cancelled.contains(&(driver, job))
    }

    /// Whether a worker has reason to give up.
    pub(super) const fn may_worker_give_up(&self) -> bool {
        self.block_service_deaths > 10
    }
}

/// A fault that has struck: how long it lasts, and what ends it.
type Struck = Option<(Duration, Undo)>;

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
            Some((lasts, undo)) => {
                self.trace.say(self.now, || format!("FAULT {kind:?} for {lasts:?}: {undo:?}"));
                self.outcome.fired[kind as usize] += 1;
                let over = self.now.after(lasts);
                self.faults.over_at = self.faults.over_at.max(over);
                self.faults.all[place].undo = undo;
                self.queue.put(over, Occurrence::FaultIsOver { place });
            }
            None => {
                let fault = &mut self.faults.all[place];
                fault.misses += 1;
                if fault.misses.is_multiple_of(MISSES) {
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

    /// Lets a fault happen, when there is something for it to strike.
    fn strike(&mut self, kind: Kind) -> Struck {
        let at_once = Some((Duration::ZERO, Undo::Nothing));
        match kind {
            Kind::KillExecutor => {
                let node = self.some_node(|process| matches!(process, Process::Executor(_)))?;
                let exit_code = [137, 137, 134, 1][self.chance.index(3)];
                self.executor_exits(node, exit_code);
                at_once
            }
            Kind::KillWorker => self.kill_worker(),
            Kind::KillBlockService => {
                let place = self.some_worker()?;
                self.seats[place].serves_at.take()?;
                self.faults.block_service_deaths += 1;
                let of = self.seats[place].node?;
                self.worker_event(
                    of,
                    hearth_worker::machine::Event::ChildExited {
                        child: Child::BlockService,
                        exit_code: 137,
                        tail: String::new(),
                    },
                );
                Some((Duration::from_secs(1), Undo::Nothing))
            }
            Kind::LoseDisk => {
                let places: Vec<_> = (0..self.seats.len()).filter(|p| !self.seats[*p].disk.is_empty()).collect();
                let place = self.chance.pick(&places)?;
                self.seats[place].disk.clear();
                at_once
            }
            Kind::KillMaster => {
                let id = self.master.take()?;
                self.vanish(id);
                let down = self.chance.millis(100, 15_000);
                self.later(down, Occurrence::MasterStarts);
                Some((down, Undo::Nothing))
            }
            Kind::KillDriver => {
                let id = self.some_node(|process| matches!(process, Process::Driver(_)))?;
                let place = self.place_of(id);
                self.vanish(id);
                let back = self.chance.millis(500, 3000);
                self.later(back, Occurrence::DriverStarts { place });
                Some((back, Undo::Nothing))
            }
            Kind::Pause => self.pause(),
            Kind::Cut | Kind::HalfOpen => {
                let links = self.network.open_links();
                let link = self.chance.pick(&links)?;
                let half_open = (kind == Kind::HalfOpen).then(|| self.chance.index(1));
                let arrivals = self.network.cut(self.now, link, half_open, &mut self.chance);
                self.arrive(link, arrivals);
                let lasts = if half_open.is_some() { Duration::from_secs(100) } else { Duration::ZERO };
                Some((lasts, Undo::Nothing))
            }
            Kind::Swizzle => {
                let links = self.network.open_links();
                let link = self.chance.pick(&links)?;
                let sides = [[true, true], [true, false], [false, true]][self.chance.index(2)];
                let arrivals = self.network.clog(self.now, link, sides, &mut self.chance);
                self.arrive(link, arrivals);
                let lasts = self.chance.millis(50, 30_000);
                Some((lasts, Undo::Unclog(link)))
            }
            Kind::Partition | Kind::OneWay => self.split(kind == Kind::OneWay),
            Kind::Slow => {
                let place = self.some_worker()?;
                self.seats[place].slow = self.chance.number(2, 8);
                let lasts = self.chance.millis(1000, 20_000);
                Some((lasts, Undo::Quicken(place)))
            }
            Kind::ClockJump => {
                let jump = i64::try_from(self.chance.between(1000, 86_400_000)).unwrap_or(1000);
                self.wall_offset += if self.chance.once_in(2) { jump } else { -jump };
                at_once
            }
            Kind::SpawnFails => {
                // Together with a loss, so that there is something to start.
                let node = self.some_node(|process| matches!(process, Process::Executor(_)))?;
                self.faults.spawns_that_fail += self.chance.number(1, 4);
                self.executor_exits(node, 137);
                at_once
            }
            Kind::Deaf => {
                self.faults.deaf_tasks += self.chance.number(1, 6);
                Some((Duration::from_secs(30), Undo::Nothing))
            }
            Kind::LoseAnswers => {
                self.faults.answers_lost = true;
                let lasts = self.chance.millis(500, 10_000);
                Some((lasts, Undo::HearAnswers))
            }
            Kind::Cancel => self.cancel(),
        }
    }

    fn some_node(&mut self, which: impl Fn(&Process) -> bool) -> Option<NodeId> {
        let nodes: Vec<_> = (0..self.nodes.len()).filter(|id| which(&self.nodes[*id].process)).map(NodeId).collect();
        self.chance.pick(&nodes)
    }

    /// A worker that runs.
    fn some_worker(&mut self) -> Option<usize> {
        let places: Vec<_> = (0..self.seats.len()).filter(|place| self.seats[*place].node.is_some()).collect();
        self.chance.pick(&places)
    }

    fn kill_worker(&mut self) -> Struck {
        let place = self.some_worker()?;
        let id = self.seats[place].node.take()?;
        self.vanish(id);
        let children: Vec<_> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].executor().is_some_and(|executor| executor.worker == place))
            .collect();
        for child in children {
            self.vanish(NodeId(child));
        }
        let seat = &mut self.seats[place];
        seat.serves_at = None;
        seat.restarted = true;
        if self.chance.once_in(2) {
            seat.disk.clear();
        }
        if self.chance.once_in(3) {
            seat.port += 1;
        }
        let back =
            if self.chance.once_in(2) { self.chance.millis(100, 1500) } else { self.chance.millis(2000, 20_000) };
        self.later(back, Occurrence::WorkerStarts { place });
        Some((back, Undo::Nothing))
    }

    fn pause(&mut self) -> Struck {
        let now = self.now;
        let node = self.some_node(|process| !matches!(process, Process::Gone))?;
        if self.nodes[node.0].is_paused(now) {
            return None;
        }
        let longest = [2_000, 20_000, 150_000][self.chance.index(2)];
        let lasts = self.chance.millis(100, longest);
        self.nodes[node.0].paused_until = Some(now.after(lasts));
        for link in self.network.links_of(node) {
            let looks = self.network.stalls(now, link, &mut self.chance);
            self.arrive(link, looks);
        }
        Some((lasts, Undo::Nothing))
    }

    /// Splits the machines into two groups.
    fn split(&mut self, one_way: bool) -> Struck {
        let hosts = MASTER_HOST + 1 + self.seats.len() + self.users.len();
        let alone = self.chance.once_in(2).then(|| self.chance.index(hosts - 1));
        let group: Vec<bool> =
            (0..hosts).map(|host| alone.map_or_else(|| self.chance.once_in(2), |alone| alone == host)).collect();
        let mut pairs = Vec::new();
        for (from, to) in (0..hosts).flat_map(|from| (0..hosts).map(move |to| (from, to))) {
            if group[from] != group[to] && (!one_way || group[from]) {
                pairs.push((from, to));
            }
        }
        if pairs.is_empty() {
            return None;
        }
        let longest = [3_000, 15_000, 60_000][self.chance.index(2)];
        let lasts = self.chance.millis(100, longest);
        let stalled = self.network.partition(self.now, &pairs, &mut self.chance);
        let struck = !stalled.is_empty();
        for (link, looks) in stalled {
            self.arrive(link, looks);
        }
        if !struck {
            self.network.heal(self.now, &pairs, &mut self.chance);
            return None;
        }
        Some((lasts, Undo::Heal(pairs)))
    }

    /// A user cancels its job, and wants it again.
    fn cancel(&mut self) -> Struck {
        let running = |process: &Process| match process {
            Process::Driver(driver) => driver.job.as_ref().is_some_and(|job| job.ended.is_none()),
            _ => false,
        };
        let id = self.some_node(running)?;
        if self.nodes[id.0].is_paused(self.now) {
            return None;
        }
        let job = self.nodes[id.0].driver()?.job.as_ref()?.id;
        self.faults.cancelled.insert((id, job));
        self.driver_event(id, driver::Event::JobCancelled { job, reason: "its user had enough".into() });
        Some((Duration::ZERO, Undo::Nothing))
    }

    /// Whether the next executor cannot be started.
    pub(super) const fn spawn_fails(&mut self) -> bool {
        let fails = self.faults.spawns_that_fail > 0;
        self.faults.spawns_that_fail = self.faults.spawns_that_fail.saturating_sub(1);
        fails
    }

    /// Whether the next task is deaf.
    pub(super) fn is_deaf(&mut self) -> bool {
        let deaf = self.faults.deaf_tasks > 0 && self.chance.once_in(3);
        self.faults.deaf_tasks -= u32::from(deaf);
        deaf
    }

    /// Whether answers are not to be relied on.
    pub(super) const fn loses_answers(&self) -> bool {
        self.faults.answers_lost
    }
}
