//! From an executor to its driver.

use super::super::{
    check::{self, MAX_BATCH, Malformed, clip, counted, each, id, required},
    common::fetch_cause,
};
use crate::{
    ExecutorId, ShuffleId, TaskId,
    messages::task::{ExecutorRegistration, TaskFailure, TaskNews, TaskOutput, TaskStatus, TaskUp},
};
use hearth_proto::v1::{self, task_failure, task_status, task_up};

impl From<TaskUp> for v1::TaskUp {
    fn from(up: TaskUp) -> Self {
        use task_up::Message;
        let message = match up {
            TaskUp::Register(registration) => Message::Register(registration.into()),
            TaskUp::Statuses(statuses) => {
                Message::Statuses(task_up::Statuses { statuses: statuses.into_iter().map(Into::into).collect() })
            }
            TaskUp::Heartbeat => Message::Heartbeat(task_up::Heartbeat {}),
            TaskUp::Leaving { reason } => Message::Leaving(task_up::Leaving { reason: clip(reason) }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<v1::TaskUp> for TaskUp {
    type Error = Malformed;
    fn try_from(up: v1::TaskUp) -> Result<Self, Malformed> {
        use task_up::Message;
        Ok(match required("TaskUp.message", up.message)? {
            Message::Register(register) => Self::Register(register.try_into()?),
            Message::Statuses(batch) => Self::Statuses(each("TaskUp.Statuses.statuses", batch.statuses, MAX_BATCH)?),
            Message::Heartbeat(_) => Self::Heartbeat,
            Message::Leaving(leaving) => {
                Self::Leaving { reason: check::text("TaskUp.Leaving.reason", leaving.reason)? }
            }
        })
    }
}

impl From<ExecutorRegistration> for task_up::Register {
    fn from(registration: ExecutorRegistration) -> Self {
        Self {
            version: registration.version,
            application: registration.application.into(),
            executor: registration.executor.0,
            worker: registration.worker.into(),
            host: registration.host,
            cores: registration.cores,
            blocks: Some(registration.blocks.into()),
            running: registration.running.into_iter().map(|id| id.0).collect(),
        }
    }
}

impl TryFrom<task_up::Register> for ExecutorRegistration {
    type Error = Malformed;
    fn try_from(register: task_up::Register) -> Result<Self, Malformed> {
        Ok(Self {
            version: check::name("TaskUp.Register.version", register.version)?,
            application: id("TaskUp.Register.application", &register.application)?,
            executor: ExecutorId(register.executor),
            worker: id("TaskUp.Register.worker", &register.worker)?,
            host: check::host("TaskUp.Register.host", register.host)?,
            cores: check::cores("TaskUp.Register.cores", register.cores)?,
            blocks: required("TaskUp.Register.blocks", register.blocks)?.try_into()?,
            running: counted("TaskUp.Register.running", register.running, MAX_BATCH)?.into_iter().map(TaskId).collect(),
        })
    }
}

impl From<TaskStatus> for v1::TaskStatus {
    fn from(status: TaskStatus) -> Self {
        use task_status::{News, Started, Succeeded, succeeded};
        let news = match status.news {
            TaskNews::Started => News::Started(Started {}),
            TaskNews::Succeeded(output, metrics) => {
                let output = match output {
                    TaskOutput::Map(status) => succeeded::Output::Map(status.into()),
                    TaskOutput::Result(block) => succeeded::Output::Result(block.into()),
                };
                News::Succeeded(Succeeded { output: Some(output), metrics: Some(metrics.into()) })
            }
            TaskNews::Failed(failure) => News::Failed(failure.into()),
        };
        Self { task: status.task.0, news: Some(news) }
    }
}

impl TryFrom<v1::TaskStatus> for TaskStatus {
    type Error = Malformed;
    fn try_from(status: v1::TaskStatus) -> Result<Self, Malformed> {
        use task_status::{News, succeeded};
        let news = match required("TaskStatus.news", status.news)? {
            News::Started(_) => TaskNews::Started,
            News::Succeeded(succeeded) => {
                let output = match required("TaskStatus.Succeeded.output", succeeded.output)? {
                    succeeded::Output::Map(status) => TaskOutput::Map(status.try_into()?),
                    succeeded::Output::Result(block) => TaskOutput::Result(block.try_into()?),
                };
                let metrics = required("TaskStatus.Succeeded.metrics", succeeded.metrics)?.try_into()?;
                TaskNews::Succeeded(output, metrics)
            }
            News::Failed(failure) => TaskNews::Failed(failure.try_into()?),
        };
        Ok(Self { task: TaskId(status.task), news })
    }
}

impl From<TaskFailure> for v1::TaskFailure {
    fn from(failure: TaskFailure) -> Self {
        use task_failure as wire;
        let failure = match failure {
            TaskFailure::Query(message) => wire::Failure::Query(wire::Query { message: clip(message) }),
            TaskFailure::Transient(message) => wire::Failure::Transient(wire::Transient { message: clip(message) }),
            TaskFailure::Panicked(message) => wire::Failure::Panicked(wire::Panicked { message: clip(message) }),
            TaskFailure::OutOfMemory(message) => {
                wire::Failure::OutOfMemory(wire::OutOfMemory { message: clip(message) })
            }
            TaskFailure::Disk { path, message } => {
                wire::Failure::Disk(wire::Disk { path: clip(path), message: clip(message) })
            }
            TaskFailure::FetchFailed { shuffle, map_partition, map_task, location, cause, message } => {
                wire::Failure::FetchFailed(wire::FetchFailed {
                    shuffle: shuffle.0,
                    map_partition,
                    map_task: map_task.0,
                    location: Some((*location).into()),
                    message: clip(message),
                    cause: v1::FetchCause::from(cause).into(),
                })
            }
            TaskFailure::Killed(reason) => wire::Failure::Killed(wire::Killed { reason: clip(reason) }),
        };
        Self { failure: Some(failure) }
    }
}

impl TryFrom<v1::TaskFailure> for TaskFailure {
    type Error = Malformed;
    fn try_from(failure: v1::TaskFailure) -> Result<Self, Malformed> {
        use task_failure::Failure;
        Ok(match required("TaskFailure.failure", failure.failure)? {
            Failure::Query(f) => Self::Query(check::text("TaskFailure.Query.message", f.message)?),
            Failure::Transient(f) => Self::Transient(check::text("TaskFailure.Transient.message", f.message)?),
            Failure::Panicked(f) => Self::Panicked(check::text("TaskFailure.Panicked.message", f.message)?),
            Failure::OutOfMemory(f) => Self::OutOfMemory(check::text("TaskFailure.OutOfMemory.message", f.message)?),
            Failure::Disk(f) => Self::Disk {
                path: check::text("TaskFailure.Disk.path", f.path)?,
                message: check::text("TaskFailure.Disk.message", f.message)?,
            },
            Failure::FetchFailed(f) => Self::FetchFailed {
                shuffle: ShuffleId(f.shuffle),
                map_partition: check::partition("TaskFailure.FetchFailed.map_partition", f.map_partition)?,
                map_task: TaskId(f.map_task),
                location: Box::new(required("TaskFailure.FetchFailed.location", f.location)?.try_into()?),
                cause: fetch_cause("TaskFailure.FetchFailed.cause", f.cause)?,
                message: check::text("TaskFailure.FetchFailed.message", f.message)?,
            },
            Failure::Killed(f) => Self::Killed(check::text("TaskFailure.Killed.reason", f.reason)?),
        })
    }
}
