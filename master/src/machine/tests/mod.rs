//! A bench for the master: says things to it, and accounts for every effect.

mod applications;
mod chance;
mod explain;
mod workers;

use super::{Answer, Effect, Event, Master, MasterOptions, Record};
use hearth_core::messages::{
    VERSION,
    application::{AppDown, AppUp, ApplicationSpec, ExecutorGrant},
    status::ClusterView,
    worker::{Address, ExecutorLaunch, LiveExecutor, WorkerDown, WorkerRegistration, WorkerUp},
};
use hearth_core::{
    ApplicationId, ApplicationState, ExecutorId, ExecutorState, Level, LinkId, Now, Refusal, ReplyId, Resources,
    WallTime, WorkerId,
    machine::{advance, step},
};

/// 2026-11-21 09:30 UTC.
const WALL: WallTime = WallTime(1_795_253_400_000);

pub(super) struct Bench {
    master: Master,
    now: Now,
}

impl Bench {
    fn new() -> Self {
        Self::with(MasterOptions::default())
    }

    fn with(options: MasterOptions) -> Self {
        Self { master: Master::new(MasterOptions { url: "hearth://test:7077".into(), ..options }), now: Now::default() }
    }

    fn worker_says(&mut self, link: u64, message: WorkerUp) -> Vec<Effect> {
        step(&mut self.master, self.now, Event::WorkerSaid { link: LinkId(link), wall: WALL, message })
    }

    fn driver_says(&mut self, link: u64, message: AppUp) -> Vec<Effect> {
        step(&mut self.master, self.now, Event::ApplicationSaid { link: LinkId(link), wall: WALL, message })
    }

    fn worker_link_closes(&mut self, link: u64) -> Vec<Effect> {
        step(&mut self.master, self.now, Event::WorkerLinkClosed { link: LinkId(link) })
    }

    fn driver_link_closes(&mut self, link: u64) -> Vec<Effect> {
        step(&mut self.master, self.now, Event::ApplicationLinkClosed { link: LinkId(link) })
    }

    /// Lets time pass.
    fn wait(&mut self, millis: u64) -> Vec<Effect> {
        self.now = Now(self.now.0 + std::time::Duration::from_millis(millis));
        advance(&mut self.master, self.now)
    }

    /// A worker with `cores` cores and 1024 MiB for each, on link `n`; its effects are not looked at.
    fn has_worker(&mut self, n: u64, cores: u32) {
        let fx = self.worker_says(n, WorkerUp::Register(registration(n, cores)));
        assert!(fx.contains(&to_worker(n, registered())), "{fx:?}");
    }

    /// An application on link `link`; gives its id and the effects after its registration.
    fn has_application(&mut self, link: u64, spec: ApplicationSpec) -> (ApplicationId, Vec<Effect>) {
        let mut fx = self.driver_says(link, AppUp::Register(spec));
        let Effect::ToApplication { message: AppDown::Registered { application, .. }, .. } = fx[2].clone() else {
            panic!("not registered: {fx:?}");
        };
        (application, fx.split_off(3))
    }

    fn status(&mut self) -> ClusterView {
        let event = Event::StatusAsked { reply: ReplyId(1), wall: WALL };
        match step(&mut self.master, self.now, event).as_slice() {
            [Effect::Answer { reply: ReplyId(1), answer: Answer::Status(view) }] => view.clone(),
            other => panic!("not one status: {other:?}"),
        }
    }

    fn explain(&mut self, id: &str) -> Result<String, Refusal> {
        let event = Event::ExplainAsked { reply: ReplyId(2), wall: WALL, id: id.into() };
        match step(&mut self.master, self.now, event).as_slice() {
            [Effect::Answer { reply: ReplyId(2), answer: Answer::Explanation(text) }] => Ok(text.clone()),
            [Effect::Answer { reply: ReplyId(2), answer: Answer::Refused(refusal) }] => Err(refusal.clone()),
            other => panic!("not one answer: {other:?}"),
        }
    }

    /// Cores held on each worker, by id.
    fn used(&mut self) -> Vec<u32> {
        self.status().workers.iter().map(|worker| worker.used.cores).collect()
    }
}

fn worker_id(n: u64) -> WorkerId {
    format!("worker-{n}").parse().unwrap()
}

fn app_id(n: u32) -> ApplicationId {
    ApplicationId::new(WALL, n)
}

fn registration(n: u64, cores: u32) -> WorkerRegistration {
    WorkerRegistration {
        version: VERSION.into(),
        worker: worker_id(n),
        address: Address { host: "localhost".into(), port: 7000 + u16::try_from(n).unwrap() },
        resources: Resources::new(cores, u64::from(cores) * 1024),
        labels: [("zone".to_owned(), vec!["a".to_owned()])].into(),
        executors: Vec::new(),
        applications: Vec::new(),
    }
}

fn spec(name: &str) -> ApplicationSpec {
    ApplicationSpec {
        version: VERSION.into(),
        name: name.into(),
        user: "ada".into(),
        driver_url: "http://localhost:4000".into(),
        cores_per_executor: None,
        memory_per_executor_mib: 1024,
        max_cores: None,
        max_executors: None,
        conf: [("spark.app.name".to_owned(), name.to_owned())].into(),
    }
}

fn reports(application: &ApplicationId, executor: u32, state: ExecutorState, exit_code: Option<i32>) -> WorkerUp {
    let message = format!("it is {state}");
    WorkerUp::ExecutorChanged {
        application: application.clone(),
        executor: ExecutorId(executor),
        state,
        message,
        exit_code,
    }
}

