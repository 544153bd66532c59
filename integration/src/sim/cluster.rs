//! The simulated cluster: its nodes, its queue of what is to happen, and the loop.

use super::{chance::Chance, checks, network::Network, node::NodeId, work::Application};
use hearth_core::{
    JobId, LinkId, Machine, Now, Payload, PayloadHash, Refusal, ReplyId, Resources, ShuffleId, TaskId, WallTime,
    WorkerId,
    messages::{application::*, task::*, worker::*},
};
use hearth_driver::machine as driver;
use hearth_executor::machine as executor;
use hearth_master::machine as master;
use hearth_worker::machine as worker;
use std::{collections::BTreeMap, time::Duration};

/// When the simulated clock of the wall starts: 2026-11-21 09:30 UTC.
const EPOCH: u64 = 1_795_253_400_000;
/// Steps a simulation may take: a run of the sizes used here takes some thousands.
const MAX_STEPS: u64 = 2_000_000;

/// What a simulation is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// The workers.
    pub workers: Vec<Resources>,
    /// The applications.
    pub applications: Vec<Application>,
    /// Messages take up to this many milliseconds.
    pub slowest_millis: u64,
    /// One task attempt in so many fails; 0 for none.
    pub fail_once_in: u64,
    /// When every job must have ended.
    pub bound: Duration,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

/// Ways to break the cluster on purpose, to show that the checkers can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Workers believe, and tell the master, that they have twice their cores.
    CoresCountedTwice,
    /// Executors believe that they have twice their cores.
    SlotsCountedTwice,
    /// News of finished tasks never reaches the drivers.
    StatusesLost,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Everything that happened, a line each.
    pub log: Vec<String>,
    /// Steps taken.
    pub steps: u64,
    /// Task attempts that were started.
    pub tasks: u64,
    /// Task attempts that chance let fail.
    pub failed: u64,
}

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
    Deliver { to: NodeId, link: LinkId, message: Message },
    Closed { to: NodeId, link: LinkId },
    Opened { to: NodeId, link: LinkId },
    DialFailed { to: NodeId },
    DriverStarts { place: usize },
    BlockServiceStarted { worker: usize },
    ExecutorStarted { worker: usize, launch: ExecutorLaunch },
    ExecutorExited { node: NodeId, exit_code: i32 },
    TaskEnded { node: NodeId, task: TaskId, result: Result<(TaskOutput, TaskMetrics), TaskFailure> },
    PayloadAsked { by: NodeId, of: usize, hash: PayloadHash },
    PayloadAnswered { to: NodeId, hash: PayloadHash, answer: Result<Payload, Refusal> },
    StatusesAsked { by: NodeId, of: usize, shuffle: ShuffleId, epoch: u64 },
    StatusesAnswered { to: NodeId, shuffle: ShuffleId, answer: Result<MapStatuses, Refusal> },
}

/// A question that a driver has not answered yet.
#[derive(Clone, Debug)]
pub(super) enum Question {
    Payload(NodeId, PayloadHash),
    Statuses(NodeId, ShuffleId),
}

/// A simulated driver process.
pub(super) struct DriverNode {
    pub(super) machine: driver::Driver,
    pub(super) started: bool,
    pub(super) stopped: bool,
    pub(super) results: Vec<BTreeMap<u32, String>>,
    pub(super) ended: Vec<Result<(), driver::JobFailure>>,
}

/// A simulated executor process.
pub(super) struct ExecutorNode {
    pub(super) machine: executor::Executor,
    pub(super) worker: usize,
    pub(super) resources: Resources,
    pub(super) driver: usize,
    pub(super) tasks: BTreeMap<TaskId, ()>,
}

/// The whole.
pub struct Cluster {
    pub(super) options: Options,
    pub(super) now: Now,
    pub(super) chance: Chance,
    pub(super) network: Network,
    queue: BTreeMap<(Now, u64), Occurrence>,
    queued: u64,
    pub(super) master: master::Master,
    pub(super) workers: Vec<worker::Worker>,
    pub(super) worker_ids: Vec<WorkerId>,
    pub(super) drivers: Vec<DriverNode>,
    pub(super) executors: BTreeMap<NodeId, ExecutorNode>,
    pub(super) questions: BTreeMap<ReplyId, Question>,
    pub(super) asked: u64,
    pub(super) outcome: Outcome,
}

impl Cluster {
    /// Runs a simulation to its end. Panics, with the seed, when something holds that must not.
    pub fn run(options: Options) -> Outcome {
        let seed = options.seed;
        let mut cluster = Self::new(options);
        let bound = Now(cluster.options.bound);
        while !cluster.is_over() {
            assert!(cluster.outcome.steps < MAX_STEPS, "seed {seed}: still busy after {MAX_STEPS} steps");
            assert!(cluster.step(), "seed {seed}: nothing is left to happen, and a job is open");
            assert!(cluster.now <= bound, "seed {seed}: a job is still open after {:?}\n{}", bound.0, cluster.tail());
        }
        checks::at_end(&cluster);
        cluster.settle();
        cluster.outcome
    }

