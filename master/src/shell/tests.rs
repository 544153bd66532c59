//! The service with real sockets and in process. Nothing sleeps: every step waits for the message that it causes.

use super::*;
use crate::machine::Record;
use hearth_core::{
    ApplicationId, ApplicationState, ExecutorId, ExecutorState, Resources, WorkerState,
    link::{self, Link},
    messages::{
        VERSION,
        application::{AppDown, AppUp, ApplicationSpec},
        worker::{WorkerDown, WorkerRegistration, WorkerUp},
    },
};
use hearth_proto::v1::{self, submission_client::SubmissionClient, worker_link_client::WorkerLinkClient};
use std::path::Path;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::transport::Endpoint;

/// Longer than anything here takes, short enough that a hang is seen.
const PATIENCE: Duration = Duration::from_secs(20);

type WorkerEnd = Link<WorkerDown, WorkerUp>;
type DriverEnd = Link<AppDown, AppUp>;

async fn hear<In, Out>(link: &mut Link<In, Out>) -> In {
    timeout(PATIENCE, link.incoming.recv()).await.expect("nothing was said").expect("the link is closed")
}

async fn hear_end<In: std::fmt::Debug, Out>(link: &mut Link<In, Out>) {
    while let Some(message) = timeout(PATIENCE, link.incoming.recv()).await.expect("the link is still open") {
        tracing::debug!("before the end: {message:?}");
    }
}

fn registration() -> WorkerUp {
    WorkerUp::Register(WorkerRegistration {
        version: VERSION.into(),
        worker: "worker-test".parse().unwrap(),
        address: Address { host: "127.0.0.1".into(), port: 7079 },
        resources: Resources::new(2, 2048),
        labels: [].into(),
        executors: vec![],
        applications: vec![],
    })
}

fn spec() -> AppUp {
    AppUp::Register(ApplicationSpec {
        version: VERSION.into(),
        name: "test".into(),
        user: "ada".into(),
        driver_url: "http://127.0.0.1:4000".into(),
        cores_per_executor: None,
        memory_per_executor_mib: 1024,
        max_cores: None,
        max_executors: None,
        conf: [].into(),
    })
}

fn machine() -> MasterOptions {
    let short = Duration::from_millis(50);
    MasterOptions { driver_grace: short, worker_link_grace: short, term: 7, ..MasterOptions::default() }
}

fn service() -> MasterServiceOptions {
    MasterServiceOptions { port: 0, webui_port: 0, machine: machine(), ..MasterServiceOptions::default() }
}

async fn worker(master: &MasterHandle) -> WorkerEnd {
    let (ours, mut theirs) = link::pair();
    master.accept_worker(ours).unwrap();
    theirs.outgoing.send(registration()).await.unwrap();
    assert!(matches!(hear(&mut theirs).await, WorkerDown::Registered { .. }));
    theirs
}

async fn driver(master: &MasterHandle) -> (DriverEnd, ApplicationId) {
    let (ours, mut theirs) = link::pair();
    master.accept_application(ours).unwrap();
    theirs.outgoing.send(spec()).await.unwrap();
    let AppDown::Registered { application, .. } = hear(&mut theirs).await else { panic!("not registered") };
    (theirs, application)
}

