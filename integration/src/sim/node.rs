//! Who takes part: processes, each of which lives once.

use super::{blocks::Disk, graph::Read, graph::Stage};
use hearth_core::{ApplicationId, ExecutorId, JobId, Now, Resources, StageId, TaskId, messages::task::*};
use hearth_driver::machine as driver;
use hearth_executor::machine as executor;
use hearth_master::machine as master;
use hearth_worker::machine as worker;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    sync::Arc,
};

/// A process. One that is started again is another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(pub(super) usize);

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node-{}", self.0)
    }
}

/// A simulated process and its machine.
pub(super) struct Node {
    /// Its machine, in the sense of hardware: networks break between those.
    pub(super) host: usize,
    pub(super) process: Process,
    /// It is stopped until then.
    pub(super) paused_until: Option<Now>,
    /// The earliest tick that is queued for it.
    pub(super) tick_at: Option<Now>,
}

pub(super) enum Process {
    Master(Box<master::Master>),
    Worker(Box<WorkerProcess>),
    Driver(Box<DriverProcess>),
    Executor(Box<ExecutorProcess>),
    /// It has ended.
    Gone,
}

pub(super) struct WorkerProcess {
    pub(super) machine: worker::Worker,
    /// Which worker it is.
    pub(super) place: usize,
}

/// A driver, and the program around it that wants its jobs done.
pub(super) struct DriverProcess {
    pub(super) machine: driver::Driver,
    /// Whose driver it is.
    pub(super) place: usize,
    /// The id that a master gave to its application.
    pub(super) application: Option<ApplicationId>,
    /// When it began.
    pub(super) since: Now,
    /// The jobs that run.
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// Jobs submitted so far.
    pub(super) submitted: u32,
    pub(super) stopped: bool,
    /// The newest attempt of each stage that launched a task.
    pub(super) newest: BTreeMap<hearth_core::StageId, u32>,
    /// Attempts that were launched.
    pub(super) launched: HashSet<TaskId>,
    /// Executors that it told the master to end.
    pub(super) given_up: HashSet<ExecutorId>,
    /// Jobs that ended.
    pub(super) over: HashSet<JobId>,
}

/// A job, as its reader sees it.
#[derive(Default)]
pub(super) struct Job {
    /// Its place among those of its application.
    pub(super) place: usize,
    /// What came and was not taken.
    pub(super) came: BTreeMap<u32, ResultBlock>,
    /// Partitions whose result was stored: such a one may be lost, and come again.
    pub(super) stored: BTreeSet<u32>,
    /// The rows that were taken, in order.
    pub(super) rows: Vec<Row>,
    /// The reader is at one.
    pub(super) reading: bool,
    /// Tries to read the stored one that it is at.
    pub(super) tries: u32,
    /// When it was submitted.
    pub(super) since: Now,
    /// How it ended, once it has.
    pub(super) ended: Option<Result<(), driver::JobFailure>>,
}

impl Job {
    pub(super) fn new(place: usize, since: Now) -> Self {
        Self { place, since, ..Self::default() }
    }
}

/// A result row, and what it stems from.
pub(super) type Row = (u64, Vec<super::graph::Origin>);

pub(super) struct ExecutorProcess {
    pub(super) machine: executor::Executor,
    pub(super) worker: usize,
    pub(super) driver: NodeId,
    pub(super) application: ApplicationId,
    pub(super) id: ExecutorId,
    pub(super) resources: Resources,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    /// Tasks that have ended, and when: their driver may not have heard of it.
    pub(super) ended: Vec<(Now, StageId, u32)>,
    /// Where it writes to when it serves its outputs itself.
    pub(super) own: Option<Disk>,
}

/// A task that runs.
pub(super) struct Task {
    pub(super) launch: TaskLaunch,
    pub(super) stage: Stage,
    pub(super) inputs: Vec<Arc<MapStatuses>>,
    /// What it has read, once it has.
    pub(super) read: Option<Read>,
    /// Tries to read that failed.
    pub(super) tries: u32,
    /// It does not hear that it is to end.
    pub(super) deaf: bool,
    /// It was told, and did not hear it.
    pub(super) stuck: bool,
}

macro_rules! access {
    ($name:ident, $variant:ident, $type:ty) => {
        pub(super) fn $name(&self) -> Option<&$type> {
            if let Process::$variant(process) = &self.process { Some(process) } else { None }
        }
    };
}

impl Node {
    pub(super) const fn new(host: usize, process: Process) -> Self {
        Self { host, process, paused_until: None, tick_at: None }
    }

    access!(worker, Worker, WorkerProcess);
    access!(driver, Driver, DriverProcess);
    access!(executor, Executor, ExecutorProcess);

    pub(super) fn driver_mut(&mut self) -> Option<&mut DriverProcess> {
        if let Process::Driver(process) = &mut self.process { Some(process) } else { None }
    }

    pub(super) const fn is_gone(&self) -> bool {
        matches!(self.process, Process::Gone)
    }

    pub(super) fn is_paused(&self, now: Now) -> bool {
        self.paused_until.is_some_and(|until| until > now)
    }
}
