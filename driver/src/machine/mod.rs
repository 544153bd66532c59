//! The driver's machine: one application.
//!
//! ```text
//!   JobSubmitted ─> DagScheduler ──── Order ────> TaskScheduler ── Launch, Kill ──> executors
//!   JobNews     <─      │  ^                          ^  │
//!                       │  └──────── Verdict ─────────│──┘ <─────── Statuses ──────
//!                MapOutputTracker               Executors (slots)
//!                                                     ^
//!   MasterLink <─── grants, exits, removals ──────────┘
//! ```
//!
//! The [`Driver`] owns all of them and drains each into the other inside one step; there is no queue between them. After
//! every event it *settles*: submits what is ready, gives free slots to pending tasks, tells what changed, and clears away
//! jobs of which nothing runs any more.
//!
//! Invariants, held by `check()` after every step under test:
//! * slots: the tasks of an executor hold at most as many slots as it has cores, and every task runs on an executor that is not lost;
//! * work: a running stage's live task set owes exactly the stage's missing partitions;
//! * liveness: while a job is open, something of it runs or may start, or a timer is set, or there is a reason that somebody
//!   can remove (`liveness.rs`);
//! * after the last job every table is empty ([`Driver::assert_empty`]).
//!
//! Read first: `tests/jobs.rs`.

mod cluster;
mod dag;
mod executors;
mod failure;
mod jobs;
mod liveness;
mod master_link;
mod metrics;
mod options;
mod outputs;
mod statuses;
mod tasks;
#[cfg(test)]
mod tests;

pub use failure::JobFailure;
pub use metrics::{FailureCounts, Spread, StageMetrics};
pub use options::{DEFAULT_POOL, DriverOptions, Exclusion, INLINE_LIMIT, Pool, Pools, Speculation};

use dag::DagScheduler;
use executors::Executors;
use hearth_core::{
    ApplicationId, ApplicationState, Durable, JobId, Level, LinkId, Machine, Now, Payload, PayloadHash, Refusal,
    ReplyId, ShuffleId, StageGraph, StageId, TaskId,
    messages::{
        application::{AppDown, AppUp},
        task::{MapStatuses, ResultBlock, TaskDown, TaskMetrics, TaskUp},
    },
};
use master_link::MasterLink;
use tasks::TaskScheduler;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody wants a job done.
    JobSubmitted {
        /// Its number; the shell counts from 1 and never uses one twice.
        job: JobId,
        /// Its stages.
        graph: StageGraph,
        /// The pool that it takes slots from.
        pool: String,
    },
    /// Nobody wants it any more.
    JobCancelled {
        /// Which.
        job: JobId,
        /// For people.
        reason: String,
    },
    /// The reader of a job's results took one, in the order of partitions: an inline one is out of the driver's way, of a
    /// stored one all has been read.
    ResultTaken {
        /// Which job.
        job: JobId,
        /// Which partition.
        partition: u32,
    },
    /// The reader cannot have a result that was stored.
    ResultLost {
        /// Which job.
        job: JobId,
        /// Which partition.
        partition: u32,
        /// The attempt that stored it.
        task: TaskId,
        /// For people: what became of it.
        reason: String,
    },
    /// The results of a job have been read, or never will be: they can be forgotten.
    JobReleased {
        /// Which.
        job: JobId,
    },
    /// The link to the master is open.
    MasterLinkOpened {
        /// Its number.
        link: LinkId,
    },
    /// It could not be opened.
    MasterDialFailed {
        /// For people.
        reason: String,
        /// This try's chance in 0..=1000, drawn by the shell.
        jitter: u32,
    },
    /// It ended.
    MasterLinkClosed {
        /// Its number.
        link: LinkId,
        /// The next try's chance in 0..=1000, drawn by the shell.
        jitter: u32,
    },
    /// The master said something.
    MasterSaid {
        /// On which link.
        link: LinkId,
        /// What.
        message: AppDown,
    },
    /// An executor said something; the first message on each link is `Register`.
    ExecutorSaid {
        /// On which link.
        link: LinkId,
        /// What.
        message: TaskUp,
    },
    /// An executor's link ended.
    ExecutorLinkClosed {
        /// Its number.
        link: LinkId,
    },
    /// An executor wants a payload.
    PayloadAsked {
        /// Whom to answer.
        reply: ReplyId,
        /// Which.
        hash: PayloadHash,
    },
    /// An executor wants the outputs of a shuffle.
    MapStatusesAsked {
        /// Whom to answer.
        reply: ReplyId,
        /// Which.
        shuffle: ShuffleId,
        /// Not older than this.
        epoch: u64,
    },
    /// The application ends: cancel what runs, stop the executors, say goodbye to the master.
    StopAsked {
        /// A final state.
        state: ApplicationState,
        /// For people.
        message: String,
    },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a link to the master.
    DialMaster,
    /// Say something to the master.
    ToMaster {
        /// On which link.
        link: LinkId,
        /// What.
        message: AppUp,
    },
    /// Close the link to the master, once what was said on it is sent.
    CloseMasterLink {
        /// Its number.
        link: LinkId,
    },
    /// Say something to an executor.
    ToExecutor {
        /// On which link.
        link: LinkId,
        /// What.
        message: TaskDown,
    },
    /// Close an executor's link, once what was said on it is sent.
    CloseExecutorLink {
        /// Its number.
        link: LinkId,
    },
    /// Answer a question.
    Answer {
        /// Which.
        reply: ReplyId,
        /// The answer.
        answer: Answer,
    },
    /// Tell whoever submitted a job.
    Job {
        /// Which.
        job: JobId,
        /// What.
        news: JobNews,
    },
    /// Tell the log.
    Log {
        /// How much it matters.
        level: Level,
        /// For people.
        text: String,
    },
    /// The application has an id.
    Named(ApplicationId),
    /// The application is over; nothing follows.
    Stopped,
}

