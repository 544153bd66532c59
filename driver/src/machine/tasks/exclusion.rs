//! Exclusion: executors and workers on which tasks failed get no more of them (`spark.excludeOnFailure`).
//!
//! It has three levels. A task goes no more to where it failed itself; a stage leaves out an executor on which several of
//! its tasks failed, and a worker with several such executors; and what failed of stages that succeeded after all, which are
//! therefore not to blame, makes the application leave an executor or a worker out for a while. That an executor died counts
//! nowhere here: what killed it may be the task.

use super::{Place, SetKey, TaskScheduler, task_set::Life};
use crate::machine::{executors::Executors, failure::JobFailure, options::Exclusion};
use hearth_core::{ExecutorId, JobId, Now, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

/// Which tasks of a set failed where.
#[derive(Debug, Default)]
pub(crate) struct FailedAt(BTreeMap<ExecutorId, Failures>);

#[derive(Debug)]
struct Failures {
    worker: WorkerId,
    /// How often each partition failed there.
    partitions: BTreeMap<u32, u32>,
}

impl FailedAt {
    fn add(&mut self, partition: u32, executor: ExecutorId, worker: &WorkerId) {
        let new = || Failures { worker: worker.clone(), partitions: BTreeMap::new() };
        *self.0.entry(executor).or_insert_with(new).partitions.entry(partition).or_default() += 1;
    }

    fn on(&self, worker: &WorkerId) -> impl Iterator<Item = &Failures> {
        self.0.values().filter(move |failures| failures.worker == *worker)
    }

    /// The partitions that failed somewhere: few, as four failures of one end its job.
    pub(crate) fn partitions(&self) -> BTreeSet<u32> {
        self.0.values().flat_map(|failures| failures.partitions.keys().copied()).collect()
    }

    /// Whether a partition is kept away from an executor of this worker.
    fn excludes(&self, options: &Exclusion, partition: u32, executor: ExecutorId, worker: &WorkerId) -> bool {
        let of = |failures: &Failures| failures.partitions.get(&partition).copied().unwrap_or(0);
        self.0.get(&executor).is_some_and(|here| of(here) >= options.task_per_executor)
            || self.on(worker).map(of).sum::<u32>() >= options.task_per_node
    }

    /// Whether all partitions are.
    fn excludes_all(&self, options: &Exclusion, executor: ExecutorId, worker: &WorkerId) -> bool {
        let too_many = |failures: &Failures| failures.partitions.len() >= options.stage_per_executor as usize;
        self.0.get(&executor).is_some_and(too_many)
            || self.on(worker).filter(|failures| too_many(failures)).count() >= options.stage_per_node as usize
    }
}

/// Whom the application leaves out.
#[derive(Debug)]
pub(super) struct Exclusions {
    options: Exclusion,
    /// When each task failed that counts against an executor.
    failures: BTreeMap<ExecutorId, BTreeSet<(Now, SetKey, u32)>>,
    executors: BTreeMap<ExecutorId, (WorkerId, Now)>,
    workers: BTreeMap<WorkerId, Now>,
}

impl Exclusions {
    pub(super) const fn new(options: Exclusion) -> Self {
        Self { options, failures: BTreeMap::new(), executors: BTreeMap::new(), workers: BTreeMap::new() }
    }

    fn excludes(&self, executor: ExecutorId, worker: &WorkerId) -> bool {
        self.executors.contains_key(&executor) || self.workers.contains_key(worker)
    }

    /// A set succeeded, so that what failed of it was not its own fault. Gives what that leads to, for people.
    fn absorb(&mut self, now: Now, key: SetKey, failed: &FailedAt) -> Vec<String> {
        let until = now.after(self.options.timeout);
        let mut news = Vec::new();
        for (executor, Failures { worker, partitions }) in &failed.0 {
            let known = self.failures.entry(*executor).or_default();
            known.extend(partitions.keys().map(|partition| (until, key, *partition)));
            let count = known.len();
            if count < self.options.application_per_executor as usize || self.executors.contains_key(executor) {
                continue;
            }
            self.executors.insert(*executor, (worker.clone(), until));
            news.push(format!("executor {executor} is left out: {count} tasks failed there that succeeded elsewhere"));
            let beside = self.executors.values().filter(|(w, _)| w == worker).count();
            if beside >= self.options.application_per_node as usize && !self.workers.contains_key(worker) {
                self.workers.insert(worker.clone(), until);
                news.push(format!("worker {worker} is left out: {beside} of its executors are"));
            }
        }
        news
    }

    /// What is long ago counts no more.
    fn expire(&mut self, now: Now) {
        self.failures.retain(|_, failures| {
            failures.retain(|(until, ..)| *until > now);
            !failures.is_empty()
        });
        self.executors.retain(|_, (_, until)| *until > now);
        self.workers.retain(|_, until| *until > now);
    }

    fn deadline(&self) -> Option<Now> {
        let failures = self.failures.values().filter_map(|failures| failures.first()).map(|(until, ..)| *until);
        failures.chain(self.executors.values().map(|(_, until)| *until)).chain(self.workers.values().copied()).min()
    }
}

impl TaskScheduler {
    /// Whether an executor may get tasks of a set; not each of those that failed before.
    pub(super) fn may_run_of(&self, key: SetKey, executor: ExecutorId, executors: &Executors) -> bool {
        let (Some(exclusions), Some(worker)) = (&self.exclusions, executors.worker_of(executor)) else { return true };
        !exclusions.excludes(executor, worker)
            && !self.sets[&key].failed_at.excludes_all(&exclusions.options, executor, worker)
    }

    /// Whether an executor may get this task now.
    pub(super) fn may_run(&self, key: SetKey, partition: u32, executor: ExecutorId, executors: &Executors) -> bool {
        self.is_allowed(key, partition, executor, executors)
            && !self.writes_elsewhere(key, partition, executor, executors)
    }

    /// Whether an executor is not left out for this task.
    pub(super) fn is_allowed(&self, key: SetKey, partition: u32, executor: ExecutorId, executors: &Executors) -> bool {
        let (Some(exclusions), Some(worker)) = (&self.exclusions, executors.worker_of(executor)) else { return true };
        self.may_run_of(key, executor, executors)
            && !self.sets[&key].failed_at.excludes(&exclusions.options, partition, executor, worker)
    }

    /// A task failed at a place that lives.
    pub(super) fn failed_at(&mut self, key: SetKey, partition: u32, place: &Place) {
        if let (Some(_), Some(worker), Some(set)) = (&self.exclusions, &place.worker, self.sets.get_mut(&key)) {
            set.failed_at.add(partition, place.executor, worker);
        }
    }

    /// A partition of a set was done. When it was the last one, what failed of the set was not the set's fault.
    pub(super) fn learn_from(&mut self, now: Now, key: SetKey, partition: u32) {
        let (Some(exclusions), Some(set)) = (&mut self.exclusions, self.sets.get_mut(&key)) else { return };
        // Another attempt at it is about to be ended.
        let rest = set.pending.iter().chain(set.running.keys()).any(|other| *other != partition);
        if set.life == Life::Live && !rest {
            self.warnings.extend(exclusions.absorb(now, key, &std::mem::take(&mut set.failed_at)));
        }
    }

    /// Looks for tasks that no executor may run: their jobs have a timer.
    pub(in crate::machine) fn find_stuck(&mut self, now: Now, executors: &Executors) {
        let Some(exclusions) = &self.exclusions else { return };
        let timeout = exclusions.options.unschedulable_timeout;
        for key in self.sets.keys().copied().collect::<Vec<_>>() {
            let stuck = self.stuck(key, executors);
            let set = self.sets.get_mut(&key).expect("listed above");
            match stuck {
                None => set.stuck_until = None,
                Some(_) if set.stuck_until.is_some() => {}
                Some(partition) => {
                    set.stuck_until = Some(now.after(timeout));
                    self.warnings.push(format!(
                        "task {partition} of stage {} ({}) may run nowhere: it failed on every executor, or they are left out \
                         (spark.excludeOnFailure); its job ends in {} s unless another one comes",
                        key.stage,
                        set.name,
                        timeout.as_secs()
                    ));
                }
            }
        }
    }

    /// A partition of a set that no executor may run which is large enough.
    fn stuck(&self, key: SetKey, executors: &Executors) -> Option<u32> {
        let set = &self.sets[&key];
        let large = |id: &ExecutorId| executors.get(*id).is_some_and(|executor| executor.cores >= set.slots);
        let candidates: Vec<ExecutorId> = executors.ids().into_iter().filter(large).collect();
        if candidates.is_empty() {
            return None;
        }
        let picky = set.failed_at.partitions();
        let any = || set.pending.iter().copied().find(|partition| !picky.contains(partition));
        if !candidates.iter().any(|id| self.may_run_of(key, *id, executors))
            && let Some(partition) = any()
        {
            return Some(partition);
        }
        let nobody = |partition: &u32| !candidates.iter().any(|id| self.is_allowed(key, *partition, *id, executors));
        picky.iter().copied().filter(|partition| set.pending.contains(partition)).find(nobody)
    }

    /// The jobs whose tasks have been stuck for too long.
    pub(in crate::machine) fn given_up(&mut self, now: Now, executors: &Executors) -> Vec<(JobId, JobFailure)> {
        let Some(exclusions) = &mut self.exclusions else { return Vec::new() };
        exclusions.expire(now);
        let seconds = exclusions.options.unschedulable_timeout.as_secs();
        let late = self.sets.iter().filter(|(_, set)| set.stuck_until.is_some_and(|at| at <= now));
        let failure = |(key, partition): (SetKey, u32)| {
            let (stage, name, exclusions) =
                (key.stage, self.sets[&key].name.clone(), self.exclusions_text(key, partition));
            (key.job, JobFailure::Unschedulable { stage, name, partition, seconds, exclusions })
        };
        let late: Vec<SetKey> = late.map(|(key, _)| *key).collect();
        late.into_iter().filter_map(|key| Some((key, self.stuck(key, executors)?))).map(failure).collect()
    }

    /// Who may not run a task, and why.
    fn exclusions_text(&self, key: SetKey, partition: u32) -> String {
        let Some(exclusions) = &self.exclusions else { return String::new() };
        let failed = &self.sets[&key].failed_at.0;
        let here = failed.iter().map(|(executor, failures)| {
            let (own, all) = (failures.partitions.get(&partition).copied().unwrap_or(0), failures.partitions.len());
            let worker = &failures.worker;
            format!(
                "executor {executor} of {worker} (this task failed {own} times there, {all} tasks of the stage did)"
            )
        });
        let left_out = exclusions.executors.keys().map(|id| format!("executor {id} (left out by the application)"));
        let workers = exclusions.workers.keys().map(|id| format!("worker {id} (left out by the application)"));
        here.chain(left_out).chain(workers).collect::<Vec<_>>().join(", ")
    }

    /// When somebody is no longer left out, or a job ends that is stuck.
    pub(super) fn exclusion_deadline(&self) -> Option<Now> {
        let exclusions = self.exclusions.as_ref()?;
        exclusions.deadline().into_iter().chain(self.sets.values().filter_map(|set| set.stuck_until)).min()
    }

    /// Whether a job has a task that may run nowhere now; then it has a timer.
    pub(in crate::machine) fn is_stuck(&self, job: JobId) -> bool {
        self.sets.iter().any(|(key, set)| key.job == job && set.stuck_until.is_some())
    }
}
