//! TaskScheduler: task sets get free slots; news of tasks become news of task sets.
//!
//! It knows which attempt runs where and how often each partition failed, and nothing of why a stage exists. What matters
//! to the DagScheduler it returns as a [`Verdict`], which the driver carries over in the same step.
//!
//! Invariants: an attempt runs on exactly one executor that is not lost; each partition of a set is pending, running or
//! gone; a set without pending and running tasks does not exist; a killed task has a deadline until its end arrives.

mod exclusion;
mod full_disks;
mod history;
mod launch;
mod offers;
mod pools;
mod speculation;
mod task_set;

pub(super) use task_set::{SetKey, TaskSetSpec};

use super::{
    Effect,
    dag::{DagScheduler, FetchFailure, Order},
    executors::Executors,
    failure::JobFailure,
    options::{DriverOptions, Pools},
};
use exclusion::Exclusions;
use hearth_core::{
    ExecutorId, JobId, Level, Mutant, Now, StageId, TaskId, WorkerId,
    messages::task::{TaskDown, TaskFailure, TaskMetrics, TaskOutput},
};
use history::Histories;
use offers::Offers;
use speculation::Watch;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use task_set::{Life, TaskSet};

/// Crashed executors that a task may lose without a failure of its own, when more failures are not allowed anyway: as
/// many as the master lets fail in a row before it ends an application.
const MAX_LOSSES: u32 = 10;

/// Where an attempt runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunningTask {
    pub(super) set: SetKey,
    partition: u32,
    executor: ExecutorId,
    launched: Now,
    /// Whether the executor said that it started.
    started: bool,
    /// Whether it was told to save memory.
    thrifty: bool,
    /// The tracker's epoch when it was launched: its inputs were complete as of then.
    pub(super) epoch: u64,
    /// When it costs its executor, once it was told to end.
    reap_at: Option<Now>,
}

impl RunningTask {
    /// Whether it was told to end.
    pub(super) const fn is_killed(&self) -> bool {
        self.reap_at.is_some()
    }
}

/// What news of a task mean for its job.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing.
    None,
    /// An output that makes sense.
    Succeeded {
        set: SetKey,
        partition: u32,
        task: TaskId,
        output: TaskOutput,
        metrics: TaskMetrics,
        /// Whether another attempt at it runs.
        twin: bool,
    },
    /// An input could not be read.
    FetchFailed(FetchFailure),
    /// It failed, and goes again.
    Again { level: Level, text: String },
    /// Its job must end.
    Abort { job: JobId, failure: JobFailure },
}

/// A task that was on an executor when that went away, and may have been what ended it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    pub(super) set: SetKey,
    pub(super) partition: u32,
    /// Whether the executor had said that it started.
    pub(super) started: bool,
}

/// Where a task failed, as an error names it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) executor: ExecutorId,
    pub(super) host: String,
    /// Nobody's once it is gone.
    pub(super) worker: Option<WorkerId>,
}

/// The tasks' side of the driver.
#[derive(Debug)]
pub(super) struct TaskScheduler {
    sets: BTreeMap<SetKey, TaskSet>,
    running: BTreeMap<TaskId, RunningTask>,
    reap: BTreeSet<(Now, TaskId)>,
    next_task: u64,
    /// Who got the last task.
    last: Option<ExecutorId>,
    max_failures: u32,
    reap_timeout: Duration,
    /// For slow tasks, when they get copies.
    watch: Option<Watch>,
    /// Who gets no more tasks of the application, when failures may lead to that.
    exclusions: Option<Exclusions>,
    pools: Pools,
    /// What went wrong so far.
    histories: Histories,
    /// For the log.
    warnings: Vec<String>,
}

impl TaskScheduler {
    pub(super) fn new(options: &DriverOptions) -> Self {
        Self {
            sets: BTreeMap::new(),
            running: BTreeMap::new(),
            reap: BTreeSet::new(),
            next_task: 0,
            last: None,
            max_failures: options.task_max_failures.max(1),
            reap_timeout: options.reap_timeout,
            watch: options.speculation.map(|options| Watch { options, next: None }),
            exclusions: options.exclusion.map(Exclusions::new),
            pools: options.pools.clone(),
            histories: Histories::default(),
            warnings: Vec::new(),
        }
    }

