//! The TaskLink service: a stream becomes a link, a question an event.

use super::links::Links;
use crate::machine::{Answer, Event};
use hearth_core::{
    Payload, PayloadHash, Refusal, ShuffleId, failpoint_link,
    link::{LINK_QUEUE, Link},
    messages::task::{MapStatuses, TaskDown, TaskInput, TaskUp},
    wire::{self, Malformed, Served},
};
use hearth_proto::v1::{self, task_link_server::TaskLink};
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

/// What executors call.
#[derive(Clone)]
pub(super) struct Service(pub(super) Arc<Links>);

#[tonic::async_trait]
impl TaskLink for Service {
    type ConnectStream = Served<v1::TaskDown>;

    async fn connect(&self, request: Request<Streaming<v1::TaskUp>>) -> Result<Response<Self::ConnectStream>, Status> {
        let peer = request.remote_addr().map_or_else(|| "an executor".into(), |at| format!("executor {at}"));
        let incoming = wire::incoming::<v1::TaskUp, TaskUp>(request.into_inner(), peer);
        let (outgoing, queue) = mpsc::channel::<TaskDown>(LINK_QUEUE);
        self.0.accept(failpoint_link!("driver.say", Link { incoming, outgoing })).map_err(refused)?;
        Ok(Response::new(wire::served(queue)))
    }

    async fn get_payload(
        &self,
        request: Request<v1::GetPayloadRequest>,
    ) -> Result<Response<v1::GetPayloadResponse>, Status> {
        let hash = PayloadHash::try_from(request.into_inner()).map_err(malformed)?;
        let payload = payload(&self.0, hash).await.map_err(refused)?;
        Ok(Response::new(payload.into()))
    }

    async fn get_map_statuses(
        &self,
        request: Request<v1::GetMapStatusesRequest>,
    ) -> Result<Response<v1::GetMapStatusesResponse>, Status> {
        let TaskInput { shuffle, epoch } = request.into_inner().into();
        let statuses = map_statuses(&self.0, shuffle, epoch).await.map_err(refused)?;
        Ok(Response::new(statuses.into()))
    }
}

fn refused(refusal: Refusal) -> Status {
    wire::status(&refusal)
}

fn malformed(malformed: Malformed) -> Status {
    wire::status(&Refusal::Malformed(malformed.to_string()))
}

/// What the tasks of a stage compute.
pub(super) async fn payload(links: &Links, hash: PayloadHash) -> Result<Payload, Refusal> {
    match links.ask(|reply| Event::PayloadAsked { reply, hash }).await? {
        Answer::Payload(payload) => Ok(payload),
        Answer::Refused(refusal) => Err(refusal),
        Answer::MapStatuses(_) => Err(Refusal::Malformed("map statuses were answered for a payload".into())),
    }
}

/// Where the outputs of a shuffle are.
pub(super) async fn map_statuses(links: &Links, shuffle: ShuffleId, epoch: u64) -> Result<MapStatuses, Refusal> {
    match links.ask(|reply| Event::MapStatusesAsked { reply, shuffle, epoch }).await? {
        Answer::MapStatuses(statuses) => Ok(statuses),
        Answer::Refused(refusal) => Err(refusal),
        Answer::Payload(_) => Err(Refusal::Malformed("a payload was answered for map statuses".into())),
    }
}
