//! TaskSetManager: the tasks of one stage attempt.
//!
//! ```text
//!            launched                  succeeded
//!  pending ───────────> running ───────────────────> gone
//!     ^                    │
//!     └────────────────────┘ failed, or killed and not by us                       counted: spark.task.maxFailures
//!                            its executor crashed, and it had started              counted likewise
//!                            its executor crashed before, or somebody else ended
//!                            it (SIGKILL, SIGTERM)                                 counted as a loss: ten
//!                            it ran out of memory, and was not told to save        not counted, once
//!                            its executor or worker left, was removed, went silent not counted
//! ```
//!
//! A task that runs too long gets a [copy](super::speculation); when one of the two ends without an output, the other goes on.
//!
//! A running task that is told to end becomes a *stray*: its partition no longer counts as running, its slot does.
//!
//! A live set runs what it has. A *zombie* starts nothing; what runs may still give outputs. A *condemned* set is a zombie
//! whose outputs are not believed.

use super::{Place, Verdict, exclusion::FailedAt, full_disks::FullDisks, speculation::Runtimes};
use crate::machine::{dag::Gate, failure::JobFailure};
use hearth_core::{
    JobId, Mutant, Now, PayloadHash, ShuffleId, StageId, TaskId,
    messages::task::{TaskFailure, TaskOutput, TaskTarget},
};
use std::collections::{BTreeMap, BTreeSet};

/// The name of a task set; their order is the order of service: first come, first served over jobs, then over stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SetKey {
    pub(crate) job: JobId,
    pub(crate) stage: StageId,
    pub(crate) attempt: u32,
}

/// What the DagScheduler submits.
#[derive(Debug)]
pub(crate) struct TaskSetSpec {
    pub(crate) key: SetKey,
    pub(crate) name: String,
    pub(crate) inputs: Vec<ShuffleId>,
    pub(crate) target: TaskTarget,
    pub(crate) payload: PayloadHash,
    pub(crate) slots: u32,
    /// The pool of its job.
    pub(crate) pool: String,
    pub(crate) partitions: Vec<u32>,
}

/// How far a set may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It starts tasks.
    Live,
    /// It starts none.
    Zombie,
    /// Nor are the outputs of those that run believed.
    Condemned,
}

/// The tasks of one stage attempt.
#[derive(Debug)]
pub(crate) struct TaskSet {
    pub(crate) name: String,
    pub(crate) inputs: Vec<ShuffleId>,
    pub(crate) target: TaskTarget,
    pub(crate) payload: PayloadHash,
    /// Slots that each task takes.
    pub(crate) slots: u32,
    /// The pool of its job.
    pub(crate) pool: String,
    /// Which of its tasks failed where.
    pub(crate) failed_at: FailedAt,
    /// Which of its tasks could not write where.
    pub(crate) full_disks: FullDisks,
    /// When its job ends, since a task of it may run nowhere.
    pub(crate) stuck_until: Option<Now>,
    pub(crate) life: Life,
    pub(crate) pending: BTreeSet<u32>,
    pub(crate) running: BTreeMap<u32, TaskId>,
    /// Second attempts at partitions that run.
    pub(crate) copies: BTreeMap<u32, TaskId>,
    /// Partitions that run too long and wait for a slot for a copy.
    pub(crate) slow: BTreeSet<u32>,
    /// Of the tasks that succeeded.
    pub(crate) runtimes: Runtimes,
    /// Attempts that were told to end, and have not.
    pub(crate) strays: BTreeSet<TaskId>,
    /// Launches so far, by partition.
    launches: BTreeMap<u32, u32>,
}

impl TaskSet {
    pub(crate) fn new(spec: TaskSetSpec) -> Self {
        Self {
            name: spec.name,
            inputs: spec.inputs,
            target: spec.target,
            payload: spec.payload,
            slots: spec.slots,
            pool: spec.pool,
            failed_at: FailedAt::default(),
            full_disks: FullDisks::default(),
            stuck_until: None,
            life: Life::Live,
            pending: spec.partitions.into_iter().collect(),
            running: BTreeMap::new(),
            copies: BTreeMap::new(),
            slow: BTreeSet::new(),
            runtimes: Runtimes::default(),
            strays: BTreeSet::new(),
            launches: BTreeMap::new(),
        }
    }

    /// The partitions that failed somewhere in a way that may keep them away from there.
    pub(crate) fn picky(&self) -> BTreeSet<u32> {
        self.failed_at.partitions().into_iter().chain(self.full_disks.partitions()).collect()
    }

    /// The partition to start next, of those that fit, when one may start. It stays pending until [`TaskSet::launched`].
    pub(crate) fn next(&self, gate: Gate, fits: impl Fn(u32) -> bool) -> Option<u32> {
        if self.life != Life::Live {
            return None;
        }
        let always = gate.always.filter(|partition| self.pending.contains(partition) && fits(*partition));
        always.or_else(|| self.pending.iter().copied().find(|p| fits(*p)).filter(|_| gate.room > 0))
    }

