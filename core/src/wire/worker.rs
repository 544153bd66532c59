//! WorkerLink.

use super::{
    check::{self, MAX_BATCH, Malformed, bad, clip, each, id, required},
    common::executor_state,
};
use crate::{
    ExecutorId, Labels,
    messages::worker::{ExecutorLaunch, LiveExecutor, WorkerDown, WorkerRegistration, WorkerUp},
};
use hearth_proto::v1::{self, worker_down, worker_up};
use std::collections::BTreeMap;

/// Names of labels, and values of one: people write them, by hand or by a generator for a rack.
const MAX_LABELS: usize = 4096;

impl From<WorkerUp> for v1::WorkerUp {
    fn from(up: WorkerUp) -> Self {
        use worker_up::Message;
        let message = match up {
            WorkerUp::Register(registration) => Message::Register(registration.into()),
            WorkerUp::Heartbeat => Message::Heartbeat(worker_up::Heartbeat {}),
            WorkerUp::ExecutorChanged { application, executor, state, message, exit_code } => {
                Message::ExecutorChanged(worker_up::ExecutorChanged {
                    application: application.into(),
                    executor: executor.0,
                    state: v1::ExecutorState::from(state).into(),
                    message: clip(message),
                    exit_code,
                })
            }
            WorkerUp::Leaving { reason } => Message::Leaving(worker_up::Leaving { reason: clip(reason) }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<v1::WorkerUp> for WorkerUp {
    type Error = Malformed;
    fn try_from(up: v1::WorkerUp) -> Result<Self, Malformed> {
        use worker_up::Message;
        Ok(match required("WorkerUp.message", up.message)? {
            Message::Register(registration) => Self::Register(registration.try_into()?),
            Message::Heartbeat(_) => Self::Heartbeat,
            Message::ExecutorChanged(changed) => Self::ExecutorChanged {
                application: id("WorkerUp.ExecutorChanged.application", &changed.application)?,
                executor: ExecutorId(changed.executor),
                state: executor_state("WorkerUp.ExecutorChanged.state", changed.state)?,
                message: check::text("WorkerUp.ExecutorChanged.message", changed.message)?,
                exit_code: changed.exit_code,
            },
            Message::Leaving(leaving) => {
                Self::Leaving { reason: check::text("WorkerUp.Leaving.reason", leaving.reason)? }
            }
        })
    }
}

impl From<WorkerRegistration> for worker_up::Register {
    fn from(registration: WorkerRegistration) -> Self {
        Self {
            version: registration.version,
            worker: registration.worker.into(),
            address: Some(registration.address.into()),
            resources: Some(registration.resources.into()),
            labels: registration.labels.into_iter().map(|(name, values)| worker_up::Label { name, values }).collect(),
            executors: registration.executors.into_iter().map(Into::into).collect(),
            applications: registration.applications.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<worker_up::Register> for WorkerRegistration {
    type Error = Malformed;
    fn try_from(register: worker_up::Register) -> Result<Self, Malformed> {
        Ok(Self {
            version: check::name("WorkerUp.Register.version", register.version)?,
            worker: id("WorkerUp.Register.worker", &register.worker)?,
            address: required("WorkerUp.Register.address", register.address)?.try_into()?,
            resources: required("WorkerUp.Register.resources", register.resources)?.try_into()?,
            labels: labels(register.labels)?,
            executors: each("WorkerUp.Register.executors", register.executors, MAX_BATCH)?,
            applications: check::counted("WorkerUp.Register.applications", register.applications, MAX_BATCH)?
                .iter()
                .map(|application| id("WorkerUp.Register.applications", application))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn labels(wire: Vec<worker_up::Label>) -> Result<Labels, Malformed> {
    let mut labels = BTreeMap::new();
    for label in check::counted("WorkerUp.Register.labels", wire, MAX_LABELS)? {
        let name = check::name("WorkerUp.Label.name", label.name)?;
        let values = check::counted("WorkerUp.Label.values", label.values, MAX_LABELS)?
            .into_iter()
            .map(|value| check::name("WorkerUp.Label.values", value))
            .collect::<Result<_, _>>()?;
        if name.is_empty() || labels.contains_key(&name) {
            return Err(bad("WorkerUp.Label.name", &name, &"a name that no other label has"));
        }
        labels.insert(name, values);
    }
    Ok(labels)
}

impl From<LiveExecutor> for worker_up::LiveExecutor {
    fn from(live: LiveExecutor) -> Self {
        Self {
            application: live.application.into(),
            executor: live.executor.0,
            resources: Some(live.resources.into()),
            state: v1::ExecutorState::from(live.state).into(),
        }
    }
}

impl TryFrom<worker_up::LiveExecutor> for LiveExecutor {
    type Error = Malformed;
    fn try_from(live: worker_up::LiveExecutor) -> Result<Self, Malformed> {
        let state = executor_state("WorkerUp.LiveExecutor.state", live.state)?;
        if state.is_final() {
            return Err(bad("WorkerUp.LiveExecutor.state", &state, &"Launching or Running"));
        }
        Ok(Self {
            application: id("WorkerUp.LiveExecutor.application", &live.application)?,
            executor: ExecutorId(live.executor),
            resources: required("WorkerUp.LiveExecutor.resources", live.resources)?.try_into()?,
            state,
        })
    }
}

impl From<WorkerDown> for v1::WorkerDown {
    fn from(down: WorkerDown) -> Self {
        use worker_down::Message;
        let message = match down {
            WorkerDown::Registered { term, heartbeat_millis } => {
                Message::Registered(worker_down::Registered { term, heartbeat_millis })
            }
            WorkerDown::Refused { refusal, term } => {
                Message::Refused(worker_down::Refused { refusal: Some(refusal.into()), term })
            }
            WorkerDown::Reregister => Message::Reregister(worker_down::Reregister {}),
            WorkerDown::LaunchExecutor(launch) => Message::LaunchExecutor(launch.into()),
            WorkerDown::KillExecutor { application, executor, reason } => {
                Message::KillExecutor(worker_down::KillExecutor {
                    application: application.into(),
                    executor: executor.0,
                    reason: clip(reason),
                })
            }
            WorkerDown::ApplicationFinished { application } => {
                Message::ApplicationFinished(worker_down::ApplicationFinished { application: application.into() })
            }
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<v1::WorkerDown> for WorkerDown {
    type Error = Malformed;
    fn try_from(down: v1::WorkerDown) -> Result<Self, Malformed> {
        use worker_down::Message;
        Ok(match required("WorkerDown.message", down.message)? {
            Message::Registered(registered) => registered.try_into()?,
            Message::Refused(refused) => Self::Refused {
                refusal: required("WorkerDown.Refused.refusal", refused.refusal)?.try_into()?,
                term: refused.term,
            },
            Message::Reregister(_) => Self::Reregister,
            Message::LaunchExecutor(launch) => Self::LaunchExecutor(launch.try_into()?),
            Message::KillExecutor(kill) => Self::KillExecutor {
                application: id("WorkerDown.KillExecutor.application", &kill.application)?,
                executor: ExecutorId(kill.executor),
                reason: check::text("WorkerDown.KillExecutor.reason", kill.reason)?,
            },
            Message::ApplicationFinished(finished) => Self::ApplicationFinished {
                application: id("WorkerDown.ApplicationFinished.application", &finished.application)?,
            },
        })
    }
}

impl TryFrom<worker_down::Registered> for WorkerDown {
    type Error = Malformed;
    fn try_from(registered: worker_down::Registered) -> Result<Self, Malformed> {
        /// A heartbeat a day is none; none at all would spin.
        const LEGAL: std::ops::RangeInclusive<u64> = 1..=86_400_000;
        let worker_down::Registered { term, heartbeat_millis } = registered;
        if !LEGAL.contains(&heartbeat_millis) {
            return Err(bad("WorkerDown.Registered.heartbeat_millis", &heartbeat_millis, &"1 to 86400000"));
        }
        Ok(Self::Registered { term, heartbeat_millis })
    }
}

impl From<ExecutorLaunch> for worker_down::LaunchExecutor {
    fn from(launch: ExecutorLaunch) -> Self {
        Self {
            application: launch.application.into(),
            executor: launch.executor.0,
            resources: Some(launch.resources.into()),
            driver_url: launch.driver_url,
            conf: launch.conf,
        }
    }
}

impl TryFrom<worker_down::LaunchExecutor> for ExecutorLaunch {
    type Error = Malformed;
    fn try_from(launch: worker_down::LaunchExecutor) -> Result<Self, Malformed> {
        Ok(Self {
            application: id("WorkerDown.LaunchExecutor.application", &launch.application)?,
            executor: ExecutorId(launch.executor),
            resources: required("WorkerDown.LaunchExecutor.resources", launch.resources)?.try_into()?,
            driver_url: check::url("WorkerDown.LaunchExecutor.driver_url", launch.driver_url)?,
            conf: check::conf("WorkerDown.LaunchExecutor.conf", launch.conf)?,
        })
    }
}