#[tokio::test]
async fn in_process_an_application_gets_an_executor_and_its_end_frees_the_cores() {
    let master = start_in_process(machine());
    let mut worker = worker(&master).await;
    let (mut driver, application) = driver(&master).await;
    assert!(matches!(hear(&mut driver).await, AppDown::ExecutorGranted(grant) if grant.resources.cores == 2));
    assert!(matches!(hear(&mut worker).await, WorkerDown::LaunchExecutor(launch) if launch.application == application));
    assert_eq!(master.status().await.unwrap().workers[0].used, Resources::new(2, 1024));
    assert!(master.explain(application.as_str()).await.unwrap().contains("is RUNNING"));

    drop(driver);
    let (executor, reason) = (ExecutorId(0), "its application is over".to_owned());
    let killed = WorkerDown::KillExecutor { application: application.clone(), executor, reason };
    assert_eq!(hear(&mut worker).await, killed);
    assert_eq!(hear(&mut worker).await, WorkerDown::ApplicationFinished { application: application.clone() });
    let (state, message) = (ExecutorState::Killed, String::new());
    let over = WorkerUp::ExecutorChanged { application, executor, state, message, exit_code: Some(143) };
    worker.outgoing.send(over).await.unwrap();
    // The next message on the link is answered after the one before it was handled.
    worker.outgoing.send(registration()).await.unwrap();
    assert!(matches!(hear(&mut worker).await, WorkerDown::Registered { term: 7, .. }));
    let view = master.status().await.unwrap();
    assert_eq!((view.workers[0].used, view.completed[0].state), (Resources::default(), ApplicationState::Killed));

    master.shutdown().await;
    hear_end(&mut worker).await;
    master.stopped().await.unwrap();
    assert!(matches!(master.status().await, Err(hearth_core::Refusal::Gone(_))));
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_off() {
    let master = start_in_process(machine());
    let (says, incoming) = mpsc::channel(8);
    let (outgoing, mut unread) = mpsc::channel(1);
    master.accept_worker(Link { incoming, outgoing }).unwrap();
    says.send(registration()).await.unwrap();
    // `Registered` fills its queue: the launch does not fit.
    let (mut driver, _) = driver(&master).await;
    assert!(matches!(hear(&mut driver).await, AppDown::ExecutorGranted(_)));
    let lost = hear(&mut driver).await;
    assert!(matches!(lost, AppDown::ExecutorChanged { state: ExecutorState::Lost, .. }), "{lost:?}");
    assert!(matches!(hear(&mut driver).await, AppDown::WorkerRemoved { .. }));
    assert!(matches!(hear(&mut driver).await, AppDown::Waiting { .. }));
    assert!(matches!(unread.recv().await, Some(WorkerDown::Registered { .. })));
    assert_eq!(unread.recv().await, None);
    assert!(says.is_closed());
    master.shutdown().await;
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_master() {
    let master = start_in_process(machine());
    let mut worker = worker(&master).await;
    drop(master.clone());
    assert_eq!(master.status().await.unwrap().workers[0].state, WorkerState::Alive);
    drop(master);
    hear_end(&mut worker).await;
}

async fn get(port: u16, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn http_shows_the_cluster_as_spark_does_and_as_metrics() {
    let master = start(service()).await.unwrap();
    let _worker = worker(&master).await;
    let (mut driver, application) = driver(&master).await;
    hear(&mut driver).await;
    let port = master.webui_port().unwrap();

    let (head, body) = get(port, "/healthz").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, "ok\n");

    let (head, body) = get(port, "/json/").await;
    assert!(head.contains("application/json"), "{head}");
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    let mut fields: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    // The fields that Spark's master has there and that tools read.
    let expected = "activeapps activedrivers aliveworkers completedapps completeddrivers cores coresused memory memoryused \
                    status url workers";
    assert_eq!(fields, expected.split_whitespace().collect::<Vec<_>>());
    assert_eq!(json["url"], format!("hearth://127.0.0.1:{}", master.port().unwrap()));
    assert_eq!((&json["aliveworkers"], &json["cores"], &json["coresused"]), (&1.into(), &2.into(), &2.into()));
    assert_eq!((&json["memory"], &json["memoryused"], &json["status"]), (&2048.into(), &1024.into(), &"ALIVE".into()));
    assert_eq!((&json["workers"][0]["state"], &json["workers"][0]["coresfree"]), (&"ALIVE".into(), &0.into()));
    let app = &json["activeapps"][0];
    assert_eq!((&app["id"], &app["state"]), (&application.as_str().into(), &"RUNNING".into()));
    assert_eq!((&app["cores"], &app["memoryperexecutor"]), (&2.into(), &1024.into()));
    assert_eq!(get(port, "/json").await.1.len(), body.len());

    let (head, body) = get(port, "/metrics").await;
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    for line in [
        "hearth_master_workers{state=\"ALIVE\"} 1",
        "hearth_master_workers{state=\"DEAD\"} 0",
        "hearth_master_cores 2",
        "hearth_master_cores_used 2",
        "hearth_master_memory_bytes 2147483648",
        "hearth_master_memory_used_bytes 1073741824",
        "hearth_master_applications{state=\"RUNNING\"} 1",
        "hearth_master_applications_waiting 0",
        "hearth_master_executors{state=\"LAUNCHING\"} 1",
    ] {
        assert!(body.lines().any(|l| l == line), "no {line:?} in\n{body}");
    }
    let handled = body.lines().find_map(|line| line.strip_prefix("hearth_master_events_total ")).unwrap();
    assert!(handled.parse::<u64>().unwrap() >= 5, "two registrations and three questions, not {handled}");

    assert!(get(port, "/nothing").await.0.starts_with("HTTP/1.1 404"));
    master.shutdown().await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn over_grpc_workers_register_and_people_ask() {
    let master = start(service()).await.unwrap();
    let channel = Endpoint::from_shared(format!("http://127.0.0.1:{}", master.port().unwrap())).unwrap();
    let channel = channel.connect().await.unwrap();

    let (says, queue) = mpsc::channel::<WorkerUp>(8);
    says.send(registration()).await.unwrap();
    let stream = wire::outgoing::<WorkerUp, v1::WorkerUp>(queue);
    let answers = WorkerLinkClient::new(channel.clone()).connect(stream).await.unwrap().into_inner();
    let incoming = wire::incoming::<v1::WorkerDown, WorkerDown>(answers, "master".into());
    let mut worker = Link { incoming, outgoing: says };
    assert!(matches!(hear(&mut worker).await, WorkerDown::Registered { heartbeat_millis: 15_000, term } if term > 7));

    let mut people = SubmissionClient::new(channel);
    let json = people.status(v1::StatusRequest {}).await.unwrap().into_inner().json;
    let view: hearth_core::messages::status::ClusterView = serde_json::from_str(&json).unwrap();
    assert_eq!(view, {
        let mut now = master.status().await.unwrap();
        now.workers[0].silent_millis = view.workers[0].silent_millis;
        now
    });
    let text = people.explain(v1::ExplainRequest { id: "worker-test".into() }).await.unwrap().into_inner().text;
    assert!(text.starts_with("worker-test at 127.0.0.1:7079 is ALIVE\n"), "{text}");
    let status = people.explain(v1::ExplainRequest { id: "nobody".into() }).await.unwrap_err();
    assert_eq!(wire::refusal_of(&status), Some(hearth_core::Refusal::UnknownId("nobody".into())));

    // Its end closes the stream, and the machine hears of it.
    drop(worker);
    let (mut driver, _) = driver(&master).await;
    while !matches!(hear(&mut driver).await, AppDown::WorkerRemoved { .. } | AppDown::Waiting { .. }) {}
    master.shutdown().await;
}

#[tokio::test]
async fn ports_in_use_and_open_hosts_are_named_with_the_flag_that_changes_them() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = start(MasterServiceOptions { port, ..service() }).await.unwrap_err();
    assert_eq!(error.to_string(), format!("port {port} on 127.0.0.1 is in use; choose another with --port"));
    let error = start(MasterServiceOptions { webui_port: port, ..service() }).await.unwrap_err();
    assert_eq!(error.to_string(), format!("port {port} on 127.0.0.1 is in use; choose another with --webui-port"));
    for host in ["0.0.0.0", "::", "192.0.2.1"] {
        let error = start(MasterServiceOptions { host: host.into(), ..service() }).await.unwrap_err();
        assert!(matches!(&error, Error::NotLoopback { .. }), "{error}");
    }
    let error = start(MasterServiceOptions { host: "no such host".into(), ..service() }).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot listen on \"no such host\" port 0: "), "{error}");
}