    /// A partition starts; gives how many attempts at it went before.
    pub(crate) fn launched(&mut self, partition: u32, task: TaskId) -> u32 {
        if self.slow.remove(&partition) {
            self.copies.insert(partition, task);
        } else {
            self.pending.remove(&partition);
            self.running.insert(partition, task);
        }
        let launches = self.launches.entry(partition).or_default();
        *launches += 1;
        *launches - 1
    }

    /// A running attempt was told to end.
    pub(crate) fn stray(&mut self, partition: u32, task: TaskId) {
        self.leave(partition, task);
        self.strays.insert(task);
    }

    /// An attempt ended, one way or another.
    pub(crate) fn ended(&mut self, partition: u32, task: TaskId) {
        if !self.strays.remove(&task) {
            self.leave(partition, task);
        }
    }

    /// An attempt runs no more. Of two, the other one goes on.
    fn leave(&mut self, partition: u32, task: TaskId) {
        if self.copies.get(&partition) == Some(&task) {
            self.copies.remove(&partition);
        } else if self.running.get(&partition) == Some(&task) {
            self.slow.remove(&partition);
            match self.copies.remove(&partition) {
                Some(copy) => self.running.insert(partition, copy),
                None => self.running.remove(&partition),
            };
        }
    }

    /// All attempts at a partition that run.
    pub(crate) fn attempts_at(&self, partition: u32) -> impl Iterator<Item = TaskId> {
        self.running.get(&partition).into_iter().chain(self.copies.get(&partition)).copied()
    }

    /// Attempts that run, but for those that were told to end.
    pub(crate) fn running_count(&self) -> usize {
        self.running.len() + self.copies.len()
    }

    /// Nothing starts any more.
    pub(crate) fn stop(&mut self, life: Life) {
        self.life = life;
        self.pending.clear();
        self.slow.clear();
        self.stuck_until = None;
    }

    /// A partition has to run (again), unless nothing starts any more.
    pub(crate) fn requeue(&mut self, partition: u32) {
        if self.life == Life::Live && !self.running.contains_key(&partition) {
            self.pending.insert(partition);
        }
    }

    pub(crate) fn retire(&mut self) {
        if Mutant::ZombieLaunches.is_on() {
            return;
        }
        self.stop(if self.life == Life::Live { Life::Zombie } else { self.life });
    }

    /// The end of the job, because of this partition.
    pub(crate) fn abort(
        &self,
        key: SetKey,
        partition: u32,
        attempts: u32,
        failure: TaskFailure,
        place: &Place,
    ) -> Verdict {
        let (stage, name, failure) = (key.stage, self.name.clone(), Box::new(failure));
        let Place { executor, host, .. } = place.clone();
        let failure = JobFailure::TaskFailed { stage, name, partition, attempts, executor, host, failure };
        Verdict::Abort { job: key.job, failure }
    }

    /// The end of the job, because no executor is large enough for any of its tasks.
    pub(crate) fn too_wide(&self, key: SetKey, largest: u32) -> JobFailure {
        JobFailure::TooWide { stage: key.stage, name: self.name.clone(), slots: self.slots, largest }
    }

    /// The end of the job, because this partition lost so many executors.
    pub(crate) fn give_up(&self, key: SetKey, partition: u32, losses: u32, reason: String, place: &Place) -> Verdict {
        let (stage, name) = (key.stage, self.name.clone());
        let Place { executor, host, .. } = place.clone();
        let failure = JobFailure::TaskLost { stage, name, partition, losses, executor, host, reason };
        Verdict::Abort { job: key.job, failure }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.pending.is_empty() && self.running.is_empty() && self.strays.is_empty()
    }

    /// Whether an executor's word on an output makes sense for this task.
    pub(crate) fn plausible(&self, partition: u32, task: TaskId, output: &TaskOutput) -> Result<(), String> {
        match (self.target, output) {
            (TaskTarget::Shuffle { partitions, .. }, TaskOutput::Map(status)) => {
                if (status.partition, status.task) != (partition, task) {
                    let (p, t) = (status.partition, status.task);
                    return Err(format!("reported the output of partition {p} by task {t}, which it is not"));
                }
                if status.sizes.len() != partitions as usize {
                    return Err(format!("reported {} blocks instead of {partitions}", status.sizes.len()));
                }
                Ok(())
            }
            (TaskTarget::Result, TaskOutput::Result(_)) => Ok(()),
            (TaskTarget::Shuffle { .. }, TaskOutput::Result(_)) => Err("reported a result instead of blocks".into()),
            (TaskTarget::Result, TaskOutput::Map(_)) => Err("reported blocks instead of a result".into()),
        }
    }
}
