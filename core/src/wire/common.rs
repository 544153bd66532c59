//! What several links share: addresses, resources, states, refusals.

use super::check::{self, Malformed, bad, clip, id, required};
use crate::{
    ApplicationState, ExecutorId, ExecutorState, Refusal, Resources,
    messages::{task::FetchCause, worker::Address},
};
use hearth_proto::v1;

impl From<Address> for v1::Address {
    fn from(address: Address) -> Self {
        Self { host: address.host, port: address.port.into() }
    }
}

impl TryFrom<v1::Address> for Address {
    type Error = Malformed;
    fn try_from(address: v1::Address) -> Result<Self, Malformed> {
        Ok(Self { host: check::host("Address.host", address.host)?, port: check::port("Address.port", address.port)? })
    }
}

impl From<Resources> for v1::Resources {
    fn from(resources: Resources) -> Self {
        Self { cores: resources.cores, memory_mib: resources.memory_mib }
    }
}

impl TryFrom<v1::Resources> for Resources {
    type Error = Malformed;
    fn try_from(resources: v1::Resources) -> Result<Self, Malformed> {
        Ok(Self {
            cores: check::cores("Resources.cores", resources.cores)?,
            memory_mib: check::memory_mib("Resources.memory_mib", resources.memory_mib)?,
        })
    }
}

/// Both ways between an enum and its protobuf twin, whose variants have the same names and one more: unspecified.
macro_rules! twin {
    ($(#[$doc:meta])* $parse:ident, $ours:ident, $($variant:ident),+) => {
        impl From<$ours> for v1::$ours {
            fn from(value: $ours) -> Self {
                match value { $($ours::$variant => Self::$variant),+ }
            }
        }

        $(#[$doc])*
        pub(super) fn $parse(field: &str, value: i32) -> Result<$ours, Malformed> {
            match v1::$ours::try_from(value) {
                $(Ok(v1::$ours::$variant) => Ok($ours::$variant),)+
                Ok(v1::$ours::Unspecified) | Err(_) => {
                    Err(bad(field, &value, &concat!("one of ", $(stringify!($variant), " "),+)))
                }
            }
        }
    };
}

twin!(application_state, ApplicationState, Waiting, Running, Finished, Failed, Killed, Unknown);
twin!(fetch_cause, FetchCause, NotFound, CorruptOnDisk, CorruptOnWire, Unreachable, Io);
twin!(executor_state, ExecutorState, Launching, Running, Killed, Failed, Lost, Exited, Decommissioned);

/// A state in which an application is over.
pub(super) fn final_application_state(field: &str, value: i32) -> Result<ApplicationState, Malformed> {
    let state = application_state(field, value)?;
    if state.is_final() { Ok(state) } else { Err(bad(field, &state, &"a final state")) }
}

/// Executors, named by number.
pub(super) fn executors(field: &str, executors: Vec<u32>) -> Result<Vec<ExecutorId>, Malformed> {
    Ok(check::counted(field, executors, check::MAX_BATCH)?.into_iter().map(ExecutorId).collect())
}

impl From<Refusal> for v1::Refusal {
    fn from(refusal: Refusal) -> Self {
        use v1::refusal as wire;
        let reason = match refusal {
            Refusal::VersionMismatch { theirs, ours } => {
                wire::Reason::VersionMismatch(wire::VersionMismatch { theirs: clip(theirs), ours: clip(ours) })
            }
            Refusal::DuplicateWorker { worker, address } => {
                wire::Reason::DuplicateWorker(wire::DuplicateWorker { worker: worker.into(), address: clip(address) })
            }
            Refusal::Standby => wire::Reason::Standby(wire::Standby {}),
            Refusal::UnknownApplication(application) => {
                wire::Reason::UnknownApplication(wire::UnknownApplication { application: application.into() })
            }
            Refusal::UnknownExecutor(ExecutorId(executor)) => {
                wire::Reason::UnknownExecutor(wire::UnknownExecutor { executor })
            }
            Refusal::UnknownId(id) => wire::Reason::UnknownId(wire::UnknownId { id: clip(id) }),
            Refusal::Malformed(problem) => wire::Reason::Malformed(wire::MalformedMessage { problem: clip(problem) }),
            Refusal::Gone(what) => wire::Reason::Gone(wire::Gone { what: clip(what) }),
            Refusal::Full { what, limit } => wire::Reason::Full(wire::Full { what: clip(what), limit }),
        };
        Self { reason: Some(reason) }
    }
}

impl TryFrom<v1::Refusal> for Refusal {
    type Error = Malformed;
    fn try_from(refusal: v1::Refusal) -> Result<Self, Malformed> {
        use v1::refusal::Reason;
        Ok(match required("Refusal.reason", refusal.reason)? {
            Reason::VersionMismatch(r) => Self::VersionMismatch {
                theirs: check::text("Refusal.VersionMismatch.theirs", r.theirs)?,
                ours: check::text("Refusal.VersionMismatch.ours", r.ours)?,
            },
            Reason::DuplicateWorker(r) => Self::DuplicateWorker {
                worker: id("Refusal.DuplicateWorker.worker", &r.worker)?,
                address: check::text("Refusal.DuplicateWorker.address", r.address)?,
            },
            Reason::Standby(_) => Self::Standby,
            Reason::UnknownApplication(r) => {
                Self::UnknownApplication(id("Refusal.UnknownApplication.application", &r.application)?)
            }
            Reason::UnknownExecutor(r) => Self::UnknownExecutor(ExecutorId(r.executor)),
            Reason::UnknownId(r) => Self::UnknownId(check::text("Refusal.UnknownId.id", r.id)?),
            Reason::Malformed(r) => Self::Malformed(check::text("Refusal.MalformedMessage.problem", r.problem)?),
            Reason::Gone(r) => Self::Gone(check::text("Refusal.Gone.what", r.what)?),
            Reason::Full(r) => Self::Full { what: check::text("Refusal.Full.what", r.what)?, limit: r.limit },
        })
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.0)
    }
}
