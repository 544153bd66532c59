//! Why a job failed: one clear error each, for people.

use hearth_core::{ApplicationState, ExecutorId, Refusal, StageId, messages::task::TaskFailure, stage::BadGraph};

/// Why a job failed.
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
        "task {partition} of stage {stage} ({name}) failed {attempts} times, which is the limit (spark.task.maxFailures); the last time on executor {executor} at {host}: {failure}"
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
    /// One stage could not read its input too often in a row.
    #[error(
        "stage {stage} ({name}) could not read its input in {attempts} attempts in a row, which is the limit (spark.stage.maxConsecutiveAttempts); the last time: {failure}"
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
        "an output of stage {stage} ({name}) was lost; run again it may give other rows, and results made from the first ones were already handed out; run the query again"
    )]
    Indeterminate {
        /// Which stage.
        stage: StageId,
        /// Its name.
        name: String,
    },
    /// Every executor is gone, and nobody gives another.
    #[error("every executor of the application is gone, and there was no other for {seconds} s: {reason}")]
    NoExecutors {
        /// How long the driver waited.
        seconds: u64,
        /// What the master says, or that it cannot be reached.
        reason: String,
    },
    /// No master.
    #[error("no master at {address}: {reason} (tried {tries} times); is it running, and is the address right?")]
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
