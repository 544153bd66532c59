//! DagScheduler: jobs become stages, stages become task sets when their inputs are there.
//!
//! It decides by what is missing: a stage is needed when its reader is not done, and is submitted when it is needed, not
//! complete, and all that it reads is complete; only its missing partitions run. A lost output makes its stage incomplete
//! again, and the same rule brings it back. What it wants of the TaskScheduler it leaves as [`Order`]s, which the driver
//! carries out in the same step.
//!
//! Invariants: a running stage has exactly one live task set, which holds all its missing partitions; a stage is done
//! exactly when nothing of it is missing; a failed stage has a timer; a needed stage whose inputs are complete never waits.

mod job;
mod losses;
mod progress;
mod stage;

pub(super) use losses::FetchFailure;

use job::{Job, Phase};
use stage::{Input, Stage, StageState};

use super::{
    failure::JobFailure,
    metrics::StageRecord,
    outputs::{MapOutputTracker, Remade},
    tasks::{SetKey, TaskSetSpec},
};
use hearth_core::{
    Determinism, Exchange, JobId, Now, Payload, PayloadHash, ShuffleId, StageGraph, StageId, TaskId,
    messages::task::{TaskInput, TaskMetrics, TaskOutput, TaskTarget},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What the DagScheduler wants of the TaskScheduler.
#[derive(Debug)]
pub(super) enum Order {
    /// Run these partitions.
    Submit(TaskSetSpec),
    /// Start nothing more of this stage's attempts; what runs goes on and may still give outputs.
    Retire(StageId),
    /// End all attempts of this stage: kill what runs, and believe nothing of it any more.
    Cancel(StageId, String),
    /// This partition is done: other attempts at it are of no use.
    Settle(StageId, u32),
    /// These partitions are missing again: the live task set runs them again.
    Requeue(StageId, Vec<u32>),
}

/// How many tasks of a set may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gate {
    /// How many.
    pub(super) room: usize,
    /// A partition that may start even without room.
    pub(super) always: Option<u32>,
}

/// What a stopped job leaves behind at the executors.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Leftovers {
    pub(super) payloads: Vec<PayloadHash>,
    pub(super) shuffles: Vec<ShuffleId>,
    pub(super) results: Vec<TaskId>,
}

impl Leftovers {
    pub(super) fn is_empty(&self) -> bool {
        self.payloads.is_empty() && self.shuffles.is_empty() && self.results.is_empty()
    }
}

/// The jobs' side of the driver.
#[derive(Debug, Default)]
pub(super) struct DagScheduler {
    pub(super) outputs: MapOutputTracker,
    jobs: BTreeMap<JobId, Job>,
    stages: BTreeMap<StageId, Stage>,
    writers: BTreeMap<ShuffleId, StageId>,
    /// Payloads with the number of stages that have them.
    payloads: BTreeMap<PayloadHash, (Payload, usize)>,
    next_stage: u32,
    next_shuffle: u32,
    resubmit_at: Option<Now>,
    /// Jobs in which something may have become ready.
    dirty: BTreeSet<JobId>,
    /// Stages whose counts changed since they were told.
    changed: BTreeSet<StageId>,
    /// Jobs that ended and have not been told so.
    ended: Vec<(JobId, Result<(), JobFailure>)>,
    orders: VecDeque<Order>,
    /// For the log.
    warnings: Vec<String>,
}