    /// Carries out what the DagScheduler wants.
    pub(super) fn obey(&mut self, now: Now, order: Order, executors: &Executors, fx: &mut Vec<Effect>) {
        match order {
            Order::Submit(spec) => {
                if Mutant::FailuresForgotten.is_on() {
                    self.histories.forget(spec.key.job);
                }
                self.sets.insert(spec.key, TaskSet::new(spec));
            }
            Order::Retire(stage) => self.each_set(stage, |set| set.retire()),
            Order::Cancel(stage, reason) => {
                self.each_set(stage, |set| set.stop(Life::Condemned));
                let of_stage = |task: &&RunningTask| task.set.stage == stage;
                let tasks: Vec<TaskId> =
                    self.running.iter().filter(|(_, task)| of_stage(task)).map(|(id, _)| *id).collect();
                tasks.into_iter().for_each(|task| self.kill(now, task, &reason, executors, fx));
            }
            Order::Settle(stage, partition) => {
                let mut others = Vec::new();
                self.each_set(stage, |set| {
                    set.pending.remove(&partition);
                    others.extend(set.attempts_at(partition));
                });
                let reason = "another attempt was first";
                others.into_iter().for_each(|task| self.kill(now, task, reason, executors, fx));
            }
            Order::Requeue(stage, partitions) => self.each_set(stage, |set| {
                partitions.iter().for_each(|partition| set.requeue(*partition));
            }),
        }
    }

    /// Does something to every attempt of a stage, and drops those that are over then.
    fn each_set(&mut self, stage: StageId, mut act: impl FnMut(&mut TaskSet)) {
        self.sets.retain(|key, set| {
            if key.stage != stage {
                return true;
            }
            act(set);
            !set.is_over()
        });
    }

    /// Tells an executor to end a task, once.
    fn kill(&mut self, now: Now, id: TaskId, reason: &str, executors: &Executors, fx: &mut Vec<Effect>) {
        let Some(task) = self.running.get_mut(&id).filter(|task| task.reap_at.is_none()) else { return };
        let at = now.after(self.reap_timeout);
        task.reap_at = Some(at);
        self.reap.insert((at, id));
        self.sets.get_mut(&task.set).expect("a running task has a set").stray(task.partition, id);
        executors.tell(task.executor, TaskDown::Kill { task: id, reason: reason.to_owned() }, fx);
    }

    /// The jobs that can never end: their tasks take more slots than any executor has, here or on its way. That a larger
    /// one joins later is possible where executors take what a worker has, but nobody promises it.
    pub(super) fn too_wide(&self, executors: &Executors) -> Vec<(JobId, JobFailure)> {
        let Some(largest) = executors.largest() else { return Vec::new() };
        let stuck = self.sets.iter().filter(|(_, set)| !set.pending.is_empty() && set.slots > largest);
        stuck.map(|(key, set)| (key.job, set.too_wide(*key, largest))).collect()
    }

    /// Whether a job has tasks that wait for slots which others hold, or for an executor that is large enough and not here.
    pub(super) fn waits_for_others(&self, job: JobId, executors: &Executors) -> bool {
        let mut pending = self.sets.iter().filter(|(key, set)| key.job == job && !set.pending.is_empty());
        pending.any(|(_, set)| !self.running.is_empty() || executors.awaits(set.slots))
    }

    /// Whether this attempt runs on this executor; news of any other are too late or made up.
    pub(super) fn runs_on(&self, task: TaskId, executor: ExecutorId) -> bool {
        self.running.get(&task).is_some_and(|task| task.executor == executor)
    }

    pub(super) fn started(&mut self, task: TaskId) {
        if let Some(task) = self.running.get_mut(&task) {
            task.started = true;
        }
    }

    /// An attempt that runs.
    pub(super) fn get(&self, task: TaskId) -> Option<&RunningTask> {
        self.running.get(&task)
    }

