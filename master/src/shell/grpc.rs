//! The gRPC services: each method turns a stream into a link, or a question into an event.

use super::{handle, links::Links};
use hearth_core::{
    Refusal,
    link::{LINK_QUEUE, Link},
    messages::{
        application::{AppDown, AppUp},
        worker::{WorkerDown, WorkerUp},
    },
    wire::{self, Served},
};
use hearth_proto::v1::{
    self, application_link_server::ApplicationLink, submission_server::Submission, worker_link_server::WorkerLink,
};
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

/// All services of one master.
#[derive(Clone)]
pub(super) struct Services(pub(super) Arc<Links>);

fn peer<T>(kind: &str, request: &Request<T>) -> String {
    request.remote_addr().map_or_else(|| format!("a {kind}"), |address| format!("{kind} {address}"))
}

fn refused(refusal: Refusal) -> Status {
    wire::status(&refusal)
}

#[tonic::async_trait]
impl WorkerLink for Services {
    type ConnectStream = Served<v1::WorkerDown>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::WorkerUp>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let peer = peer("worker", &request);
        let incoming = wire::incoming::<v1::WorkerUp, WorkerUp>(request.into_inner(), peer);
        let (outgoing, queue) = mpsc::channel::<WorkerDown>(LINK_QUEUE);
        self.0.accept_worker(Link { incoming, outgoing }).map_err(refused)?;
        Ok(Response::new(wire::served(queue)))
    }
}

#[tonic::async_trait]
impl ApplicationLink for Services {
    type ConnectStream = Served<v1::AppDown>;

    async fn connect(&self, request: Request<Streaming<v1::AppUp>>) -> Result<Response<Self::ConnectStream>, Status> {
        let peer = peer("driver", &request);
        let incoming = wire::incoming::<v1::AppUp, AppUp>(request.into_inner(), peer);
        let (outgoing, queue) = mpsc::channel::<AppDown>(LINK_QUEUE);
        self.0.accept_application(Link { incoming, outgoing }).map_err(refused)?;
        Ok(Response::new(wire::served(queue)))
    }
}

#[tonic::async_trait]
impl Submission for Services {
    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        let view = handle::status(&self.0).await.map_err(refused)?;
        let json =
            serde_json::to_string(&view).map_err(|e| Status::internal(format!("the status has no JSON: {e}")))?;
        Ok(Response::new(v1::StatusResponse { json }))
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Result<Response<v1::ExplainResponse>, Status> {
        let text = handle::explain(&self.0, &request.into_inner().id).await.map_err(refused)?;
        Ok(Response::new(v1::ExplainResponse { text }))
    }
}
