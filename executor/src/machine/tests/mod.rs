//! A bench that records every effect of one executor.

mod chaos;
mod link;
mod supplies;
mod tasks;

use super::{Effect, Event, Executor, ExecutorOptions};
use bytes::Bytes;
use hearth_core::{
    ExecutorId, JobId, Level, LinkId, Now, Payload, ShuffleId, StageId, TaskId,
    machine::{advance, step},
    messages::{VERSION, task::*, worker::Address},
};
use std::sync::Arc;

/// One executor under test. Every effect has to be expected, before the next event.
struct Bench {
    machine: Executor,
    now: Now,
    fx: Vec<Effect>,
}

impl Bench {
    /// An executor with two slots that dials.
    fn new() -> Self {
        Self::with(ExecutorOptions::default())
    }

    fn with(options: ExecutorOptions) -> Self {
        let options = ExecutorOptions { executor: ExecutorId(7), cores: 2, ..options };
        let (mut fx, now) = (Vec::new(), Now::from_millis(1000));
        let machine = Executor::start(now, options, &mut fx);
        let mut bench = Self { machine, now, fx };
        bench.expect([Effect::Dial]);
        bench
    }

    /// One that has registered on link 1.
    fn registered() -> Self {
        let mut bench = Self::new();
        bench.register(1, &[]);
        bench
    }

    /// Opens a link and lets the driver take the registration.
    fn register(&mut self, link: u64, running: &[u64]) {
        self.event(Event::LinkOpened { link: LinkId(link) });
        self.expect([registration(link, running)]);
        self.event(Event::DriverSaid { link: LinkId(link), message: TaskDown::Registered });
        self.expect([log(Level::Info, "registered with the driver")]);
    }

    fn event(&mut self, event: Event) {
        self.none_left();
        self.fx = step(&mut self.machine, self.now, event);
    }

    fn says(&mut self, message: TaskDown) {
        self.event(Event::DriverSaid { link: LinkId(1), message });
    }

    fn launch(&mut self, launches: impl Into<Vec<TaskLaunch>>) {
        self.says(TaskDown::Launch(launches.into()));
    }

    /// Gives a task without inputs its payload, so that it runs.
    fn run(&mut self, launch: &TaskLaunch) {
        self.launch([launch.clone()]);
        self.expect([Effect::FetchPayload { hash: launch.payload }]);
        self.event(Event::PayloadArrived { hash: launch.payload, answer: Ok(payload()) });
        self.expect([start(launch, &[]), started(&[launch.task.0])]);
    }

    /// Lets time pass, in milliseconds.
    fn pass(&mut self, millis: u64) {
        self.none_left();
        self.now = Now::from_millis(u64::try_from(self.now.0.as_millis()).unwrap() + millis);
        self.fx = advance(&mut self.machine, self.now);
    }

    fn expect(&mut self, effects: impl Into<Vec<Effect>>) {
        assert_eq!(std::mem::take(&mut self.fx), effects.into());
    }

    fn none_left(&self) {
        assert_eq!(self.fx, [], "effects that nobody expected");
    }

    /// The end of a job: everything is forgotten, and nothing is left.
    fn forget(&mut self, shuffles: &[u32], results: &[u64]) {
        let shuffles: Vec<_> = shuffles.iter().copied().map(ShuffleId).collect();
        let results: Vec<_> = results.iter().copied().map(TaskId).collect();
        let forget =
            TaskDown::Forget { payloads: vec![payload().hash()], shuffles: shuffles.clone(), results: results.clone() };
        self.says(forget);
        if !shuffles.is_empty() || !results.is_empty() {
            self.expect([Effect::RemoveFiles { shuffles, results }]);
        }
        self.none_left();
        self.machine.assert_empty();
    }
}

fn payload() -> Payload {
    Payload::new(&b"what to compute"[..])
}

fn registration(link: u64, running: &[u64]) -> Effect {
    let said = ExecutorRegistration {
        version: VERSION.into(),
        application: "app".parse().unwrap(),
        executor: ExecutorId(7),
        worker: "worker".parse().unwrap(),
        host: "localhost".into(),
        cores: 2,
        blocks: ExecutorOptions::default().blocks,
        running: running.iter().copied().map(TaskId).collect(),
    };
    Effect::ToDriver { link: LinkId(link), message: TaskUp::Register(said) }
}

fn log(level: Level, text: &str) -> Effect {
    Effect::Log { level, text: text.into() }
}

/// A result task that reads these shuffles, each as of an epoch.
fn task(id: u64, inputs: &[(u32, u64)]) -> TaskLaunch {
    TaskLaunch {
        task: TaskId(id),
        job: JobId(1),
        stage: StageId(2),
        stage_attempt: 0,
        partition: 3,
        slots: 1,
        attempt: 0,
        payload: payload().hash(),
        inputs: inputs.iter().map(|&(s, epoch)| TaskInput { shuffle: ShuffleId(s), epoch }).collect(),
        target: TaskTarget::Result,
        thrifty: false,
    }
}

/// A map task of a shuffle.
fn map_task(id: u64, shuffle: u32) -> TaskLaunch {
    TaskLaunch { target: TaskTarget::Shuffle { shuffle: ShuffleId(shuffle), partitions: 2 }, ..task(id, &[]) }
}

fn statuses(shuffle: u32, epoch: u64) -> MapStatuses {
    let location = BlockLocation {
        worker: "worker".parse().unwrap(),
        executor: None,
        address: Address { host: "localhost".into(), port: 1 },
        directory: "/work".into(),
    };
    let status = MapStatus { partition: 0, task: TaskId(1), location, sizes: vec![1, 2], checksum: None };
    MapStatuses { shuffle: ShuffleId(shuffle), epoch, statuses: vec![status], peers: vec![] }
}

fn start(launch: &TaskLaunch, inputs: &[MapStatuses]) -> Effect {
    Effect::StartTask {
        launch: launch.clone(),
        payload: payload(),
        inputs: inputs.iter().cloned().map(Arc::new).collect(),
    }
}

fn news_on(link: u64, news: impl IntoIterator<Item = (u64, TaskNews)>) -> Effect {
    let statuses = news.into_iter().map(|(id, news)| TaskStatus { task: TaskId(id), news }).collect();
    Effect::ToDriver { link: LinkId(link), message: TaskUp::Statuses(statuses) }
}

fn news(news: impl IntoIterator<Item = (u64, TaskNews)>) -> Effect {
    news_on(1, news)
}

fn started(tasks: &[u64]) -> Effect {
    news(tasks.iter().map(|id| (*id, TaskNews::Started)))
}

fn killed(reason: &str) -> TaskNews {
    TaskNews::Failed(TaskFailure::Killed(reason.into()))
}

fn transient(text: &str) -> TaskFailure {
    TaskFailure::Transient(text.into())
}

fn rows(text: &str) -> TaskOutput {
    TaskOutput::Result(ResultBlock::Inline(Bytes::copy_from_slice(text.as_bytes())))
}

fn succeeds(id: u64) -> Event {
    Event::TaskEnded { task: TaskId(id), result: Ok((rows("rows"), TaskMetrics::default())) }
}

fn succeeded() -> TaskNews {
    TaskNews::Succeeded(rows("rows"), TaskMetrics::default())
}
