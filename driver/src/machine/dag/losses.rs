//! What a lost output means: which stages run again, and when running again is not enough.

use super::{DagScheduler, Job, Order, Phase, StageState};
use crate::machine::{failure::JobFailure, outputs::Lost, tasks::SetKey};
use hearth_core::{
    ExecutorId, JobId, Mutant, Now, StageId, TaskId, WorkerId,
    messages::task::{BlockLocation, FetchCause, TaskFailure},
};
use std::{collections::BTreeSet, time::Duration};

/// A fetch that failed.
#[derive(Debug)]
pub(crate) struct FetchFailure {
    pub(crate) set: SetKey,
    /// Always [`TaskFailure::FetchFailed`].
    pub(crate) failure: TaskFailure,
    /// Whether the executor that served the block is known to be lost.
    pub(crate) server_lost: bool,
}

impl DagScheduler {
    /// A task could not read its input: its stage attempt is over, and the outputs that are gone are made again.
    ///
    /// Of a server that could not be reached, for as long as its reader tried, all outputs are condemned. Other failures
    /// condemn one output. When a later attempt fails at the same server, all that it has are condemned too: else a reader of
    /// many outputs would use up its attempts finding them one by one.
    pub(crate) fn fetch_failed(&mut self, now: Now, failed: FetchFailure, max_attempts: u32, delay: Duration) {
        let FetchFailure { set, failure, server_lost } = failed;
        let TaskFailure::FetchFailed { shuffle, map_partition, map_task, location, cause, .. } = &failure else {
            return;
        };
        let stage = self.stages.get_mut(&set.stage).expect("a live task set has a stage");
        if (stage.state, stage.attempts) != (StageState::Running, set.attempt + 1) {
            // Of a stale attempt nothing follows: a newer one finds out for itself.
            return self.orders.push_back(Order::Retire(set.stage));
        }
        stage.failures += 1;
        stage.state = StageState::Failed;
        let first = *stage.failed_from.entry(location.server()).or_insert(set.attempt);
        let (name, failures) = (stage.name.clone(), stage.failures);
        self.changed.insert(set.stage);
        self.orders.push_back(Order::Retire(set.stage));
        if !Mutant::TimerForgotten.is_on() {
            self.resubmit_at.get_or_insert(now.after(delay));
        }
        let lost = if Mutant::LostOutputKept.is_on() {
            Lost::new()
        } else if server_lost || *cause == FetchCause::Unreachable || first < set.attempt {
            let server = location.server();
            self.outputs.unregister_where(|at| at.server() == server)
        } else {
            self.outputs.unregister(*shuffle, *map_partition, *map_task)
        };
        if failures >= max_attempts {
            let failure = Box::new(failure);
            let failure = JobFailure::StageFailed { stage: set.stage, name, attempts: failures, failure };
            self.close(set.job, Err(failure));
        }
        self.lost(lost, StageState::Failed);
    }

    /// What this executor served itself is gone.
    pub(crate) fn executor_lost(&mut self, executor: ExecutorId, max_losses: u32) {
        self.gone(&|at| at.executor == Some(executor), &format!("executor {executor} is gone"), max_losses);
    }

    /// All that lay on this worker is gone.
    pub(crate) fn worker_removed(&mut self, worker: &WorkerId, max_losses: u32) {
        self.gone(&|at| at.worker == *worker, &format!("worker {worker} is gone"), max_losses);
    }

    /// What lay in some places is gone: map outputs, and stored results, before anybody looks for them there.
    fn gone(&mut self, gone: &dyn Fn(&BlockLocation) -> bool, why: &str, max_losses: u32) {
        let lost = self.outputs.unregister_where(gone);
        self.lost(lost, StageState::Waiting);
        let results = |job: &Job| job.lost_where(gone).into_iter().map(|lost| (job.id, lost)).collect::<Vec<_>>();
        let results: Vec<_> = self.jobs.values().flat_map(results).collect();
        for (job, (partition, task)) in results {
            self.result_lost(job, partition, task, why.to_owned(), max_losses);
        }
    }

