//! A master's WorkerLink over gRPC, played by the test.

use super::*;
use hearth_core::{
    link::LINK_QUEUE,
    messages::worker::Address,
    wire::{self, Served},
};
use hearth_proto::v1::{self, worker_link_server};
use hearth_worker::shell::GrpcDial;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming, transport::Server};

struct TestMaster(mpsc::UnboundedSender<MasterLink>);

#[tonic::async_trait]
impl worker_link_server::WorkerLink for TestMaster {
    type ConnectStream = Served<v1::WorkerDown>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::WorkerUp>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (outgoing, queue) = mpsc::channel(LINK_QUEUE);
        let incoming = wire::incoming(request.into_inner(), "a worker".into());
        let _ = self.0.send(Link { incoming, outgoing });
        Ok(Response::new(wire::served(queue)))
    }
}

/// A master on a free port.
async fn master() -> (Address, mpsc::UnboundedReceiver<MasterLink>) {
    let (accepted, links) = mpsc::unbounded_channel();
    let (listener, address) = free_port().await;
    let service = worker_link_server::WorkerLinkServer::new(TestMaster(accepted));
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    (address, links)
}

async fn free_port() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Address { host: "127.0.0.1".into(), port })
}

#[tokio::test]
async fn messages_cross_and_an_end_is_seen_on_both_sides() {
    let (address, mut links) = master().await;
    let dial = GrpcDial::new(vec![address]);
    let mut ours = soon(dial.dial()).await.unwrap();
    let mut theirs = soon(links.recv()).await.unwrap();
    ours.outgoing.send(WorkerUp::Heartbeat).await.unwrap();
    assert_eq!(heard(&mut theirs).await, WorkerUp::Heartbeat);
    say(&theirs, launch(1)).await;
    assert_eq!(soon(ours.incoming.recv()).await, Some(launch(1)));
    // What was said before the end arrives.
    ours.outgoing.send(WorkerUp::Leaving { reason: "done".into() }).await.unwrap();
    drop(ours.outgoing);
    assert_eq!(heard(&mut theirs).await, WorkerUp::Leaving { reason: "done".into() });
    assert_eq!(soon(theirs.incoming.recv()).await, None);
    drop(theirs);
    assert_eq!(soon(ours.incoming.recv()).await, None);
}

#[tokio::test]
async fn masters_are_dialed_in_turn_and_errors_name_them() {
    let (listener, nobody) = free_port().await;
    drop(listener);
    let (address, _links) = master().await;
    let dial = GrpcDial::new(vec![nobody.clone(), address.clone()]);
    assert_eq!(dial.peer(), format!("hearth://{nobody},{address}"));
    for _ in 0..2 {
        let error = soon(dial.dial()).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("hearth://{nobody}: ")) && error.contains("refused"), "{error}");
        soon(dial.dial()).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_of_something_else_is_no_master() {
    let (listener, address) = free_port().await;
    // It takes the connection and says nothing that makes sense.
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let error = soon(GrpcDial::new(vec![address.clone()]).dial()).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("hearth://{address}: ")), "{error}");
}
