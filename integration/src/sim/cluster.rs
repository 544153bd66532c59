//! The simulated cluster: its processes, what is to happen, and the loop.

use super::{
    blocks::Disk,
    chance::Chance,
    checks,
    faults::Faults,
    network::{Arrival, LinkKind, Network},
    node::{Node, NodeId, Process, Row},
    options::{Application, Options},
    outcome::Outcome,
    queue::Queue,
    trace::Trace,
};
use hearth_core::{
    ApplicationId, JobId, LinkId, Machine, Now, Payload, PayloadHash, Refusal, ReplyId, ShuffleId, TaskId, WallTime,
    WorkerId,
    messages::{application::*, task::*, worker::*},
};
use hearth_worker::machine::Child;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// When the simulated clock of the wall starts: 2026-11-21 09:30 UTC.
const EPOCH: u64 = 1_795_253_400_000;
/// Steps that a run may take: most take some thousands.
const MAX_STEPS: u64 = 400_000;
/// How long after the last fault is over the jobs of an application may take to end: some 75 s in the longest of 20,000 seeds.
/// The longest that one process waits for another is 120 s for an executor that is silent, then 90 s between two tries of a worker
/// to reach its master.
pub(super) const BOUND: Duration = Duration::from_secs(200);

/// A message on a link.
#[derive(Clone, Debug)]
pub(super) enum Message {
    WorkerUp(WorkerUp),
    WorkerDown(WorkerDown),
    AppUp(AppUp),
    AppDown(AppDown),
    TaskUp(TaskUp),
    TaskDown(TaskDown),
}

/// Something that will happen.
#[derive(Clone, Debug)]
pub(super) enum Occurrence {
    Tick(NodeId),
    Deliver { link: LinkId, side: usize, message: Message },
    Closed { link: LinkId, side: usize },
    Look { link: LinkId, side: usize, episode: u32 },
    Opened { to: NodeId, link: LinkId },
    DialFailed { to: NodeId },
    Knocks { kind: LinkKind, from: NodeId, to: NodeId, knocks: usize },
    MasterStarts,
    WorkerStarts { place: usize },
    DriverStarts { place: usize },
    BlockServiceStarts { of: NodeId, port: u16 },
    ExecutorStarts { of: NodeId, launch: ExecutorLaunch },
    ChildFails { of: NodeId, child: Child },
    ChildIsOver { of: NodeId, child: Child, exit_code: i32 },
    Exits { node: NodeId, exit_code: i32 },
    TaskReads { node: NodeId, task: TaskId },
    TaskEnds { node: NodeId, task: TaskId, result: Option<TaskFailure> },
    Asks(Asking),
    Asked(Asking),
    PayloadCame { to: NodeId, hash: PayloadHash, answer: Result<Payload, Refusal> },
    StatusesCame { to: NodeId, shuffle: ShuffleId, answer: Result<MapStatuses, Refusal> },
    Crashes { node: NodeId },
    ReaderTakes { node: NodeId, job: JobId },
    FaultIsDue { place: usize },
    FaultIsOver { place: usize },
}

/// A question of an executor on its way to its driver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    pub(super) by: NodeId,
    pub(super) of: NodeId,
    pub(super) question: Question,
    /// When the asker loses patience.
    pub(super) until: Now,
    /// Tries that came to nothing.
    pub(super) tries: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    Payload(PayloadHash),
    Statuses(ShuffleId, u64),
}

/// The seat of a worker: what stays when its process goes.
pub(super) struct Seat {
    pub(super) id: WorkerId,
    pub(super) node: Option<NodeId>,
    /// The outputs that the block service serves.
    pub(super) disk: Disk,
    /// Where the block service listens, when it does.
    pub(super) serves_at: Option<u16>,
    /// Where it is to listen.
    pub(super) port: u16,
    /// Tasks take so many times longer.
    pub(super) slow: u32,
    /// Its process is not the first one.
    pub(super) restarted: bool,
}

/// How a job ended.
pub(super) enum Done {
    /// With these rows.
    Rows(Vec<Row>),
    /// It failed, as it had to.
    Poisoned,
}

/// Whoever wants the jobs of an application done.
#[derive(Default)]
pub(super) struct User {
    pub(super) node: Option<NodeId>,
    /// How each job ended, once it has for good.
    pub(super) done: Vec<Option<Done>>,
    /// Times that each job failed.
    pub(super) runs: BTreeMap<usize, u32>,
    /// Drivers started so far.
    pub(super) starts: u32,
}