    /// A result that was stored is gone, or its reader cannot have it: it is made again.
    pub(crate) fn result_lost(&mut self, id: JobId, partition: u32, task: TaskId, reason: String, max_losses: u32) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.phase == Phase::Open) else { return };
        let Some(losses) = job.lose(partition, task).filter(|_| !Mutant::LostResultIgnored.is_on()) else { return };
        if losses >= max_losses {
            return self.close(id, Err(JobFailure::ResultLost { partition, losses, reason }));
        }
        let stage = job.result_stage();
        self.warnings.push(format!("the result of partition {partition} was lost and is made again: {reason}"));
        self.changed.insert(stage);
        self.dirty.insert(id);
        let stage = self.stages.get_mut(&stage).expect("a job's stages live as long as it does");
        match stage.state {
            StageState::Done => stage.state = StageState::Waiting,
            StageState::Running => self.orders.push_back(Order::Requeue(stage.id, vec![partition])),
            StageState::Waiting | StageState::Failed => {}
        }
    }

    /// The resubmission timer: whatever failed may be submitted again.
    pub(crate) fn tick(&mut self, now: Now) {
        if self.resubmit_at.is_none_or(|at| at > now) {
            return;
        }
        self.resubmit_at = None;
        for stage in self.stages.values_mut().filter(|stage| stage.state == StageState::Failed) {
            stage.state = StageState::Waiting;
            self.dirty.insert(stage.job);
        }
    }

    /// Outputs are gone: a stage that was done becomes `next`, a running one gets its partitions back.
    fn lost(&mut self, lost: Lost, next: StageState) {
        for (shuffle, partitions) in lost {
            let id = self.writers[&shuffle];
            let stage = self.stages.get_mut(&id).expect("a shuffle has a writer");
            if self.jobs[&stage.job].phase != Phase::Open {
                continue;
            }
            self.changed.insert(id);
            self.dirty.insert(stage.job);
            match stage.state {
                StageState::Done if Mutant::StageReusedAfterLoss.is_on() => {}
                StageState::Done => stage.state = next,
                StageState::Running => self.orders.push_back(Order::Requeue(id, partitions)),
                StageState::Waiting | StageState::Failed => {}
            }
        }
    }

    /// An output of an indeterminate stage was lost, and the one in its place holds other rows. Rows of both must not meet:
    /// all that may have read the lost one begins anew, and all that read from that. When results have been handed out
    /// already, that cannot be undone, and the job ends.
    pub(super) fn roll_back(&mut self, origin: StageId, partition: u32) {
        let job = &self.jobs[&self.stages[&origin].job];
        let mut tainted = BTreeSet::from([origin]);
        for id in &job.stages {
            let stage = &self.stages[id];
            if stage.has_begun() && tainted.iter().any(|from| stage.reads(*from)) {
                tainted.insert(*id);
            }
        }
        tainted.remove(&origin);
        if tainted.is_empty() {
            return; // Nobody has read from it.
        }
        let name = self.stages[&origin].name.clone();
        if tainted.contains(&job.result_stage()) && job.done() > 0 {
            return self.close(job.id, Err(JobFailure::Indeterminate { stage: origin, name, partition }));
        }
        let readers: Vec<String> = tainted.iter().map(ToString::to_string).collect();
        self.warnings.push(format!(
            "partition {partition} of stage {origin} ({name}) was lost, and made again it has other rows; what has read from \
             the stage begins anew: stage {}",
            readers.join(", ")
        ));
        self.dirty.insert(job.id);
        for id in tainted {
            let stage = self.stages.get_mut(&id).expect("listed above");
            if stage.state != StageState::Failed {
                stage.state = StageState::Waiting;
            }
            if let Some(shuffle) = stage.shuffle() {
                self.outputs.clear(shuffle);
            }
            self.changed.insert(id);
            let reason = "an input was lost and made again with other rows";
            self.orders.push_back(Order::Cancel(id, reason.into()));
        }
    }
}
