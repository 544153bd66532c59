//! A master that says what the test wants, by gRPC.

use super::chain;
use crate::{
    machine::{DriverOptions, JobFailure, JobNews},
    shell::{DriverHandle, GrpcDial, ShellOptions},
};
use hearth_core::{
    ApplicationState,
    messages::{
        application::{AppDown, AppUp},
        worker::Address,
    },
    wire::{self, Served},
};
use hearth_proto::v1::{
    self,
    application_link_server::{ApplicationLink, ApplicationLinkServer},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// Both ends of a link that a driver opened.
type Opened = (mpsc::Receiver<AppUp>, mpsc::Sender<AppDown>);

struct Master(mpsc::Sender<Opened>);

#[tonic::async_trait]
impl ApplicationLink for Master {
    type ConnectStream = Served<v1::AppDown>;

    async fn connect(&self, request: Request<Streaming<v1::AppUp>>) -> Result<Response<Self::ConnectStream>, Status> {
        let incoming = wire::incoming::<v1::AppUp, AppUp>(request.into_inner(), "driver".into());
        let (outgoing, queue) = mpsc::channel(16);
        self.0.send((incoming, outgoing)).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(wire::served(queue)))
    }
}

async fn master() -> (Address, mpsc::Receiver<Opened>, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = Address { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
    let (opened, links) = mpsc::channel(1);
    let server = Server::builder().add_service(ApplicationLinkServer::new(Master(opened)));
    let server = tokio::spawn(async move {
        server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
    });
    (address, links, server)
}

fn options(masters: Vec<Address>) -> ShellOptions {
    let driver = DriverOptions { backoff_min: Duration::from_millis(2), ..DriverOptions::default() };
    ShellOptions { driver, dial: Some(Arc::new(GrpcDial::new(masters))), ..ShellOptions::default() }
}

/// A port that nobody listens on.
async fn nowhere() -> Address {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    Address { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() }
}

fn registered() -> AppDown {
    AppDown::Registered { application: "app-1".parse().unwrap(), term: 1 }
}

#[tokio::test]
async fn a_driver_registers_comes_back_and_says_goodbye() {
    let (address, mut links, server) = master().await;
    // The first of the masters is not there: the second is asked.
    let driver = DriverHandle::start(options(vec![nowhere().await, address])).await.unwrap();
    let (mut incoming, outgoing) = links.recv().await.unwrap();
    let Some(AppUp::Register(spec)) = incoming.recv().await else { panic!("a registration") };
    assert_eq!(spec.driver_url, format!("http://127.0.0.1:{}", driver.port().unwrap()));
    outgoing.send(registered()).await.unwrap();
    let mut application = driver.0.application.clone();
    application.wait_for(Option::is_some).await.unwrap();
    assert_eq!(driver.application().unwrap().as_str(), "app-1");

    // The link breaks, and the driver comes back.
    drop((incoming, outgoing));
    let (mut incoming, outgoing) = links.recv().await.unwrap();
    assert!(
        matches!(incoming.recv().await, Some(AppUp::Reconnect { application, .. }) if application.as_str() == "app-1")
    );
    outgoing.send(registered()).await.unwrap();

    let goodbye = tokio::spawn(async move { driver.stop(ApplicationState::Finished, "done").await });
    let message = "done".to_owned();
    assert_eq!(incoming.recv().await, Some(AppUp::Unregister { state: ApplicationState::Finished, message }));
    assert_eq!(incoming.recv().await, None);
    drop(outgoing);
    goodbye.await.unwrap();
    server.abort();
}

#[tokio::test]
async fn no_master_is_one_clear_error() {
    let address = nowhere().await;
    let driver = DriverHandle::start(options(vec![address.clone()])).await.unwrap();
    let mut job = driver.submit(chain(&[1])).await.unwrap();
    let Some(JobNews::Over(Err(failure))) = job.next().await else { panic!("an end") };
    assert!(matches!(failure, JobFailure::MasterUnreachable { tries: 3, .. }), "{failure:?}");
    let text = failure.to_string();
    assert!(text.starts_with(&format!("no master at {address}: Connection refused")), "{text}");
    driver.stop(ApplicationState::Failed, "no master").await;
}

/// The commonest mistake: the address of the pages for people, or of another service.
#[tokio::test]
async fn what_is_no_master_is_said_to_be_something_else() {
    let http = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let pages = Address { host: "127.0.0.1".into(), port: http.local_addr().unwrap().port() };
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = http.accept().await.unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            // A client that has gone already is as good as one that reads this.
            let _ = stream.write_all(answer).await;
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let other = DriverHandle::start(ShellOptions::default()).await.unwrap();
    let links = Address { host: "127.0.0.1".into(), port: other.port().unwrap() };
    for address in [pages, links] {
        let driver = DriverHandle::start(options(vec![address.clone()])).await.unwrap();
        let mut job = driver.submit(chain(&[1])).await.unwrap();
        let Some(JobNews::Over(Err(failure))) = job.next().await else { panic!("an end") };
        let (text, start) = (failure.to_string(), format!("no master at {address}: something else listens there; "));
        assert!(text.starts_with(&start), "{text}");

        driver.stop(ApplicationState::Failed, "no master").await;
    }
    other.stop(ApplicationState::Finished, "done").await;
    server.abort();
}

#[tokio::test]
async fn whoever_waits_is_told_why() {
    let (address, mut links, server) = master().await;
    let driver = DriverHandle::start(options(vec![address])).await.unwrap();
    let job = driver.submit(chain(&[1])).await.unwrap();
    let (_incoming, outgoing) = links.recv().await.unwrap();
    outgoing.send(registered()).await.unwrap();
    outgoing.send(AppDown::Waiting { reason: "no workers".into() }).await.unwrap();
    let mut waiting = job.waiting();
    let reason = waiting.wait_for(Option::is_some).await.unwrap().clone();
    assert_eq!(reason.as_deref(), Some("no workers"));
    drop((_incoming, outgoing));
    driver.stop(ApplicationState::Finished, "done").await;
    server.abort();
}