/// The driver keeps nothing: a job does not outlive it.
impl Durable for Effect {
    type Record = std::convert::Infallible;
    fn record(&self) -> Option<&Self::Record> {
        None
    }
}

/// An answer to an executor's question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A payload.
    Payload(Payload),
    /// All outputs of a shuffle.
    MapStatuses(MapStatuses),
    /// No.
    Refused(Refusal),
}

/// News of a job for whoever submitted it.
#[derive(Clone, Debug, PartialEq)]
pub enum JobNews {
    /// A stage attempt started, or its counts changed (at most one a step and stage).
    Stage {
        /// Which stage.
        stage: StageId,
        /// Its place in the job's graph.
        place: u32,
        /// Its name.
        name: String,
        /// The newest attempt, from 0.
        attempt: u32,
        /// How many tasks the stage has.
        tasks: u32,
        /// How many of them run now, those of older attempts included.
        running: u32,
        /// How many partitions are there.
        done: u32,
        /// Nothing of the attempt starts any more.
        over: bool,
        /// What its tasks did so far.
        metrics: Box<StageMetrics>,
    },
    /// A result partition is there, in any order. Each comes once, and again when it is lost.
    Result {
        /// Which.
        partition: u32,
        /// Its rows.
        block: ResultBlock,
        /// What its task did.
        metrics: TaskMetrics,
    },
    /// The job is over, the last news: all of its results are there, and those that were stored are taken; or it failed.
    Over(Result<(), JobFailure>),
    /// For people: why nothing is running.
    Waiting {
        /// What it waits for.
        reason: String,
    },
}

/// One application's machine.
#[derive(Debug)]
pub struct Driver {
    options: DriverOptions,
    dag: DagScheduler,
    tasks: TaskScheduler,
    executors: Executors,
    master: MasterLink,
    /// Why no job can run any more.
    over: Option<JobFailure>,
    /// Why the master grants nothing (more), as it said last.
    waiting: Option<String>,
    /// When open jobs fail, since there is no executor and none can be had.
    stranded_at: Option<Now>,
    stopped: bool,
}

