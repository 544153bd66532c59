//! TaskLink: `down` to an executor, `up` from it, `blocks` what both speak of, `metrics` what tasks did, and the two
//! questions beside it.

mod blocks;
mod down;
mod metrics;
mod up;

use super::check::{Malformed, bad, each};
use crate::{
    Payload, PayloadHash, ShuffleId,
    messages::task::{MAX_PEERS, MapStatus, MapStatuses, TaskInput},
    stage::MAX_PARTITIONS,
};
use bytes::Bytes;
use hearth_proto::v1;

/// Bytes of a result that travels with its task's status.
const MAX_INLINE_RESULT: usize = 1 << 20;

fn hash_bytes(hash: PayloadHash) -> Bytes {
    Bytes::copy_from_slice(&hash.0)
}

fn payload_hash(field: &str, bytes: &Bytes) -> Result<PayloadHash, Malformed> {
    match <[u8; 32]>::try_from(&bytes[..]) {
        Ok(hash) => Ok(PayloadHash(hash)),
        Err(_) => Err(Malformed(format!("{field} has {} bytes; expected the 32 of a SHA-256", bytes.len()))),
    }
}

impl From<PayloadHash> for v1::GetPayloadRequest {
    fn from(hash: PayloadHash) -> Self {
        Self { hash: hash_bytes(hash) }
    }
}

impl TryFrom<v1::GetPayloadRequest> for PayloadHash {
    type Error = Malformed;
    fn try_from(request: v1::GetPayloadRequest) -> Result<Self, Malformed> {
        payload_hash("GetPayloadRequest.hash", &request.hash)
    }
}

impl From<Payload> for v1::GetPayloadResponse {
    fn from(payload: Payload) -> Self {
        Self { payload: payload.bytes().clone() }
    }
}

/// The payload in an answer, once it is certain that it is the one that was asked for.
pub fn checked_payload(asked: PayloadHash, answer: v1::GetPayloadResponse) -> Result<Payload, Malformed> {
    let payload = Payload::new(answer.payload);
    if payload.hash() != asked {
        let expected = format_args!("the payload of hash {asked}");
        return Err(bad("GetPayloadResponse.payload", &payload, &expected));
    }
    Ok(payload)
}

impl From<TaskInput> for v1::GetMapStatusesRequest {
    fn from(input: TaskInput) -> Self {
        Self { shuffle: input.shuffle.0, epoch: input.epoch }
    }
}

impl From<v1::GetMapStatusesRequest> for TaskInput {
    fn from(request: v1::GetMapStatusesRequest) -> Self {
        Self { shuffle: ShuffleId(request.shuffle), epoch: request.epoch }
    }
}

impl From<MapStatuses> for v1::GetMapStatusesResponse {
    fn from(statuses: MapStatuses) -> Self {
        Self {
            shuffle: statuses.shuffle.0,
            epoch: statuses.epoch,
            statuses: statuses.statuses.into_iter().map(Into::into).collect(),
            peers: statuses.peers.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::GetMapStatusesResponse> for MapStatuses {
    type Error = Malformed;
    fn try_from(response: v1::GetMapStatusesResponse) -> Result<Self, Malformed> {
        let field = "GetMapStatusesResponse.statuses";
        let statuses: Vec<MapStatus> = each(field, response.statuses, MAX_PARTITIONS as usize)?;
        for (place, status) in statuses.iter().enumerate() {
            if status.partition as usize != place {
                let expected = format_args!("partition {place}: one status a map partition, in order");
                return Err(bad(field, &status.partition, &expected));
            }
            if status.sizes.len() != statuses[0].sizes.len() {
                let expected = format_args!("{} blocks, as the first map task has", statuses[0].sizes.len());
                return Err(bad(field, &status.sizes.len(), &expected));
            }
        }
        let peers = each("GetMapStatusesResponse.peers", response.peers, MAX_PEERS)?;
        Ok(Self { shuffle: ShuffleId(response.shuffle), epoch: response.epoch, statuses, peers })
    }
}