impl DagScheduler {
    /// Makes a job of a valid graph.
    pub(super) fn submit(&mut self, id: JobId, graph: StageGraph, pool: String) {
        let partitions = graph.stages[graph.result()].tasks;
        let result = graph.result();
        let mut made: Vec<(StageId, Option<ShuffleId>)> = Vec::with_capacity(graph.stages.len());
        let edges = graph.stages.iter().flat_map(|node| &node.inputs);
        let everywhere: BTreeSet<_> =
            edges.filter(|edge| edge.exchange == Exchange::Broadcast).map(|edge| edge.from).collect();
        for (place, node) in graph.stages.into_iter().enumerate() {
            let stage = StageId(self.next_stage);
            self.next_stage += 1;
            let target = if place == result {
                TaskTarget::Result
            } else {
                let shuffle = ShuffleId(self.next_shuffle);
                self.next_shuffle += 1;
                self.outputs.add(shuffle, node.tasks, everywhere.contains(&place));
                self.writers.insert(shuffle, stage);
                TaskTarget::Shuffle { shuffle, partitions: node.output_partitions }
            };
            let input = |from: usize| {
                let (stage, shuffle) = made[from];
                Input { stage, shuffle: shuffle.expect("only the last stage of a valid graph is a result stage") }
            };
            let inputs = node.inputs.iter().map(|edge| input(edge.from)).collect();
            let payload = node.payload.hash();
            self.payloads.entry(payload).or_insert_with(|| (node.payload, 0)).1 += 1;
            let made_stage = Stage {
                id: stage,
                job: id,
                place: u32::try_from(place).expect("a valid graph has at most MAX_STAGES"),
                name: node.name,
                tasks: node.tasks,
                slots: node.slots,
                inputs,
                target,
                payload,
                determinism: node.determinism,
                state: StageState::Waiting,
                attempts: 0,
                failures: 0,
                failed_from: BTreeMap::new(),
                record: StageRecord::default(),
            };
            made.push((stage, made_stage.shuffle()));
            self.stages.insert(stage, made_stage);
        }
        self.jobs.insert(id, Job::new(id, made.into_iter().map(|(stage, _)| stage).collect(), partitions, pool));
        self.dirty.insert(id);
    }