    /// The last lines of the log.
    fn tail(&self) -> String {
        let log: Vec<&str> = self.outcome.log.iter().filter(|l| !l.contains("Heartbeat")).map(String::as_str).collect();
        log[log.len().saturating_sub(60)..].join("\n")
    }

    /// After the last job: goodbyes are said, processes end, and every table is empty.
    fn settle(&mut self) {
        let until = self.now.after(Duration::from_secs(30));
        while self.now < until && self.step() {}
        assert!(self.executors.is_empty(), "executors live on: {:?}", self.executors.keys().collect::<Vec<_>>());
        self.master.assert_empty();
        for driver in &self.drivers {
            driver.machine.assert_empty();
        }
    }

    fn is_over(&self) -> bool {
        self.drivers.iter().enumerate().all(|(i, d)| d.ended.len() == self.options.applications[i].jobs.len())
    }

    /// Lets `occurrence` happen after `delay`.
    pub(super) fn later(&mut self, delay: Duration, occurrence: Occurrence) {
        self.at(self.now.after(delay), occurrence);
    }

    /// Lets `occurrence` happen at a time.
    pub(super) fn at(&mut self, at: Now, occurrence: Occurrence) {
        self.queued += 1;
        self.queue.insert((at, self.queued), occurrence);
    }

    /// The wall's clock.
    pub(super) fn wall(&self) -> WallTime {
        WallTime(EPOCH + u64::try_from(self.now.0.as_millis()).unwrap_or(u64::MAX - EPOCH))
    }

    /// Takes the next thing that happens: an occurrence, or a machine's deadline. False when nothing is left.
    fn step(&mut self) -> bool {
        let due = self.deadlines().into_iter().min();
        let next = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (due, next) {
            (Some((at, node)), next) if next.is_none_or(|next| at <= next) => {
                self.now = self.now.max(at);
                self.tick(&node);
            }
            (_, Some(_)) => {
                let ((at, _), occurrence) = self.queue.pop_first().expect("it was there");
                self.now = self.now.max(at);
                self.outcome.log.push(format!("{:?} {occurrence:?}", self.now.0));
                self.happen(occurrence);
            }
            _ => return false,
        }
        self.outcome.steps += 1;
        checks::after_step(self);
        true
    }

    fn deadlines(&self) -> Vec<(Now, NodeId)> {
        let mut due = Vec::new();
        due.extend(self.master.deadline().map(|at| (at, NodeId::Master)));
        for (i, w) in self.workers.iter().enumerate() {
            due.extend(w.deadline().map(|at| (at, NodeId::Worker(i))));
        }
        for (i, d) in self.drivers.iter().enumerate().filter(|(_, d)| d.started && !d.stopped) {
            due.extend(d.machine.deadline().map(|at| (at, NodeId::Driver(i))));
        }
        for (id, e) in &self.executors {
            due.extend(e.machine.deadline().map(|at| (at, id.clone())));
        }
        due
    }

    fn new(options: Options) -> Self {
        let seed = options.seed;
        let machine =
            master::Master::new(master::MasterOptions { url: "hearth://sim:7077".into(), ..Default::default() });
        let worker_ids: Vec<WorkerId> =
            (0..options.workers.len()).map(|i| format!("worker-sim-{i}").parse().expect("a good id")).collect();
        let mut cluster = Self {
            now: Now::default(),
            chance: Chance::new(seed),
            network: Network::new(options.slowest_millis),
            queue: BTreeMap::new(),
            queued: 0,
            master: machine,
            workers: Vec::new(),
            worker_ids,
            drivers: Vec::new(),
            executors: BTreeMap::new(),
            questions: BTreeMap::new(),
            asked: 0,
            outcome: Outcome { log: Vec::new(), steps: 0, tasks: 0, failed: 0 },
            options,
        };
        for place in 0..cluster.options.workers.len() {
            cluster.start_worker(place);
        }
        for place in 0..cluster.options.applications.len() {
            cluster.add_driver(place);
            let starts = cluster.options.applications[place].starts;
            cluster.later(starts, Occurrence::DriverStarts { place });
        }
        cluster
    }

    /// Submits a driver's next job, or lets it say goodbye.
    pub(super) fn next_job(&mut self, place: usize) {
        let done = self.drivers[place].ended.len();
        match self.options.applications[place].jobs.get(done).cloned() {
            Some(graph) => {
                self.drivers[place].results.push(BTreeMap::new());
                let job = JobId(u32::try_from(done).unwrap_or(u32::MAX) + 1);
                self.driver_event(place, driver::Event::JobSubmitted { job, graph });
            }
            None => {
                let state = hearth_core::ApplicationState::Finished;
                self.driver_event(place, driver::Event::StopAsked { state, message: String::new() });
            }
        }
    }
}