fn live(application: &ApplicationId, executor: u32, cores: u32, state: ExecutorState) -> LiveExecutor {
    let resources = Resources::new(cores, 1024);
    LiveExecutor { application: application.clone(), executor: ExecutorId(executor), resources, state }
}

fn to_worker(link: u64, message: WorkerDown) -> Effect {
    Effect::ToWorker { link: LinkId(link), message }
}

fn to_driver(link: u64, message: AppDown) -> Effect {
    Effect::ToApplication { link: LinkId(link), message }
}

fn close(link: u64) -> Effect {
    Effect::CloseLink { link: LinkId(link) }
}

fn info(text: &str) -> Effect {
    Effect::Log { level: Level::Info, text: text.into() }
}

fn warn(text: &str) -> Effect {
    Effect::Log { level: Level::Warn, text: text.into() }
}

fn debug(text: &str) -> Effect {
    Effect::Log { level: Level::Debug, text: text.into() }
}

fn registered() -> WorkerDown {
    WorkerDown::Registered { term: 1, heartbeat_millis: 15_000 }
}

fn waiting(link: u64, reason: &str) -> Effect {
    to_driver(link, AppDown::Waiting { reason: reason.into() })
}

/// The four effects of a grant.
fn granted(
    app: &ApplicationId,
    name: &str,
    driver: u64,
    executor: u32,
    worker: u64,
    cores: u32,
    mib: u64,
) -> Vec<Effect> {
    let resources = Resources::new(cores, mib);
    let (id, on) = (ExecutorId(executor), worker_id(worker));
    let asked = spec(name);
    vec![
        Effect::Persist(Record::ExecutorGranted {
            application: app.clone(),
            executor: id,
            worker: on.clone(),
            resources,
        }),
        info(&format!("{app}: executor {executor} with {resources} on {on}")),
        to_driver(
            driver,
            AppDown::ExecutorGranted(ExecutorGrant { executor: id, worker: on, host: "localhost".into(), resources }),
        ),
        to_worker(
            worker,
            WorkerDown::LaunchExecutor(ExecutorLaunch {
                application: app.clone(),
                executor: id,
                resources,
                driver_url: asked.driver_url,
                conf: asked.conf,
            }),
        ),
    ]
}

fn changed(link: u64, executor: u32, state: ExecutorState, message: &str, exit_code: Option<i32>) -> Effect {
    to_driver(
        link,
        AppDown::ExecutorChanged { executor: ExecutorId(executor), state, message: message.into(), exit_code },
    )
}

fn kill(link: u64, application: &ApplicationId, executor: u32, reason: &str) -> Effect {
    let (application, executor, reason) = (application.clone(), ExecutorId(executor), reason.to_owned());
    to_worker(link, WorkerDown::KillExecutor { application, executor, reason })
}

fn forget(link: u64, application: &ApplicationId) -> Effect {
    to_worker(link, WorkerDown::ApplicationFinished { application: application.clone() })
}

fn persisted_end(application: &ApplicationId, state: ApplicationState, message: &str) -> Effect {
    Effect::Persist(Record::ApplicationEnded { application: application.clone(), state, message: message.into() })
}

fn removed(worker: u64, reason: &str) -> Effect {
    Effect::Persist(Record::WorkerRemoved { worker: worker_id(worker), reason: reason.into() })
}

const NONE: &[Effect] = &[];

#[test]
fn an_application_gets_executors_and_gives_them_back() {
    let mut bench = Bench::new();
    let worker = registration(10, 4);
    assert_eq!(
        bench.worker_says(10, WorkerUp::Register(worker.clone())),
        [
            Effect::Persist(Record::WorkerRegistered {
                worker: worker.worker,
                address: worker.address,
                resources: worker.resources,
                labels: worker.labels,
            }),
            info("worker-10 at localhost:7010 registered with 4 cores, 4096 MiB"),
            to_worker(10, registered()),
        ]
    );

    let app = app_id(1);
    let mut expected = vec![
        Effect::Persist(Record::ApplicationRegistered {
            application: app.clone(),
            counter: 1,
            submitted: WALL,
            asked: (&spec("first")).into(),
        }),
        info("app-20261121093000-0001 \"first\" of \"ada\" registered"),
        to_driver(1, AppDown::Registered { application: app.clone(), term: 1 }),
    ];
    expected.extend(granted(&app, "first", 1, 0, 10, 4, 1024));
    assert_eq!(bench.driver_says(1, AppUp::Register(spec("first"))), expected);
    assert_eq!(bench.used(), [4]);

    let running = bench.worker_says(10, reports(&app, 0, ExecutorState::Running, None));
    assert_eq!(running, [changed(1, 0, ExecutorState::Running, "it is RUNNING", None)]);

    let state = ApplicationState::Finished;
    assert_eq!(
        bench.driver_says(1, AppUp::Unregister { state, message: String::new() }),
        [
            persisted_end(&app, state, ""),
            info("app-20261121093000-0001 is over: FINISHED"),
            close(1),
            kill(10, &app, 0, "its application is over"),
            forget(10, &app),
        ]
    );
    // The process still dies: its cores are not free before the worker says so.
    assert_eq!(bench.used(), [4]);
    assert_eq!(bench.status().completed[0].executors.len(), 1);
    assert_eq!(bench.worker_says(10, reports(&app, 0, ExecutorState::Killed, Some(143))), NONE);
    assert_eq!(bench.used(), [0]);
    assert_eq!(bench.driver_link_closes(1), NONE);
    bench.master.assert_empty();
    let view = bench.status();
    assert_eq!((view.active.len(), view.completed.len()), (0, 1));
    assert_eq!((view.completed[0].state, view.completed[0].cores), (state, 0));
}