    /// An attempt gave an output; its slot is free.
    pub(super) fn succeeded(
        &mut self,
        now: Now,
        id: TaskId,
        output: TaskOutput,
        metrics: TaskMetrics,
        place: &Place,
    ) -> (StageId, Verdict) {
        let task = self.running[&id];
        let set = &self.sets[&task.set];
        if let Err(complaint) = set.plausible(task.partition, id, &output) {
            return self.failed(id, TaskFailure::Transient(format!("the executor {complaint}")), place, &|_| false);
        }
        let condemned = set.life == Life::Condemned && !Mutant::LateStatusAccepted.is_on();
        self.end(id);
        let RunningTask { set: key, partition, launched, .. } = task;
        let set = self.sets.get_mut(&key).expect("a running task has a set");
        if self.watch.is_some() {
            set.runtimes.add(now.since(launched));
        }
        // One that was told to end may be first after all, while its partition waits to run again.
        let twin = set.running.contains_key(&partition) || set.pending.contains(&partition);
        if !condemned {
            self.histories.succeeded(key, partition);
        }
        self.learn_from(now, key, partition);
        self.prune(key);
        let succeeded = Verdict::Succeeded { set: key, partition, task: id, output, metrics, twin };
        (key.stage, if condemned { Verdict::None } else { succeeded })
    }

    /// An attempt ended without an output; its slot is free.
    pub(super) fn failed(
        &mut self,
        id: TaskId,
        failure: TaskFailure,
        place: &Place,
        is_lost: &dyn Fn(ExecutorId) -> bool,
    ) -> (StageId, Verdict) {
        let task = self.end(id);
        let (key, partition) = (task.set, task.partition);
        let verdict = self.judge(task, failure, place, is_lost);
        if let Verdict::Again { .. } = verdict {
            self.sets.get_mut(&key).expect("its set lives").requeue(partition);
        }
        if !matches!(verdict, Verdict::FetchFailed(_)) {
            self.prune(key); // The DagScheduler retires the set of a failed fetch.
        }
        (key.stage, verdict)
    }

    fn judge(
        &mut self,
        task: RunningTask,
        failure: TaskFailure,
        place: &Place,
        is_lost: &dyn Fn(ExecutorId) -> bool,
    ) -> Verdict {
        let set = &self.sets[&task.set];
        if set.life != Life::Live || task.reap_at.is_some() {
            return Verdict::None;
        }
        match failure {
            TaskFailure::Query(message) => Verdict::Abort { job: task.set.job, failure: JobFailure::Query(message) },
            // Whoever ended it had a reason: the driver, or the loss of its inputs, which run again first.
            TaskFailure::Killed(reason) => Verdict::Again { level: Level::Debug, text: reason },
            TaskFailure::FetchFailed { ref shuffle, ref location, .. } if set.inputs.contains(shuffle) => {
                let server_lost = location.executor.is_some_and(is_lost);
                Verdict::FetchFailed(FetchFailure { set: task.set, failure, server_lost })
            }
            TaskFailure::OutOfMemory(message) if !task.thrifty => {
                self.starved(task.set, task.partition, &message, place)
            }
            failure => {
                let set = self.sets.get_mut(&task.set).expect("looked up above");
                if let (TaskFailure::Disk { .. }, Some(worker)) = (&failure, &place.worker) {
                    set.full_disks.add(task.partition, worker.clone());
                }
                self.failed_at(task.set, task.partition, place);
                self.blame(task.set, task.partition, failure, place)
            }
        }
    }

    /// A partition of a live set wants more memory than there is. That says nothing of another attempt, which takes operators
    /// that spill; there is no second of this kind.
    fn starved(&mut self, key: SetKey, partition: u32, message: &str, place: &Place) -> Verdict {
        let Some(set) = live(&self.sets, key) else { return Verdict::None };
        let text = format!(
            "task {partition} of stage {} ({}) ran out of memory on executor {} at {}, and runs again with operators that \
             spill: {message}",
            key.stage, set.name, place.executor, place.host
        );
        self.histories.of(key).starved(partition);
        Verdict::Again { level: Level::Warn, text }
    }

    /// Counts a failure against a partition of a live set.
    fn blame(&mut self, key: SetKey, partition: u32, failure: TaskFailure, place: &Place) -> Verdict {
        let max = self.max_failures;
        let Some(set) = live(&self.sets, key) else { return Verdict::None };
        let attempts = self.histories.of(key).count_failure(partition);
        if attempts >= max {
            return set.abort(key, partition, attempts, failure, place);
        }
        let text = format!(
            "task {partition} of stage {} ({}) failed on executor {} at {}, failure {attempts} of {max}: {failure}",
            key.stage, set.name, place.executor, place.host
        );
        Verdict::Again { level: Level::Warn, text }
    }

