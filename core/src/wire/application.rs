//! ApplicationLink.

use super::{
    check::{self, Malformed, clip, id, required},
    common::{executor_state, executors, final_application_state},
};
use crate::{
    ExecutorId,
    messages::application::{AppDown, AppUp, ApplicationSpec, ExecutorGrant},
};
use hearth_proto::v1::{self, app_down, app_up};

impl From<ApplicationSpec> for v1::ApplicationSpec {
    fn from(spec: ApplicationSpec) -> Self {
        Self {
            version: spec.version,
            name: clip(spec.name),
            user: spec.user,
            driver_url: spec.driver_url,
            cores_per_executor: spec.cores_per_executor,
            memory_per_executor_mib: spec.memory_per_executor_mib,
            max_cores: spec.max_cores,
            max_executors: spec.max_executors,
            conf: spec.conf,
        }
    }
}

impl TryFrom<v1::ApplicationSpec> for ApplicationSpec {
    type Error = Malformed;
    fn try_from(spec: v1::ApplicationSpec) -> Result<Self, Malformed> {
        let cores = |field, cores: Option<u32>| cores.map(|n| check::cores(field, n)).transpose();
        Ok(Self {
            version: check::name("ApplicationSpec.version", spec.version)?,
            name: check::text("ApplicationSpec.name", spec.name)?,
            user: check::name("ApplicationSpec.user", spec.user)?,
            driver_url: check::url("ApplicationSpec.driver_url", spec.driver_url)?,
            cores_per_executor: cores("ApplicationSpec.cores_per_executor", spec.cores_per_executor)?,
            memory_per_executor_mib: check::memory_mib(
                "ApplicationSpec.memory_per_executor_mib",
                spec.memory_per_executor_mib,
            )?,
            // A cap speaks of a whole cluster: any number is one, but none that grants nothing.
            max_cores: spec.max_cores.map(|n| check::positive("ApplicationSpec.max_cores", n)).transpose()?,
            max_executors: spec.max_executors,
            conf: check::conf("ApplicationSpec.conf", spec.conf)?,
        })
    }
}

