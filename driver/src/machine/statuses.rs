//! What executors say of their tasks.

use super::{
    Driver, Effect, JobNews,
    dag::Order,
    tasks::{Place, Verdict},
};
use hearth_core::{
    ExecutorId, Level, Now, TaskId,
    messages::task::{TaskFailure, TaskNews, TaskOutput, TaskStatus},
};

impl Driver {
    pub(super) fn statuses(&mut self, now: Now, executor: ExecutorId, news: Vec<TaskStatus>, fx: &mut Vec<Effect>) {
        for TaskStatus { task, news } in news {
            // Late, twice, or made up: an attempt that does not run there has no news.
            if !self.tasks.runs_on(task, executor) {
                if news != TaskNews::Started {
                    self.executors.left(executor, task);
                }
                continue;
            }
            let place = self.place(executor);
            let (stage, verdict) = match news {
                TaskNews::Started => {
                    self.tasks.started(task);
                    continue;
                }
                TaskNews::Succeeded(output, metrics) => self.tasks.succeeded(now, task, output, metrics, &place),
                TaskNews::Failed(failure) => {
                    let failure = self.unasked(task, failure);
                    if let Some(running) = self.tasks.get(task) {
                        self.dag.task_failed(running.set.stage, &failure);
                    }
                    let executors = &self.executors;
                    self.tasks.failed(task, failure, &place, &|id| executors.is_lost(id))
                }
            };
            self.executors.release(executor, task);
            self.dag.mark_changed(stage);
            self.act_on(now, verdict, fx);
        }
    }

    /// An executor may end a task by itself when its inputs were lost while it waited for them; that is nobody's failure.
    /// A kill for any other reason counts like one, or it could go on for ever.
    fn unasked(&self, id: TaskId, failure: TaskFailure) -> TaskFailure {
        match (failure, self.tasks.get(id)) {
            (TaskFailure::Killed(reason), Some(task))
                if !task.is_killed() && !self.dag.inputs_lost_since(task.set.stage, task.epoch) =>
            {
                TaskFailure::Transient(format!("killed, and not by the driver: {reason}"))
            }
            (failure, _) => failure,
        }
    }

    pub(super) fn place(&self, executor: ExecutorId) -> Place {
        let known = self.executors.get(executor);
        let host = known.map(|e| e.host.clone()).unwrap_or_default();
        Place { executor, host, worker: known.map(|e| e.worker.clone()) }
    }

    /// Carries the TaskScheduler's verdict over to the DagScheduler.
    pub(super) fn act_on(&mut self, now: Now, verdict: Verdict, fx: &mut Vec<Effect>) {
        match verdict {
            Verdict::None => {}
            Verdict::Succeeded { set, partition, task, output, metrics, twin } => {
                let is_news = self.dag.succeeded(set, partition, task, &output, &metrics);
                if twin {
                    self.tasks.obey(now, Order::Settle(set.stage, partition), &self.executors, fx);
                }
                if let (true, TaskOutput::Result(block)) = (is_news, output) {
                    fx.push(Effect::Job { job: set.job, news: JobNews::Result { partition, block, metrics } });
                }
            }
            Verdict::FetchFailed(failed) => {
                let level = Level::Warn;
                fx.push(Effect::Log { level, text: format!("stage {}: {}", failed.set.stage, failed.failure) });
                let (attempts, delay) = (self.options.stage_max_attempts, self.options.resubmit_delay);
                self.dag.fetch_failed(now, failed, attempts, delay);
            }
            Verdict::Again { level, text } => fx.push(Effect::Log { level, text }),
            Verdict::Abort { job, failure } => self.dag.close(job, Err(failure)),
        }
        self.drain(now, fx);
    }
}