    /// An executor crashed that had this partition of a live set; `how` continues "its executor …".
    ///
    /// When the task had started and the crash was the executor's own doing, that is a failure like any other. When it
    /// had not, or somebody else ended the executor, it is none; but the word that it had started may have died with the
    /// executor, and the kernel may kill whatever runs this task for its memory, so that even this ends.
    pub(super) fn crashed(&mut self, suspect: Suspect, own_fault: bool, how: String, place: &Place) -> Verdict {
        let Suspect { set: key, partition, started } = suspect;
        if started && own_fault {
            let failure = TaskFailure::Transient(format!("its executor {how}"));
            return self.blame(key, partition, failure, place);
        }
        let limit = MAX_LOSSES.max(self.max_failures);
        let Some(set) = live(&self.sets, key) else { return Verdict::None };
        let losses = self.histories.of(key).count_loss(partition);
        if losses < limit { Verdict::None } else { set.give_up(key, partition, losses, how, place) }
    }

    /// An attempt is gone with its executor or its link: it is queued again, uncounted.
    pub(super) fn lost(&mut self, id: TaskId) -> Suspect {
        let task = self.end(id);
        if task.reap_at.is_none()
            && let Some(set) = self.sets.get_mut(&task.set)
        {
            set.requeue(task.partition);
        }
        self.prune(task.set);
        Suspect { set: task.set, partition: task.partition, started: task.started }
    }

    fn end(&mut self, id: TaskId) -> RunningTask {
        let task = self.running.remove(&id).expect("the caller knows that it runs");
        if let Some(at) = task.reap_at {
            self.reap.remove(&(at, id));
        }
        self.sets.get_mut(&task.set).expect("a running task has a set").ended(task.partition, id);
        task
    }

    fn prune(&mut self, key: SetKey) {
        if self.sets.get(&key).is_some_and(TaskSet::is_over) {
            self.sets.remove(&key);
        }
    }

    /// The next killed task whose end did not come in time, with its executor.
    pub(super) fn next_unreaped(&self, now: Now) -> Option<(TaskId, ExecutorId)> {
        let (at, task) = self.reap.first()?;
        (*at <= now).then(|| (*task, self.running[task].executor))
    }

    pub(super) fn deadline(&self) -> Option<Now> {
        let watched = self.watch.as_ref().and_then(|watch| watch.next);
        self.reap.first().map(|(at, _)| *at).into_iter().chain(watched).chain(self.exclusion_deadline()).min()
    }

    /// How many tasks of a stage run, in all its attempts.
    pub(super) fn running_of(&self, job: JobId, stage: StageId) -> u32 {
        let attempt = |attempt| SetKey { job, stage, attempt };
        let running: usize = self
            .sets
            .range(attempt(0)..=attempt(u32::MAX))
            .map(|(_, set)| set.running_count() + set.strays.len())
            .sum();
        u32::try_from(running).unwrap_or(u32::MAX)
    }

    /// What the log should say of what happened since this was asked last.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Whether a task of this job runs.
    pub(super) fn runs(&self, job: JobId) -> bool {
        self.running.values().any(|task| task.set.job == job)
    }

    /// Whether nothing of a job is left here.
    pub(super) fn is_rid_of(&self, job: JobId) -> bool {
        let from = SetKey { job, stage: StageId(0), attempt: 0 };
        let to = SetKey { job, stage: StageId(u32::MAX), attempt: u32::MAX };
        self.sets.range(from..=to).next().is_none()
    }

    /// What the live set of a stage still has to do, in order; nothing when there is no such set.
    pub(super) fn owed(&self, job: JobId, stage: StageId) -> Option<Vec<u32>> {
        let attempt = |attempt| SetKey { job, stage, attempt };
        let live = |set: &&TaskSet| set.life == Life::Live;
        let set = self.sets.range(attempt(0)..=attempt(u32::MAX)).map(|(_, set)| set).find(live)?;
        let mut owed: Vec<u32> = set.pending.iter().chain(set.running.keys()).copied().collect();
        owed.sort_unstable();
        (!owed.is_empty()).then_some(owed)
    }

