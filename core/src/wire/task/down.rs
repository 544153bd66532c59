//! From a driver to an executor.

use super::{
    super::check::{self, MAX_BATCH, Malformed, clip, counted, each, required},
    hash_bytes, payload_hash,
};
use crate::{
    JobId, ShuffleId, StageId, TaskId,
    messages::task::{TaskDown, TaskInput, TaskLaunch, TaskTarget},
    stage::MAX_STAGES,
};
use hearth_proto::v1::{self, task_down, task_launch};

impl From<TaskDown> for v1::TaskDown {
    fn from(down: TaskDown) -> Self {
        use task_down::Message;
        let message = match down {
            TaskDown::Registered => Message::Registered(task_down::Registered {}),
            TaskDown::Heartbeat => Message::Heartbeat(task_down::Heartbeat {}),
            TaskDown::Refused(refusal) => Message::Refused(refusal.into()),
            TaskDown::Launch(tasks) => {
                Message::Launch(task_down::Launch { tasks: tasks.into_iter().map(Into::into).collect() })
            }
            TaskDown::Kill { task, reason } => Message::Kill(task_down::Kill { task: task.0, reason: clip(reason) }),
            TaskDown::Forget { payloads, shuffles, results } => Message::Forget(task_down::Forget {
                payloads: payloads.into_iter().map(hash_bytes).collect(),
                shuffles: shuffles.into_iter().map(|id| id.0).collect(),
                results: results.into_iter().map(|id| id.0).collect(),
            }),
            TaskDown::Stop { reason } => Message::Stop(task_down::Stop { reason: clip(reason) }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<v1::TaskDown> for TaskDown {
    type Error = Malformed;
    fn try_from(down: v1::TaskDown) -> Result<Self, Malformed> {
        use task_down::Message;
        Ok(match required("TaskDown.message", down.message)? {
            Message::Registered(_) => Self::Registered,
            Message::Heartbeat(_) => Self::Heartbeat,
            Message::Refused(refusal) => Self::Refused(refusal.try_into()?),
            Message::Launch(launch) => Self::Launch(each("TaskDown.Launch.tasks", launch.tasks, MAX_BATCH)?),
            Message::Kill(kill) => {
                Self::Kill { task: TaskId(kill.task), reason: check::text("TaskDown.Kill.reason", kill.reason)? }
            }
            Message::Forget(forget) => forget.try_into()?,
            Message::Stop(stop) => Self::Stop { reason: check::text("TaskDown.Stop.reason", stop.reason)? },
        })
    }
}

impl TryFrom<task_down::Forget> for TaskDown {
    type Error = Malformed;
    fn try_from(forget: task_down::Forget) -> Result<Self, Malformed> {
        // A payload and a shuffle belong to a stage, a result to one of the tasks of a job's last stage; both kinds of
        // number are small, so the message's own bound is enough for them.
        Ok(Self::Forget {
            payloads: counted("TaskDown.Forget.payloads", forget.payloads, MAX_STAGES)?
                .iter()
                .map(|hash| payload_hash("TaskDown.Forget.payloads", hash))
                .collect::<Result<_, _>>()?,
            shuffles: counted("TaskDown.Forget.shuffles", forget.shuffles, MAX_STAGES)?
                .into_iter()
                .map(ShuffleId)
                .collect(),
            results: forget.results.into_iter().map(TaskId).collect(),
        })
    }
}

impl From<TaskLaunch> for v1::TaskLaunch {
    fn from(launch: TaskLaunch) -> Self {
        let target = match launch.target {
            TaskTarget::Shuffle { shuffle, partitions } => {
                task_launch::Target::Shuffle(task_launch::ToShuffle { shuffle: shuffle.0, partitions })
            }
            TaskTarget::Result => task_launch::Target::Result(task_launch::ToResult {}),
        };
        Self {
            task: launch.task.0,
            job: launch.job.0,
            stage: launch.stage.0,
            stage_attempt: launch.stage_attempt,
            partition: launch.partition,
            slots: launch.slots,
            attempt: launch.attempt,
            payload: hash_bytes(launch.payload),
            inputs: launch
                .inputs
                .into_iter()
                .map(|input| task_launch::Input { shuffle: input.shuffle.0, epoch: input.epoch })
                .collect(),
            target: Some(target),
            thrifty: launch.thrifty,
        }
    }
}

impl TryFrom<v1::TaskLaunch> for TaskLaunch {
    type Error = Malformed;
    fn try_from(launch: v1::TaskLaunch) -> Result<Self, Malformed> {
        Ok(Self {
            task: TaskId(launch.task),
            job: JobId(launch.job),
            stage: StageId(launch.stage),
            stage_attempt: launch.stage_attempt,
            partition: check::partition("TaskLaunch.partition", launch.partition)?,
            slots: check::cores("TaskLaunch.slots", launch.slots)?,
            attempt: launch.attempt,
            payload: payload_hash("TaskLaunch.payload", &launch.payload)?,
            inputs: counted("TaskLaunch.inputs", launch.inputs, MAX_STAGES)?
                .into_iter()
                .map(|input| TaskInput { shuffle: ShuffleId(input.shuffle), epoch: input.epoch })
                .collect(),
            target: match required("TaskLaunch.target", launch.target)? {
                task_launch::Target::Shuffle(to) => TaskTarget::Shuffle {
                    shuffle: ShuffleId(to.shuffle),
                    partitions: check::partitions("TaskLaunch.ToShuffle.partitions", to.partitions)?,
                },
                task_launch::Target::Result(_) => TaskTarget::Result,
            },
            thrifty: launch.thrifty,
        })
    }
}