impl From<AppUp> for v1::AppUp {
    fn from(up: AppUp) -> Self {
        use app_up::Message;
        let numbers = |executors: Vec<ExecutorId>| executors.into_iter().map(|id| id.0).collect();
        let message = match up {
            AppUp::Register(spec) => Message::Register(spec.into()),
            AppUp::Reconnect { application, executors, spec } => Message::Reconnect(app_up::Reconnect {
                application: application.into(),
                executors: numbers(executors),
                spec: Some(spec.into()),
            }),
            AppUp::LimitExecutors { max_executors } => {
                Message::LimitExecutors(app_up::LimitExecutors { max_executors })
            }
            AppUp::KillExecutors { executors, reason } => {
                Message::KillExecutors(app_up::KillExecutors { executors: numbers(executors), reason: clip(reason) })
            }
            AppUp::Unregister { state, message } => Message::Unregister(app_up::Unregister {
                state: v1::ApplicationState::from(state).into(),
                message: clip(message),
            }),
            AppUp::Heartbeat => Message::Heartbeat(app_up::Heartbeat {}),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<v1::AppUp> for AppUp {
    type Error = Malformed;
    fn try_from(up: v1::AppUp) -> Result<Self, Malformed> {
        use app_up::Message;
        Ok(match required("AppUp.message", up.message)? {
            Message::Register(spec) => Self::Register(spec.try_into()?),
            Message::Reconnect(reconnect) => Self::Reconnect {
                application: id("AppUp.Reconnect.application", &reconnect.application)?,
                executors: executors("AppUp.Reconnect.executors", reconnect.executors)?,
                spec: required("AppUp.Reconnect.spec", reconnect.spec)?.try_into()?,
            },
            Message::LimitExecutors(limit) => Self::LimitExecutors { max_executors: limit.max_executors },
            Message::KillExecutors(kill) => Self::KillExecutors {
                executors: executors("AppUp.KillExecutors.executors", kill.executors)?,
                reason: check::text("AppUp.KillExecutors.reason", kill.reason)?,
            },
            Message::Unregister(unregister) => Self::Unregister {
                state: final_application_state("AppUp.Unregister.state", unregister.state)?,
                message: check::text("AppUp.Unregister.message", unregister.message)?,
            },
            Message::Heartbeat(_) => Self::Heartbeat,
        })
    }
}

impl From<ExecutorGrant> for app_down::ExecutorGranted {
    fn from(grant: ExecutorGrant) -> Self {
        Self {
            executor: grant.executor.0,
            worker: grant.worker.into(),
            host: grant.host,
            resources: Some(grant.resources.into()),
        }
    }
}

impl TryFrom<app_down::ExecutorGranted> for ExecutorGrant {
    type Error = Malformed;
    fn try_from(grant: app_down::ExecutorGranted) -> Result<Self, Malformed> {
        Ok(Self {
            executor: ExecutorId(grant.executor),
            worker: id("AppDown.ExecutorGranted.worker", &grant.worker)?,
            host: check::host("AppDown.ExecutorGranted.host", grant.host)?,
            resources: required("AppDown.ExecutorGranted.resources", grant.resources)?.try_into()?,
        })
    }
}

impl From<AppDown> for v1::AppDown {
    fn from(down: AppDown) -> Self {
        use app_down::Message;
        let message = match down {
            AppDown::Registered { application, term } => {
                Message::Registered(app_down::Registered { application: application.into(), term })
            }
            AppDown::Refused { refusal, term } => {
                Message::Refused(app_down::Refused { refusal: Some(refusal.into()), term })
            }
            AppDown::ExecutorGranted(grant) => Message::ExecutorGranted(grant.into()),
            AppDown::ExecutorChanged { executor, state, message, exit_code } => {
                Message::ExecutorChanged(app_down::ExecutorChanged {
                    executor: executor.0,
                    state: v1::ExecutorState::from(state).into(),
                    message: clip(message),
                    exit_code,
                })
            }
            AppDown::WorkerRemoved { worker, reason } => {
                Message::WorkerRemoved(app_down::WorkerRemoved { worker: worker.into(), reason: clip(reason) })
            }
            AppDown::Waiting { reason } => Message::Waiting(app_down::Waiting { reason: clip(reason) }),
            AppDown::Ended { state, reason } => Message::Ended(app_down::Ended {
                state: v1::ApplicationState::from(state).into(),
                reason: clip(reason),
            }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<v1::AppDown> for AppDown {
    type Error = Malformed;
    fn try_from(down: v1::AppDown) -> Result<Self, Malformed> {
        use app_down::Message;
        Ok(match required("AppDown.message", down.message)? {
            Message::Registered(registered) => Self::Registered {
                application: id("AppDown.Registered.application", &registered.application)?,
                term: registered.term,
            },
            Message::Refused(refused) => Self::Refused {
                refusal: required("AppDown.Refused.refusal", refused.refusal)?.try_into()?,
                term: refused.term,
            },
            Message::ExecutorGranted(grant) => Self::ExecutorGranted(grant.try_into()?),
            Message::ExecutorChanged(changed) => Self::ExecutorChanged {
                executor: ExecutorId(changed.executor),
                state: executor_state("AppDown.ExecutorChanged.state", changed.state)?,
                message: check::text("AppDown.ExecutorChanged.message", changed.message)?,
                exit_code: changed.exit_code,
            },
            Message::WorkerRemoved(removed) => Self::WorkerRemoved {
                worker: id("AppDown.WorkerRemoved.worker", &removed.worker)?,
                reason: check::text("AppDown.WorkerRemoved.reason", removed.reason)?,
            },
            Message::Waiting(waiting) => {
                Self::Waiting { reason: check::text("AppDown.Waiting.reason", waiting.reason)? }
            }
            Message::Ended(ended) => Self::Ended {
                state: final_application_state("AppDown.Ended.state", ended.state)?,
                reason: check::text("AppDown.Ended.reason", ended.reason)?,
            },
        })
    }
}