impl Driver {
    /// A driver that will register with its master at its first tick.
    pub fn new(options: DriverOptions) -> Self {
        Self {
            dag: DagScheduler::default(),
            tasks: TaskScheduler::new(&options),
            executors: Executors::default(),
            master: MasterLink::new(&options),
            over: None,
            waiting: None,
            stranded_at: None,
            stopped: false,
            options,
        }
    }

    /// Panics when anything is left of jobs: for tests, after the last job was released.
    pub fn assert_empty(&self) {
        self.dag.assert_empty();
        self.tasks.assert_empty();
        assert_eq!(self.executors.running_count(), 0, "slots are held");
        assert_eq!(self.stranded_at, None, "a timer is left");
    }

    /// Carries the DagScheduler's orders over to the TaskScheduler.
    fn drain(&mut self, now: Now, fx: &mut Vec<Effect>) {
        let warnings = self.dag.take_warnings().into_iter().chain(self.tasks.take_warnings());
        fx.extend(warnings.map(|text| Effect::Log { level: Level::Warn, text }));
        while let Some(order) = self.dag.next_order() {
            self.tasks.obey(now, order, &self.executors, fx);
        }
    }

    /// Brings everything to rest after an event.
    fn settle(&mut self, now: Now, fx: &mut Vec<Effect>) {
        self.dag.submit_ready();
        self.drain(now, fx);
        // Before anything waits for what these will never get.
        for (job, failure) in self.tasks.too_wide(&self.executors) {
            self.dag.close(job, Err(failure));
        }
        self.drain(now, fx);
        self.tasks.launch(now, &mut self.dag, &mut self.executors, self.options.result_buffer_bytes, fx);
        for (job, news) in self.dag.take_progress(|job, stage| self.tasks.running_of(job, stage)) {
            fx.push(Effect::Job { job, news });
        }
        for (job, end) in self.dag.take_ended() {
            fx.push(Effect::Job { job, news: JobNews::Over(end) });
        }
        for job in self.dag.closing() {
            if self.tasks.is_rid_of(job) {
                self.tasks.forget(job);
                let left = self.dag.clear_away(job);
                self.forget(left, fx);
            }
        }
        self.tasks.watch(now);
        self.tasks.find_stuck(now, &self.executors);
        self.drain(now, fx);
        self.watch_for_stranding(now);
    }

    /// Open jobs without executors have a timer when none is on its way: when the master is away, or cannot replace those
    /// that there were. Waiting for the first one has no bound while the master is there: others hold the cores, or a
    /// worker is about to come, and the master says again and again which.
    fn watch_for_stranding(&mut self, now: Now) {
        let hopeless = self.master.is_away() || self.waiting.is_some() && self.executors.had_any();
        // Of a job whose results are all there, nothing has to run any more.
        let needed = || self.dag.open_jobs().into_iter().any(|job| self.dag.is_unfinished(job));
        if !(self.executors.is_empty() && hopeless && needed()) {
            self.stranded_at = None;
        } else if self.stranded_at.is_none() {
            self.stranded_at = Some(now.after(self.options.executor_grace));
        }
    }
}