    /// Submits every stage of the changed jobs that is needed, incomplete, and has all its inputs.
    pub(super) fn submit_ready(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            let Some(job) = self.jobs.get(&id).filter(|job| job.phase == Phase::Open) else { continue };
            for stage in self.needed(job) {
                if self.stages[&stage].state == StageState::Waiting && self.inputs_complete(stage) {
                    self.submit_missing(stage);
                }
            }
        }
    }

    /// The stages of a job that are not done and whose reader is not done, in the graph's order.
    fn needed(&self, job: &Job) -> Vec<StageId> {
        let mut needed = BTreeSet::from([job.result_stage()]);
        for id in job.stages.iter().rev().filter(|id| self.stages[id].state != StageState::Done) {
            if needed.contains(id) {
                needed.extend(self.stages[id].inputs.iter().map(|input| input.stage));
            }
        }
        needed.retain(|id| self.stages[id].state != StageState::Done);
        needed.into_iter().collect()
    }

    fn inputs_complete(&self, stage: StageId) -> bool {
        self.stages[&stage].inputs.iter().all(|input| self.outputs.is_complete(input.shuffle))
    }

    fn submit_missing(&mut self, id: StageId) {
        let missing = self.missing(id);
        let stage = self.stages.get_mut(&id).expect("the caller has it");
        let attempt = stage.attempts;
        stage.attempts += 1;
        stage.state = StageState::Running;
        self.changed.insert(id);
        if attempt > 0 {
            self.orders.push_back(Order::Retire(id));
        }
        self.orders.push_back(Order::Submit(TaskSetSpec {
            key: SetKey { job: stage.job, stage: id, attempt },
            name: stage.name.clone(),
            inputs: stage.inputs.iter().map(|input| input.shuffle).collect(),
            target: stage.target,
            payload: stage.payload,
            slots: stage.slots,
            pool: self.jobs[&stage.job].pool.clone(),
            partitions: missing,
        }));
    }

    fn missing(&self, stage: StageId) -> Vec<u32> {
        let stage = &self.stages[&stage];
        stage.shuffle().map_or_else(|| self.jobs[&stage.job].missing(), |shuffle| self.outputs.missing(shuffle))
    }

    /// A task gave an output, which the TaskScheduler found plausible. News for whoever waits for results.
    pub(super) fn succeeded(
        &mut self,
        set: SetKey,
        partition: u32,
        task: TaskId,
        output: &TaskOutput,
        metrics: &TaskMetrics,
    ) -> bool {
        let Some(stage) = self.stages.get_mut(&set.stage) else { return false };
        let job = self.jobs.get_mut(&set.job).expect("a stage has a job");
        if job.phase != Phase::Open {
            return false;
        }
        let checked = stage.determinism == Determinism::Indeterminate;
        if checked && stage.shuffle().is_some() && stage.state != StageState::Running {
            // Nobody waits for it, and other rows than those that were read would only do harm.
            return false;
        }
        let mut is_other = false;
        let (news, complete) = match (stage.shuffle(), output) {
            (Some(shuffle), TaskOutput::Map(status)) => {
                let remade = self.outputs.register(shuffle, status.clone());
                is_other = checked && remade == Some(Remade::Other);
                (remade.is_some(), self.outputs.is_complete(shuffle))
            }
            (None, TaskOutput::Result(block)) => (job.deliver(partition, task, block), job.is_complete()),
            _ => (false, false),
        };
        if !news {
            return false;
        }
        self.changed.insert(set.stage);
        stage.record.succeeded(metrics);
        if stage.attempts > 1 {
            self.orders.push_back(Order::Settle(set.stage, partition));
        }
        if complete {
            stage.succeed();
            self.dirty.insert(set.job);
            if self.jobs[&set.job].is_safe() {
                self.close(set.job, Ok(()));
            }
        }
        if is_other {
            self.roll_back(set.stage, partition);
        }
        true
    }

    /// Ends a job that is open: its tasks are killed, its tables stay until they have ended.
    pub(super) fn close(&mut self, job: JobId, end: Result<(), JobFailure>) {
        let Some(job) = self.jobs.get_mut(&job).filter(|job| job.phase == Phase::Open) else { return };
        job.phase = Phase::Closing;
        job.released |= end.is_err();
        let reason = match &end {
            Ok(()) => "the job is done".to_owned(),
            Err(failure) => failure.to_string(),
        };
        let running = job.stages.iter().filter(|id| self.stages[id].state == StageState::Running);
        self.changed.extend(running);
        self.orders.extend(job.stages.iter().map(|stage| Order::Cancel(*stage, reason.clone())));
        self.ended.push((job.id, end));
    }

    /// Nobody will read the results of this job (any more).
    pub(super) fn release(&mut self, id: JobId) -> Leftovers {
        let Some(job) = self.jobs.get_mut(&id) else { return Leftovers::default() };
        job.released = true;
        if job.phase != Phase::Kept {
            if job.is_safe() {
                self.close(id, Ok(()));
            }
            return Leftovers::default();
        }
        let results = std::mem::take(&mut job.stored);
        self.jobs.remove(&id);
        Leftovers { results, ..Leftovers::default() }
    }

    /// Jobs that are over but have not been cleared away.
    pub(super) fn closing(&self) -> Vec<JobId> {
        self.jobs.values().filter(|job| job.phase == Phase::Closing).map(|job| job.id).collect()
    }

    /// Clears away a job that is over and none of whose tasks runs. Its stored results stay until they are released.
    pub(super) fn clear_away(&mut self, id: JobId) -> Leftovers {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.phase == Phase::Closing) else {
            return Leftovers::default();
        };
        let mut left = Leftovers::default();
        for stage in std::mem::take(&mut job.stages) {
            let stage = self.stages.remove(&stage).expect("a job's stages live as long as it does");
            self.changed.remove(&stage.id);
            if let Some(shuffle) = stage.shuffle() {
                self.outputs.remove(shuffle);
                self.writers.remove(&shuffle);
                left.shuffles.push(shuffle);
            }
            let users = self.payloads.get_mut(&stage.payload).expect("a stage's payload lives as long as it does");
            users.1 -= 1;
            if users.1 == 0 {
                self.payloads.remove(&stage.payload);
                left.payloads.push(stage.payload);
            }
        }
        job.phase = Phase::Kept;
        if job.released {
            left.results = std::mem::take(&mut job.stored);
            self.jobs.remove(&id);
        }
        if !self.stages.values().any(|stage| stage.state == StageState::Failed) {
            self.resubmit_at = None;
        }
        left
    }

    /// The reader of a job took the result of this partition. Stored results may be lost until then, and the job is open, so
    /// that they can be made again.
    pub(super) fn taken(&mut self, id: JobId, partition: u32) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.taken(partition);
            if job.is_safe() {
                self.close(id, Ok(()));
            }
        }
    }

    /// How many tasks of a set may start while `running` of it run.
    pub(super) fn gate(&self, set: SetKey, running: usize, limit: u64) -> Gate {
        if !self.inputs_complete(set.stage) {
            return Gate { room: 0, always: None };
        }
        match self.stages[&set.stage].target {
            TaskTarget::Shuffle { .. } => Gate { room: usize::MAX, always: None },
            TaskTarget::Result => self.jobs[&set.job].gate(running, limit),
        }
    }

    /// What the tasks of a stage are told of what they read.
    pub(super) fn inputs(&self, stage: StageId) -> Vec<TaskInput> {
        self.stages[&stage].inputs.iter().map(|input| self.outputs.input(input.shuffle)).collect()
    }

    /// Whether an input of this stage lost an output since `epoch`.
    pub(super) fn inputs_lost_since(&self, stage: StageId, epoch: u64) -> bool {
        self.stages.get(&stage).is_none_or(|s| s.inputs.iter().any(|i| self.outputs.lost_since(i.shuffle, epoch)))
    }

    pub(super) fn payload(&self, hash: PayloadHash) -> Option<&Payload> {
        self.payloads.get(&hash).map(|(payload, _)| payload)
    }

    pub(super) fn next_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// What the log should say of what happened since this was asked last.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The jobs that ended since this was asked last.
    pub(super) fn take_ended(&mut self) -> Vec<(JobId, Result<(), JobFailure>)> {
        std::mem::take(&mut self.ended)
    }

    /// The jobs that are not over, oldest first.
    pub(super) fn open_jobs(&self) -> Vec<JobId> {
        self.jobs.values().filter(|job| job.phase == Phase::Open).map(|job| job.id).collect()
    }

    pub(super) fn all_jobs(&self) -> Vec<JobId> {
        self.jobs.keys().copied().collect()
    }

    pub(super) fn has_open_jobs(&self) -> bool {
        self.jobs.values().any(|job| job.phase == Phase::Open)
    }

    /// Whether a job has partitions to compute.
    pub(super) fn is_unfinished(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|job| job.phase == Phase::Open && !job.is_complete())
    }

    /// Whether a job waits for something that will come without any of its tasks: a timer, or its reader, who has all, or
    /// keeps result tasks from starting until it takes what is next.
    pub(super) fn is_held(&self, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let failed = |id: &StageId| self.stages[id].state == StageState::Failed;
        let gated = self.stages[&job.result_stage()].state == StageState::Running && job.is_next_there();
        job.is_complete() || gated || self.resubmit_at.is_some() && job.stages.iter().any(failed)
    }

    pub(super) fn knows(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    pub(super) const fn deadline(&self) -> Option<Now> {
        self.resubmit_at
    }

    /// Panics when anything is left.
    pub(super) fn assert_empty(&self) {
        assert!(self.jobs.is_empty(), "jobs are left: {:?}", self.jobs);
        assert!(self.stages.is_empty(), "stages are left: {:?}", self.stages);
        assert!(self.writers.is_empty(), "shuffles are left: {:?}", self.writers);
        assert!(self.payloads.is_empty(), "payloads are left");
        assert!(self.outputs.is_empty(), "outputs are left: {:?}", self.outputs);
        assert!(self.dirty.is_empty() && self.changed.is_empty() && self.ended.is_empty() && self.orders.is_empty());
        assert_eq!(self.resubmit_at, None, "a timer is left");
    }

    /// Panics when the state contradicts itself. `live` says which partitions the live task set of a stage still owes.
    pub(super) fn check(&self, owed: impl Fn(JobId, StageId) -> Option<Vec<u32>>) {
        assert!(self.orders.is_empty(), "orders were not carried out: {:?}", self.orders);
        assert!(self.warnings.is_empty(), "warnings were not given: {:?}", self.warnings);
        assert!(self.ended.is_empty() && self.changed.is_empty() && self.dirty.is_empty(), "news were not told");
        self.outputs.check();
        let mut users: BTreeMap<PayloadHash, usize> = BTreeMap::new();
        for stage in self.stages.values() {
            *users.entry(stage.payload).or_default() += 1;
            assert!(stage.state != StageState::Failed || self.resubmit_at.is_some(), "failed, and no timer: {stage:?}");
        }
        assert!(self.payloads.iter().map(|(hash, (_, n))| (*hash, *n)).eq(users), "payloads are miscounted");
        for job in self.jobs.values() {
            job.check();
            if job.phase != Phase::Open {
                continue;
            }
            for &id in &job.stages {
                let stage = &self.stages[&id];
                let missing = self.missing(id);
                assert_eq!(stage.state == StageState::Done, missing.is_empty(), "done or not? {stage:?}");
                let owed = owed(job.id, id);
                assert_eq!(stage.state == StageState::Running, owed.is_some(), "running or not? {stage:?}");
                assert!(owed.is_none_or(|owed| owed == missing), "the task set owes something else: {stage:?}");
            }
            for id in self.needed(job) {
                let waits = self.stages[&id].state == StageState::Waiting;
                assert!(!waits || !self.inputs_complete(id), "{id:?} waits for nothing");
            }
        }
    }
}