fn journal(path: &Path) -> Vec<Record> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn promises_are_in_the_journal_and_the_next_master_moves_it_aside() {
    let dir = tempfile::tempdir().unwrap();
    let options = || MasterServiceOptions { state_dir: Some(dir.path().into()), ..service() };
    let first = start(options()).await.unwrap();
    let mut worker = worker(&first).await;
    let (_driver, _) = driver(&first).await;
    hear(&mut worker).await;
    let kinds: Vec<_> = journal(&dir.path().join("journal")).iter().map(|r| format!("{r:?}")).collect();
    let expected = ["WorkerRegistered", "ApplicationRegistered", "ExecutorGranted"];
    assert_eq!(kinds.len(), expected.len(), "{kinds:?}");
    assert!(kinds.iter().zip(expected).all(|(kind, expected)| kind.starts_with(expected)), "{kinds:?}");

    let error = start(options()).await.unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    first.shutdown().await;
    let second = start(options()).await.unwrap();
    assert!(second.status().await.unwrap().workers.is_empty());
    assert!(journal(&dir.path().join("journal.1")).len() >= 3);
    assert_eq!(journal(&dir.path().join("journal")), []);
    second.shutdown().await;
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_stops_the_master_before_it_promises() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("journal")).unwrap();
    let master = start(MasterServiceOptions { state_dir: Some(dir.path().into()), ..service() }).await.unwrap();
    let (ours, mut theirs) = link::pair();
    master.accept_worker(ours).unwrap();
    theirs.outgoing.send(registration()).await.unwrap();
    assert_eq!(timeout(PATIENCE, theirs.incoming.recv()).await.unwrap(), None, "nothing was promised");
    let error = master.stopped().await.unwrap_err().to_string();
    assert!(error.starts_with("the master stopped: its journal cannot be written: "), "{error}");
    assert!(error.contains("No space left"), "{error}");
    master.shutdown().await;
}