impl Machine for Driver {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Now, event: Event, fx: &mut Vec<Effect>) {
        if self.stopped {
            return refuse_after_the_end(event, fx);
        }
        match event {
            Event::JobSubmitted { job, graph, pool } => self.job_submitted(job, graph, pool, fx),
            Event::JobCancelled { job, reason } => self.dag.close(job, Err(JobFailure::Cancelled(reason))),
            Event::ResultTaken { job, partition } => self.dag.taken(job, partition),
            Event::ResultLost { job, partition, task, reason } => {
                self.dag.result_lost(job, partition, task, reason, self.options.stage_max_attempts);
            }
            Event::JobReleased { job } => {
                let left = self.dag.release(job);
                self.forget(left, fx);
            }
            Event::MasterLinkOpened { link } => self.master.opened(now, link, self.executors.ids(), fx),
            Event::MasterDialFailed { reason, jitter } => {
                let failure = self.master.dial_failed(now, reason, jitter, fx);
                self.end_if(failure, fx);
            }
            Event::MasterLinkClosed { link, jitter } => {
                let failure = self.master.link_closed(now, link, jitter, fx);
                self.end_if(failure, fx);
            }
            Event::MasterSaid { link, message } if self.master.is_current(link) => {
                self.master_said(now, message, fx);
            }
            Event::MasterSaid { .. } => {} // From a link that was given up.
            Event::ExecutorSaid { link, message } => self.executor_said(now, link, message, fx),
            Event::ExecutorLinkClosed { link } => self.executor_link_closed(now, link, fx),
            Event::PayloadAsked { reply, hash } => {
                let gone = || Answer::Refused(Refusal::Gone(format!("payload {hash}")));
                let answer = self.dag.payload(hash).cloned().map_or_else(gone, Answer::Payload);
                fx.push(Effect::Answer { reply, answer });
            }
            Event::MapStatusesAsked { reply, shuffle, epoch } => {
                let answer = self.dag.outputs.answer(shuffle, epoch, || self.executors.peers());
                fx.push(Effect::Answer { reply, answer });
            }
            Event::StopAsked { state, message } => return self.stop(now, state, message, fx),
        }
        self.settle(now, fx);
    }

    fn deadline(&self) -> Option<Now> {
        if self.stopped {
            return None;
        }
        let timers = [
            self.dag.deadline(),
            self.tasks.deadline(),
            self.executors.deadline(),
            self.master.deadline(),
            self.stranded_at,
        ];
        timers.into_iter().flatten().min()
    }

    fn tick(&mut self, now: Now, fx: &mut Vec<Effect>) {
        if self.stopped {
            return;
        }
        self.dag.tick(now);
        let failure = self.master.tick(now, fx);
        self.end_if(failure, fx);
        self.executors_tick(now, fx);
        self.tasks.find_slow(now, &self.executors, fx);
        for (job, failure) in self.tasks.given_up(now, &self.executors) {
            self.dag.close(job, Err(failure));
        }
        if self.stranded_at.is_some_and(|at| at <= now) {
            self.fail_stranded();
        }
        self.settle(now, fx);
    }

    fn check(&self) {
        self.executors.check();
        self.master.check();
        self.tasks.check(&self.dag, &self.executors, self.options.result_buffer_bytes);
        self.dag.check(|job, stage| self.tasks.owed(job, stage));
        assert!(self.over.is_none() || !self.dag.has_open_jobs(), "a job is open in an application that is over");
        self.check_liveness();
        for job in self.dag.closing() {
            assert!(!self.tasks.is_rid_of(job), "job {job} is over and was not cleared away");
        }
        if self.stopped {
            self.assert_empty();
        }
    }
}

/// Questions get an answer even now, so that nobody waits for it.
fn refuse_after_the_end(event: Event, fx: &mut Vec<Effect>) {
    let gone = || Answer::Refused(Refusal::Gone("the application".into()));
    match event {
        Event::PayloadAsked { reply, .. } | Event::MapStatusesAsked { reply, .. } => {
            fx.push(Effect::Answer { reply, answer: gone() });
        }
        Event::JobSubmitted { job, .. } => {
            let failure = JobFailure::Cancelled("the application has stopped".into());
            fx.push(Effect::Job { job, news: JobNews::Over(Err(failure)) });
        }
        Event::ExecutorSaid { link, .. } => fx.push(Effect::CloseExecutorLink { link }),
        _ => {}
    }
}