impl User {
    fn of(application: &Application) -> Self {
        Self { done: application.jobs.iter().map(|_| None).collect(), ..Self::default() }
    }
}

/// The whole.
pub struct Cluster {
    pub(super) options: Options,
    pub(super) now: Now,
    pub(super) chance: Chance,
    pub(super) network: Network<Message>,
    pub(super) queue: Queue<Occurrence>,
    pub(super) nodes: Vec<Node>,
    pub(super) master: Option<NodeId>,
    /// How many masters there were.
    pub(super) term: u64,
    pub(super) seats: Vec<Seat>,
    pub(super) users: Vec<User>,
    /// Whose outputs the directory of an application holds.
    pub(super) owners: BTreeMap<ApplicationId, NodeId>,
    /// Drivers that run although their application was given up.
    pub(super) disowned: BTreeSet<NodeId>,
    pub(super) questions: BTreeMap<ReplyId, Asking>,
    pub(super) asked: u64,
    /// How far the wall's clock has jumped, in milliseconds.
    pub(super) wall_offset: i64,
    /// Since when no process of an application lives.
    pub(super) settled_at: Option<Now>,
    pub(super) faults: Faults,
    pub(super) trace: Trace,
    pub(super) outcome: Outcome,
}

/// The machine on which the master runs; workers and drivers follow.
pub(super) const MASTER_HOST: usize = 0;

impl Cluster {
    /// Runs a simulation to its end. Panics when something holds that must not.
    pub fn run(options: Options) -> Outcome {
        let mut cluster = Self::new(options);
        cluster.run_to_end();
        cluster.outcome
    }

    /// Like [`Cluster::run`], and gives the log in any case; the message of a panic instead of an outcome.
    pub fn replay(options: Options) -> (Result<Outcome, String>, Vec<String>) {
        let mut cluster = Self::new(Options { logged: true, ..options });
        let ended = super::campaign::quietly(|| cluster.run_to_end());
        let log = cluster.trace.lines().to_vec();
        (ended.map(|()| cluster.outcome), log)
    }

    fn run_to_end(&mut self) {
        while !self.is_over() {
            assert!(self.outcome.steps < MAX_STEPS, "still busy after {MAX_STEPS} steps");
            assert!(self.step(), "nothing is left to happen, and a job is open");
            let bound = self.faults.over_at().after(BOUND);
            assert!(self.now <= bound, "a job is still open {BOUND:?} after the last fault was over");
        }
        self.outcome.ended_after = self.now.since(self.faults.over_at());
        checks::at_end(self);
        self.settle();
        checks::after_all(self);
        self.outcome.log_hash = self.trace.hash();
        self.outcome.simulated = self.now.0;
    }

    /// After the last job: goodbyes are said, processes end.
    fn settle(&mut self) {
        let from = self.now.max(self.faults.over_at());
        let until = from.after(super::checks::SETTLED);
        while (self.now < from || !checks::is_settled(self)) && self.now < until && self.step() {}
    }

    fn is_over(&self) -> bool {
        self.users.iter().all(|user| user.done.iter().all(Option::is_some))
    }

    /// Lets `occurrence` happen after `delay`.
    pub(super) fn later(&mut self, delay: Duration, occurrence: Occurrence) {
        self.queue.put(self.now.after(delay), occurrence);
    }

    /// The wall's clock.
    pub(super) fn wall(&self) -> WallTime {
        let since = u64::try_from(self.now.0.as_millis()).unwrap_or(u64::MAX - EPOCH);
        WallTime((EPOCH + since).saturating_add_signed(self.wall_offset))
    }

    /// Takes the next thing that happens. False when nothing is left.
    fn step(&mut self) -> bool {
        let Some((at, occurrence)) = self.queue.take() else { return false };
        self.now = self.now.max(at);
        if let Some(until) = self.pause_of(&occurrence) {
            self.queue.put(until, occurrence);
            return true;
        }
        self.trace.step(self.now, self.chance.state());
        self.trace.say(self.now, || format!("{occurrence:?}"));
        self.happen(occurrence);
        self.outcome.steps += 1;
        true
    }

