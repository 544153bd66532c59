//! Refusals as gRPC statuses: the code for any client, the refusal itself in the details for ours.

use super::check::clip_to;
use crate::Refusal;
use hearth_proto::v1;
use prost::Message;
use tonic::{Code, Status};

/// Bytes of each text. A status travels in a header, escaped to up to three times its length, and all headers of an
/// answer together may have 16 KiB; a refusal has two texts at most, each of which stands in the message too.
const MAX_TEXT: usize = 1 << 10;

/// The status by which a refusal travels.
pub fn status(refusal: &Refusal) -> Status {
    let short = shortened(refusal);
    let details = v1::Refusal::from(short.clone()).encode_to_vec();
    Status::with_details(code(&short), short.to_string(), details.into())
}

/// The refusal that a status carries, when it carries one.
pub fn refusal_of(status: &Status) -> Option<Refusal> {
    if status.details().is_empty() {
        return None;
    }
    v1::Refusal::decode(status.details()).ok()?.try_into().ok()
}

const fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::VersionMismatch { .. } => Code::FailedPrecondition,
        Refusal::DuplicateWorker { .. } => Code::AlreadyExists,
        Refusal::Standby => Code::Unavailable,
        Refusal::UnknownApplication(_) | Refusal::UnknownExecutor(_) | Refusal::UnknownId(_) | Refusal::Gone(_) => {
            Code::NotFound
        }
        Refusal::Malformed(_) => Code::InvalidArgument,
        Refusal::Full { .. } => Code::ResourceExhausted,
    }
}

fn shortened(refusal: &Refusal) -> Refusal {
    let short = |text: &String| clip_to(text.clone(), MAX_TEXT);
    match refusal {
        Refusal::VersionMismatch { theirs, ours } => {
            Refusal::VersionMismatch { theirs: short(theirs), ours: short(ours) }
        }
        Refusal::DuplicateWorker { worker, address } => {
            Refusal::DuplicateWorker { worker: worker.clone(), address: short(address) }
        }
        Refusal::UnknownId(id) => Refusal::UnknownId(short(id)),
        Refusal::Malformed(problem) => Refusal::Malformed(short(problem)),
        Refusal::Gone(what) => Refusal::Gone(short(what)),
        Refusal::Full { what, limit } => Refusal::Full { what: short(what), limit: *limit },
        Refusal::Standby | Refusal::UnknownApplication(_) | Refusal::UnknownExecutor(_) => refusal.clone(),
    }
}
