//! Why a job failed: one clear error each, for people.

use hearth_core::{
    ApplicationId, ApplicationState, ExecutorId, Refusal, StageId, messages::task::TaskFailure, stage::BadGraph,
};

/// Why a job failed.
///
/// Each is one sentence or two that say what happened and, where somebody can do something about it, what.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JobFailure {
    /// Its graph makes no sense.
    #[error("the stage graph is not valid: {0}")]
    BadGraph(#[from] BadGraph),
    /// Too many jobs are open.
    #[error("{0} jobs are open already, which is the limit; wait for one of them to end")]
    TooManyJobs(usize),
    /// The query's or its input's own fault.
    #[error("{0}")]
    Query(String),
    /// One task failed too often.
    #[error(
        "task {partition} of stage {stage} ({name}) failed {tries}, which is the limit (spark.task.maxFailures); the last time on executor {executor} at {host}: {failure}",
        tries = times(*attempts)
    )]
    TaskFailed {
        /// Its stage.
        stage: StageId,
        /// The stage's name.
        name: String,
        /// Which partition it computes.
        partition: u32,
        /// How often it failed.
        attempts: u32,
        /// Where it failed last.
        executor: ExecutorId,
        /// That executor's machine.
        host: String,
        /// How it failed last.
        failure: Box<TaskFailure>,
    },
    /// One task lost its executor too often: nobody's failure, but no progress either.
    #[error(
        "task {partition} of stage {stage} ({name}) lost its executor {often}, which is the limit; the last time executor {executor} at {host}, which {reason}",
        often = times(*losses)
    )]
    TaskLost {
        /// Its stage.
        stage: StageId,
        /// The stage's name.
        name: String,
        /// Which partition it computes.
        partition: u32,
        /// How often that happened.
        losses: u32,
        /// Which executor it lost last.
        executor: ExecutorId,
        /// That executor's machine.
        host: String,
        /// How that one ended.
        reason: String,
    },
    /// One stage could not read its input too often in a row.
    #[error(
        "stage {stage} ({name}) could not read its input in {attempts} attempt{s}, which is the limit (spark.stage.maxConsecutiveAttempts); the last time: {failure}",
        s = if *attempts == 1 { "" } else { "s in a row" }
    )]
    StageFailed {
        /// Which stage.
        stage: StageId,
        /// Its name.
        name: String,
        /// How many attempts failed.
        attempts: u32,
        /// What happened last.
        failure: Box<TaskFailure>,
    },
    /// An output was lost that cannot be made again as it was, and rows made from it were handed out.
    #[error(
        "partition {partition} of stage {stage} ({name}) was lost, and made again it has other rows, where results made from the first ones were already handed out; run the query again"
    )]
    Indeterminate {
        /// Which stage.
        stage: StageId,
        /// Its name.
        name: String,
        /// Which of its partitions.
        partition: u32,
    },
    /// A stored result was lost again and again before its reader had it.
    #[error(
        "the result of partition {partition} was lost {often} in a row before it could be read, which is the limit (spark.stage.maxConsecutiveAttempts); the last time: {reason}",
        often = times(*losses)
    )]
    ResultLost {
        /// Which partition.
        partition: u32,
        /// How often.
        losses: u32,
        /// What its reader said last.
        reason: String,
    },
    /// A task may run nowhere.
    #[error(
        "task {partition} of stage {stage} ({name}) could run nowhere for {seconds} s (spark.scheduler.excludeOnFailure.unschedulableTaskSetTimeout): {exclusions}; see why it failed there, or set spark.excludeOnFailure.enabled=false"
    )]
    Unschedulable {
        /// Its stage.
        stage: StageId,
        /// The stage's name.
        name: String,
        /// Which partition it computes.
        partition: u32,
        /// How long it waited.
        seconds: u64,
        /// Who may not run it, and why.
        exclusions: String,
    },
    /// A task takes more slots than any executor has.
    #[error(
        "a task of stage {stage} ({name}) takes {slots} slots of one executor, and the largest executor has {largest}; give executors more cores (spark.executor.cores), or set hearth.sql.fuse=never"
    )]
    TooWide {
        /// Its stage.
        stage: StageId,
        /// The stage's name.
        name: String,
        /// The slots it takes.
        slots: u32,
        /// The slots of the largest executor.
        largest: u32,
    },
    /// There is no executor (any more), and nobody gives one.
    #[error("the application has no executor, and there was none to be had for {seconds} s: {reason}")]
    NoExecutors {
        /// How long the driver waited.
        seconds: u64,
        /// What the master says, or that it cannot be reached.
        reason: String,
    },
    /// No master.
    #[error("no master at {address}: {reason} (tried {often}); is it running, and is the address right?", often = times(*tries))]
    MasterUnreachable {
        /// Its address.
        address: String,
        /// How often the driver tried.
        tries: u32,
        /// What happened last.
        reason: String,
    },
    /// The master does not take the application.
    #[error("the master at {address} refused the application: {refusal}")]
    Refused {
        /// Its address.
        address: String,
        /// Why.
        refusal: Refusal,
    },
    /// The master that took the application does not know it any more.
    #[error(
        "the master at {address} knows nothing of {application}: it was restarted, or gave the application up while it heard nothing from it; run it again"
    )]
    Forgotten {
        /// The master's address.
        address: String,
        /// What it once called us.
        application: ApplicationId,
    },
    /// The master ended the application.
    #[error("the application is {state}: {reason}")]
    Ended {
        /// A final state.
        state: ApplicationState,
        /// For people.
        reason: String,
    },
    /// Somebody cancelled it.
    #[error("cancelled: {0}")]
    Cancelled(String),
}

fn times(count: u32) -> String {
    match count {
        1 => "once".into(),
        2 => "twice".into(),
        count => format!("{count} times"),
    }
}