    /// Until when the process is stopped to which this happens, when it is.
    fn pause_of(&self, occurrence: &Occurrence) -> Option<Now> {
        let node = match occurrence {
            Occurrence::Tick(node)
            | Occurrence::Opened { to: node, .. }
            | Occurrence::DialFailed { to: node }
            | Occurrence::Knocks { from: node, .. }
            | Occurrence::BlockServiceStarts { of: node, .. }
            | Occurrence::ExecutorStarts { of: node, .. }
            | Occurrence::ChildFails { of: node, .. }
            | Occurrence::ChildIsOver { of: node, .. }
            | Occurrence::TaskReads { node, .. }
            | Occurrence::TaskEnds { node, .. }
            | Occurrence::Asks(Asking { by: node, .. })
            | Occurrence::Asked(Asking { of: node, .. })
            | Occurrence::PayloadCame { to: node, .. }
            | Occurrence::StatusesCame { to: node, .. }
            | Occurrence::Crashes { node }
            | Occurrence::ReaderTakes { node, .. } => *node,
            Occurrence::Deliver { link, side, .. }
            | Occurrence::Closed { link, side }
            | Occurrence::Look { link, side, .. } => self.network.end(*link, *side),
            Occurrence::MasterStarts
            | Occurrence::WorkerStarts { .. }
            | Occurrence::DriverStarts { .. }
            | Occurrence::Exits { .. }
            | Occurrence::FaultIsDue { .. }
            | Occurrence::FaultIsOver { .. } => return None,
        };
        self.nodes[node.0].paused_until.filter(|until| *until > self.now)
    }

    fn new(options: Options) -> Self {
        let mut chance = Chance::new(options.seed);
        let hosts = 1 + options.workers.len() + options.applications.len();
        let seat = |place| Seat {
            id: format!("worker-sim-{place}").parse().expect("a good id"),
            node: None,
            disk: Disk::default(),
            serves_at: None,
            port: 7000,
            slow: 1,
            restarted: false,
        };
        let mut cluster = Self {
            now: Now::default(),
            network: Network::new(hosts, options.slowest_millis),
            queue: Queue::new(),
            nodes: Vec::new(),
            master: None,
            term: 0,
            seats: (0..options.workers.len()).map(seat).collect(),
            users: options.applications.iter().map(User::of).collect(),
            owners: BTreeMap::new(),
            disowned: BTreeSet::new(),
            questions: BTreeMap::new(),
            asked: 0,
            wall_offset: 0,
            settled_at: None,
            faults: Faults::plan(&mut chance, options.faults, options.only),
            trace: Trace::new(options.logged),
            outcome: Outcome::default(),
            chance,
            options,
        };
        cluster.later(Duration::ZERO, Occurrence::MasterStarts);
        for place in 0..cluster.seats.len() {
            let after = cluster.chance.millis(0, 300);
            cluster.later(after, Occurrence::WorkerStarts { place });
        }
        for place in 0..cluster.users.len() {
            let starts = cluster.options.applications[place].starts;
            cluster.later(starts, Occurrence::DriverStarts { place });
        }
        cluster
    }

    /// A process begins.
    pub(super) fn begin(&mut self, host: usize, process: Process) -> NodeId {
        self.nodes.push(Node::new(host, process));
        NodeId(self.nodes.len() - 1)
    }

    /// Queues a tick for the deadline of a machine, unless one is queued that comes no later.
    pub(super) fn schedule(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        let deadline = match &node.process {
            Process::Master(machine) => machine.deadline(),
            Process::Worker(process) => process.machine.deadline(),
            Process::Driver(process) => process.machine.deadline().filter(|_| !process.stopped),
            Process::Executor(process) => process.machine.deadline(),
            Process::Gone => None,
        };
        let Some(at) = deadline.map(|at| at.max(self.now)) else { return };
        if node.tick_at.is_none_or(|queued| at < queued) {
            node.tick_at = Some(at);
            self.queue.put(at, Occurrence::Tick(id));
        }
    }

    /// Lets the network's news happen.
    pub(super) fn arrive(&mut self, link: LinkId, arrivals: impl IntoIterator<Item = Arrival<Message>>) {
        for arrival in arrivals {
            let (at, occurrence) = match arrival {
                Arrival::Message { at, side, message } => (at, Occurrence::Deliver { link, side, message }),
                Arrival::Closed { at, side } => (at, Occurrence::Closed { link, side }),
                Arrival::Look { at, side, episode } => (at, Occurrence::Look { link, side, episode }),
            };
            self.queue.put(at, occurrence);
        }
    }

    pub(super) fn send(&mut self, from: NodeId, link: LinkId, message: Message) {
        let sent = self.network.send(self.now, link, from, message, &mut self.chance);
        self.arrive(link, sent);
    }

    pub(super) fn close(&mut self, by: NodeId, link: LinkId) {
        let arrivals = self.network.close(self.now, link, by, &mut self.chance);
        self.arrive(link, arrivals);
    }
}
