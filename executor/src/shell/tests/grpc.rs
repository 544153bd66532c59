//! A driver in another process, as far as sockets are concerned.

use super::{
    super::{GrpcDriver, run_executor_process},
    *,
};
use crate::machine::ExecutorOptions;
use hearth_core::{link::LINK_QUEUE, wire};
use hearth_proto::v1::{self, task_link_server as server};
use std::io::Write as _;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, Streaming};

/// A TaskLink service of what a driver knows.
struct Service(Arc<Known>);

#[tonic::async_trait]
impl server::TaskLink for Service {
    type ConnectStream = wire::Served<v1::TaskDown>;

    async fn connect(&self, request: Request<Streaming<v1::TaskUp>>) -> Result<Response<Self::ConnectStream>, Status> {
        let incoming = wire::incoming(request.into_inner(), "an executor".into());
        let (outgoing, queue) = mpsc::channel(LINK_QUEUE);
        let dialed = self.0.dialed.lock().unwrap();
        dialed.as_ref().unwrap().send(Link { incoming, outgoing }).unwrap();
        Ok(Response::new(wire::served(queue)))
    }

    async fn get_payload(
        &self,
        request: Request<v1::GetPayloadRequest>,
    ) -> Result<Response<v1::GetPayloadResponse>, Status> {
        let hash = PayloadHash::try_from(request.into_inner()).unwrap();
        let payload = self.0.payload(hash).await.map_err(|e| wire::status(&e))?;
        Ok(Response::new(payload.into()))
    }

    async fn get_map_statuses(
        &self,
        request: Request<v1::GetMapStatusesRequest>,
    ) -> Result<Response<v1::GetMapStatusesResponse>, Status> {
        let TaskInput { shuffle, epoch } = request.into_inner().into();
        let statuses = self.0.map_statuses(shuffle, epoch).await.map_err(|e| wire::status(&e))?;
        Ok(Response::new(statuses.into()))
    }
}

/// Serves on a free port for as long as the runtime lives.
async fn serve() -> (Arc<Known>, mpsc::UnboundedReceiver<Link<TaskUp, TaskDown>>, String) {
    let (dialed, dials) = mpsc::unbounded_channel();
    let known =
        Arc::new(Known { payloads: Mutex::default(), statuses: Mutex::default(), dialed: Mutex::new(Some(dialed)) });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = server::TaskLinkServer::new(Service(known.clone()));
    let accepted = futures::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(accepted));
    (known, dials, url)
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn link_and_questions_share_a_connection() {
    let (known, mut dials, url) = serve().await;
    let driver = GrpcDriver::new(&url, &ExecutorOptions::default()).unwrap();
    let mut link = driver.dial().await.unwrap();
    let mut there = dials.recv().await.unwrap();
    link.outgoing.send(TaskUp::Heartbeat).await.unwrap();
    assert_eq!(there.incoming.recv().await, Some(TaskUp::Heartbeat));
    there.outgoing.send(TaskDown::Registered).await.unwrap();
    assert_eq!(link.incoming.recv().await, Some(TaskDown::Registered));

    let payload = Payload::new(vec![7; 5 << 20]);
    known.payloads.lock().unwrap().insert(payload.hash(), payload.clone());
    assert_eq!(driver.payload(payload.hash()).await, Ok(payload), "larger than gRPC's usual limit");
    let hash = Payload::new(&b"unknown"[..]).hash();
    assert_eq!(driver.payload(hash).await, Err(Refusal::Gone(format!("payload {hash}"))));
    let statuses = MapStatuses { shuffle: ShuffleId(4), epoch: 2, statuses: vec![], peers: vec![] };
    known.statuses.lock().unwrap().insert(ShuffleId(4), statuses.clone());
    assert_eq!(driver.map_statuses(ShuffleId(4), 1).await, Ok(statuses));
    assert_eq!(driver.map_statuses(ShuffleId(5), 0).await, Err(Refusal::Gone("shuffle 5".into())));

    drop(there);
    assert_eq!(link.incoming.recv().await, None);
}

#[tokio::test]
async fn a_driver_that_is_not_there_is_named() {
    let url = nobody().await;
    let options = ExecutorOptions { driver_timeout: Duration::from_millis(300), ..ExecutorOptions::default() };
    let driver = GrpcDriver::new(&url, &options).unwrap();
    let error = driver.dial().await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("the driver at {url}: ")) && error.contains("refused"), "{error}");
    let Err(Refusal::Gone(what)) = driver.map_statuses(ShuffleId(4), 0).await else { panic!("another answer") };
    assert!(what.starts_with(&format!("shuffle 4 (the driver at {url}: ")) && what.contains("refused"), "{what}");
    let error = GrpcDriver::new("http:// nowhere", &options).unwrap_err().to_string();
    assert!(error.starts_with("\"http:// nowhere\" is not the address of a driver"), "{error}");
}

#[tokio::test]
async fn a_process_runs_tasks_until_its_lifeline_ends() {
    let (known, mut dials, driver_url) = serve().await;
    let root = tempfile::tempdir().unwrap();
    let bootstrap = ExecutorBootstrap { driver_url, ..bootstrap(root.path(), &[], 9) };
    let (mut held, lifeline) = std::os::unix::net::UnixStream::pair().unwrap();
    let process = tokio::task::spawn_blocking(move || run_executor_process(bootstrap, lifeline));

    let mut link = timeout(PATIENCE, dials.recv()).await.unwrap().unwrap();
    assert!(matches!(link.incoming.recv().await, Some(TaskUp::Register(_))));
    link.outgoing.send(TaskDown::Registered).await.unwrap();
    let graph = graph("select count(*) as n from tpch.sf0_01.nation", 1).await;
    let payload = graph.stages[graph.result()].payload.clone();
    known.payloads.lock().unwrap().insert(payload.hash(), payload.clone());
    assert_eq!(graph.stages.len(), 1, "one task does it all");
    let launch = launch(TaskId(1), payload.hash(), 0, &[], TaskTarget::Result);
    link.outgoing.send(TaskDown::Launch(vec![launch])).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        match timeout(PATIENCE, link.incoming.recv()).await.unwrap().unwrap() {
            TaskUp::Statuses(news) => heard.extend(news),
            other => panic!("{other:?}"),
        }
    }
    let TaskNews::Succeeded(TaskOutput::Result(block), _) = &heard[1].news else { panic!("{heard:?}") };
    assert_eq!(text(&inline(block)), "| 25 |");

    held.write_all(b"what is written does not matter").unwrap();
    drop(held);
    let leaving = timeout(PATIENCE, link.incoming.recv()).await.unwrap();
    assert_eq!(leaving, Some(TaskUp::Leaving { reason: "its worker is gone".into() }));
    drop(link);
    let exit = timeout(PATIENCE, process).await.unwrap().unwrap().unwrap();
    assert_eq!((exit.code, exit.reason.as_str()), (0, "its worker is gone"));
}
