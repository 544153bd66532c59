//! Tests of the machine. Each compares all effects of each step, log lines included.

mod blocks;
mod executors;
mod registration;
mod stopping;

use super::*;
use hearth_core::{
    ExecutorState, Labels, Machine, Now, Resources,
    machine::{advance, step},
    messages::worker::{Address, LiveExecutor, WorkerRegistration},
};
use std::{collections::BTreeMap, time::Duration};

const SECOND: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A worker of 4 cores and 4096 MiB, its time, and its present link.
struct Bench {
    worker: Worker,
    now: Now,
    link: LinkId,
}

impl Bench {
    /// Its block service is being started.
    fn born() -> Self {
        Self::born_on(0)
    }

    fn born_on(port: u16) -> Self {
        let id = "worker-1".parse().unwrap();
        let options = WorkerOptions { port, ..WorkerOptions::new(id, "127.0.0.1", Resources::new(4, 4096)) };
        let mut bench = Self { worker: Worker::new(options), now: Now::default(), link: LinkId(0) };
        bench.worker.check();
        assert_eq!(bench.pass(Duration::ZERO), [Effect::SpawnBlockService { port }]);
        bench
    }

    /// Its block service listens on 7078, and it dials.
    fn dialing() -> Self {
        let mut bench = Self::born();
        let fx = bench.event(started(Child::BlockService, 7078));
        assert_eq!(fx, [info("the block service listens on port 7078"), Effect::Dial]);
        bench
    }

    /// It is registered with a master of term 1.
    fn registered() -> Self {
        let mut bench = Self::dialing();
        assert_eq!(bench.open(), [bench.up(register(vec![]))]);
        let fx = bench.said(taken(1));
        assert_eq!(fx, [info("registered as worker-1 with a master of term 1")]);
        bench
    }

    /// It is registered, and executor 0 of 2 cores and 1024 MiB runs.
    fn running() -> Self {
        let mut bench = Self::registered();
        let fx = bench.said(launch(0, 2));
        assert_eq!(fx, [info("starting executor app-1/0 with 2 cores, 1024 MiB"), spawn(0, 2)]);
        let fx = bench.event(started(child(0), 0));
        assert_eq!(
            fx,
            [info("executor app-1/0 runs as process 77"), bench.up(changed(0, ExecutorState::Running, "", None))]
        );
        bench
    }

    fn event(&mut self, event: Event) -> Vec<Effect> {
        step(&mut self.worker, self.now, event)
    }

    fn pass(&mut self, time: Duration) -> Vec<Effect> {
        self.now = self.now.after(time);
        advance(&mut self.worker, self.now)
    }

    /// Time passes up to the next deadline, which lies this far ahead.
    fn pass_to_deadline(&mut self, time: Duration) -> Vec<Effect> {
        assert_eq!(self.worker.deadline(), Some(self.now.after(time)));
        self.pass(time)
    }

    fn said(&mut self, message: WorkerDown) -> Vec<Effect> {
        self.event(Event::MasterSaid { link: self.link, message })
    }

    fn open(&mut self) -> Vec<Effect> {
        self.link = LinkId(self.link.0 + 1);
        self.event(Event::LinkOpened { link: self.link })
    }

    fn close(&mut self) -> Vec<Effect> {
        self.event(Event::LinkClosed { link: self.link, reason: "it broke".into(), jitter: 500 })
    }

    fn up(&self, message: WorkerUp) -> Effect {
        Effect::ToMaster { link: self.link, message }
    }

    /// The last thing a test says: nothing more happens by itself but heartbeats.
    fn nothing_left(&mut self) {
        let beat = self.up(WorkerUp::Heartbeat);
        assert_eq!(self.pass(HEARTBEAT), [beat]);
    }

    /// The last thing a test of an end says.
    fn nothing_ever(&mut self) {
        assert_eq!(self.worker.deadline(), None);
        assert_eq!(self.pass(3600 * SECOND), []);
        assert_eq!(self.said(taken(9)), []);
    }
}

fn app() -> ApplicationId {
    "app-1".parse().unwrap()
}

fn child(id: u32) -> Child {
    Child::Executor(app(), ExecutorId(id))
}

fn info(text: &str) -> Effect {
    Effect::Log { level: Level::Info, text: text.into() }
}

fn warn(text: &str) -> Effect {
    Effect::Log { level: Level::Warn, text: text.into() }
}

fn error(text: &str) -> Effect {
    Effect::Log { level: Level::Error, text: text.into() }
}

fn started(child: Child, port: u16) -> Event {
    Event::ChildStarted { child, pid: 77, port }
}

fn exited(child: Child, exit_code: i32, tail: &str) -> Event {
    Event::ChildExited { child, exit_code, cause: None, tail: tail.into() }
}

fn stop(reason: &str) -> Event {
    Event::StopAsked { reason: reason.into() }
}

fn taken(term: u64) -> WorkerDown {
    WorkerDown::Registered { term, heartbeat_millis: 15_000 }
}

fn order(id: u32, cores: u32) -> ExecutorLaunch {
    ExecutorLaunch {
        application: app(),
        executor: ExecutorId(id),
        resources: Resources::new(cores, 1024),
        driver_url: "http://127.0.0.1:4000".into(),
        conf: BTreeMap::new(),
    }
}

fn launch(id: u32, cores: u32) -> WorkerDown {
    WorkerDown::LaunchExecutor(order(id, cores))
}

fn spawn(id: u32, cores: u32) -> Effect {
    Effect::SpawnExecutor(order(id, cores))
}

fn kill_order(id: u32) -> WorkerDown {
    WorkerDown::KillExecutor { application: app(), executor: ExecutorId(id), reason: "not wanted".into() }
}

fn finished() -> WorkerDown {
    WorkerDown::ApplicationFinished { application: app() }
}

fn kill(child: Child, hard: bool) -> Effect {
    Effect::Kill { child, hard }
}

fn changed(id: u32, state: ExecutorState, message: &str, exit_code: Option<i32>) -> WorkerUp {
    WorkerUp::ExecutorChanged {
        application: app(),
        executor: ExecutorId(id),
        state,
        message: message.into(),
        exit_code,
    }
}

/// A registration of a worker that keeps no files but those of the executors that live.
fn register(executors: Vec<LiveExecutor>) -> WorkerUp {
    let applications = if executors.is_empty() { vec![] } else { vec![app()] };
    register_keeping(executors, applications)
}

fn register_keeping(executors: Vec<LiveExecutor>, applications: Vec<ApplicationId>) -> WorkerUp {
    WorkerUp::Register(WorkerRegistration {
        version: hearth_core::messages::VERSION.into(),
        worker: "worker-1".parse().unwrap(),
        address: Address { host: "127.0.0.1".into(), port: 7078 },
        resources: Resources::new(4, 4096),
        labels: Labels::new(),
        executors,
        applications,
    })
}

fn live(id: u32, cores: u32, state: ExecutorState) -> LiveExecutor {
    LiveExecutor { application: app(), executor: ExecutorId(id), resources: Resources::new(cores, 1024), state }
}