    /// A job is over, and nothing of it is left here but what went wrong.
    pub(super) fn forget(&mut self, job: JobId) {
        self.histories.forget(job);
    }

    pub(super) fn assert_empty(&self) {
        assert!(self.sets.is_empty(), "task sets are left: {:?}", self.sets);
        assert!(self.running.is_empty(), "running tasks are left: {:?}", self.running);
        assert!(self.reap.is_empty(), "timers are left: {:?}", self.reap);
        assert_eq!(
            self.histories.jobs().next(),
            None,
            "what went wrong is remembered for nobody: {:?}",
            self.histories
        );
    }

    /// Panics when the state contradicts itself.
    pub(super) fn check(&self, dag: &DagScheduler, executors: &Executors, buffer: u64) {
        let mut running = 0;
        let mut live = BTreeSet::new();
        for (key, set) in &self.sets {
            assert!(!set.is_over(), "{key:?} is over and still here");
            assert!(set.life == Life::Live || set.pending.is_empty(), "{key:?} starts nothing and has pending tasks");
            assert!(set.life != Life::Live || live.insert(key.stage), "{key:?} is not the only live set of its stage");
            assert!(dag.knows(key.job), "{key:?} outlived its job");
            running += set.running_count() + set.strays.len();
            let runs = |partition: &u32| set.running.contains_key(partition);
            assert!(set.copies.keys().chain(&set.slow).all(runs), "{key:?} has copies of what does not run");
            assert!(set.life == Life::Live || set.slow.is_empty(), "{key:?} starts nothing and waits for copies");
            for id in &set.strays {
                let task = self.running.get(id).unwrap_or_else(|| panic!("{id:?} runs nowhere"));
                assert!(task.set == *key && task.reap_at.is_some(), "{id:?} is a stray that nobody told to end");
            }
            for (partition, id) in set.running.iter().chain(&set.copies) {
                let task = self.running.get(id).unwrap_or_else(|| panic!("{id:?} runs nowhere"));
                assert_eq!((task.set, task.partition), (*key, *partition), "{id:?} is somebody else");
                assert!(executors.runs(task.executor, *id), "{id:?} runs on an executor that does not know it");
            }
        }
        for job in self.histories.jobs() {
            assert!(dag.knows(job), "what went wrong with job {job} outlived it");
        }
        self.check_offers(dag, executors, buffer);
        if let Some(watch) = &self.watch {
            let watched = self.sets.values().any(|set| set.is_watched(&watch.options));
            assert_eq!(watch.next.is_some(), watched, "nobody looks for slow tasks, or in vain");
        }
        assert_eq!(running, self.running.len(), "a task runs without its set");
        assert_eq!(executors.running_count(), self.running.len(), "an executor runs what nobody launched");
        let killed = self.running.iter().filter_map(|(id, task)| Some((task.reap_at?, *id)));
        assert!(self.reap.iter().copied().eq(killed.collect::<BTreeSet<_>>()), "killed tasks and timers differ");
    }

    /// Panics when a task could start, and there are free slots for it that no other one waits for.
    fn check_offers(&self, dag: &DagScheduler, executors: &Executors, buffer: u64) {
        let mut offers = Offers::new(executors.free_slots(), self.last);
        let gate = |key: &SetKey, set: &TaskSet| dag.gate(*key, set.running_count(), buffer);
        // In which order they asked is not known any more: first all keep away what they wait for.
        for (key, set) in &self.sets {
            if set.slots > 1 && set.next(gate(key, set), |_| true).is_some() {
                let mut ask = offers.clone();
                if self.choose(*key, gate(key, set), &mut ask, executors).is_none() {
                    offers = ask;
                }
            }
        }
        for (key, set) in &self.sets {
            let chosen = self.choose(*key, gate(key, set), &mut offers, executors);
            assert_eq!(chosen, None, "{key:?} could start a task, and there are free slots");
        }
    }
}

fn live(sets: &BTreeMap<SetKey, TaskSet>, key: SetKey) -> Option<&TaskSet> {
    sets.get(&key).filter(|set| set.life == Life::Live)
}
