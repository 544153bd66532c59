//! The worker's shell: over an in-process link with a launcher that the test plays; with real processes; over gRPC.

mod faked;
mod grpc;
mod processes;

use hearth_core::{
    ApplicationId, ExecutorId, ExecutorState, Labels, Resources,
    link::{Dial, DialError, Link, Pending, pair},
    messages::worker::{ExecutorLaunch, WorkerDown, WorkerRegistration, WorkerUp},
};
use hearth_worker::shell::WorkerOptions;
use std::{collections::BTreeMap, future::Future, path::Path, time::Duration};
use tokio::sync::mpsc;

/// Waits for something that must happen; far longer than it takes.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it happens")
}

type MasterLink = Link<WorkerUp, WorkerDown>;

/// Opens links whose other ends the test holds.
#[derive(Debug)]
struct TestDial(mpsc::UnboundedSender<MasterLink>);

impl TestDial {
    fn new() -> (Self, mpsc::UnboundedReceiver<MasterLink>) {
        let (dialed, links) = mpsc::unbounded_channel();
        (Self(dialed), links)
    }
}

impl Dial<WorkerDown, WorkerUp> for TestDial {
    fn dial(&self) -> Pending<'_, Result<Link<WorkerDown, WorkerUp>, DialError>> {
        let (ours, theirs) = pair();
        let sent = self.0.send(theirs);
        Box::pin(async move { sent.map(|()| ours).map_err(|_| DialError("the test is over".into())) })
    }

    fn peer(&self) -> String {
        "the test".into()
    }
}

fn options(dir: &Path) -> WorkerOptions {
    WorkerOptions {
        host: "127.0.0.1".into(),
        bind: None,
        port: 0,
        resources: Resources::new(4, 4096),
        labels: Labels::from([("zone".into(), vec!["a".into()])]),
        work_dir: dir.join("work"),
        local_dirs: Vec::new(),
        app_data_ttl: Duration::from_secs(3600),
    }
}

fn app() -> ApplicationId {
    "app-1".parse().unwrap()
}

fn launch(executor: u32) -> WorkerDown {
    WorkerDown::LaunchExecutor(ExecutorLaunch {
        application: app(),
        executor: ExecutorId(executor),
        resources: Resources::new(2, 1024),
        driver_url: "http://127.0.0.1:4000".into(),
        conf: BTreeMap::from([("spark.app.name".into(), "test".into())]),
    })
}

fn changed(executor: u32, state: ExecutorState, message: &str, exit_code: Option<i32>) -> WorkerUp {
    WorkerUp::ExecutorChanged {
        application: app(),
        executor: ExecutorId(executor),
        state,
        message: message.into(),
        exit_code,
    }
}

async fn heard(link: &mut MasterLink) -> WorkerUp {
    soon(link.incoming.recv()).await.expect("the worker says something")
}

async fn say(link: &MasterLink, message: WorkerDown) {
    link.outgoing.send(message).await.expect("the worker listens");
}

/// Takes a registration.
async fn registration(link: &mut MasterLink) -> WorkerRegistration {
    let WorkerUp::Register(registration) = heard(link).await else { panic!("a link begins with a registration") };
    say(link, WorkerDown::Registered { term: 1, heartbeat_millis: 60_000 }).await;
    registration
}
