//! Between a driver and the master.

use crate::{ApplicationId, ApplicationState, ExecutorId, ExecutorState, Refusal, Resources, WorkerId};
use std::collections::BTreeMap;

/// What an application asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationSpec {
    /// The version of the driver's binary.
    pub version: String,
    /// For people.
    pub name: String,
    /// Who runs it.
    pub user: String,
    /// The driver's TaskLink: `http://host:port`.
    pub driver_url: String,
    /// Cores of one executor; unset means one executor a worker that grows core by core.
    pub cores_per_executor: Option<u32>,
    /// Memory of one executor.
    pub memory_per_executor_mib: u64,
    /// `spark.cores.max`: cores it may hold in all.
    pub max_cores: Option<u32>,
    /// Executors it may hold in all; unset means no limit.
    pub max_executors: Option<u32>,
    /// Configuration that its executors get.
    pub conf: BTreeMap<String, String>,
}

/// From a driver to the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppUp {
    /// The first message of a new application.
    Register(ApplicationSpec),
    /// The first message on a new link of an application that the master may still know.
    Reconnect {
        /// Which.
        application: ApplicationId,
        /// The executors it still has.
        executors: Vec<ExecutorId>,
        /// What it asked for.
        spec: ApplicationSpec,
    },
    /// Another limit on executors; a lowered one kills nothing.
    LimitExecutors {
        /// `None` is no limit.
        max_executors: Option<u32>,
    },
    /// These executors are not wanted any more.
    KillExecutors {
        /// Which.
        executors: Vec<ExecutorId>,
        /// For people.
        reason: String,
    },
    /// The last message: the application is over.
    Unregister {
        /// A final state.
        state: ApplicationState,
        /// For people.
        message: String,
    },
    /// Still here.
    Heartbeat,
}

/// An executor that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorGrant {
    /// Its id.
    pub executor: ExecutorId,
    /// Where it runs.
    pub worker: WorkerId,
    /// That worker's host.
    pub host: String,
    /// What it may use.
    pub resources: Resources,
}

/// From the master to a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppDown {
    /// The registration is taken.
    Registered {
        /// The application's id.
        application: ApplicationId,
        /// The master's term.
        term: u64,
    },
    /// The registration is refused.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The master's term: the word of one that was replaced counts for nothing.
        term: u64,
    },
    /// An executor is being launched.
    ExecutorGranted(ExecutorGrant),
    /// An executor changed its state.
    ExecutorChanged {
        /// Which.
        executor: ExecutorId,
        /// The new state.
        state: ExecutorState,
        /// For people.
        message: String,
        /// Its exit code, once it is over.
        exit_code: Option<i32>,
    },
    /// A worker is gone, with all that it served.
    WorkerRemoved {
        /// Which.
        worker: WorkerId,
        /// For people.
        reason: String,
    },
    /// Why nothing (more) is granted: at once when it starts to wait, then once a minute.
    Waiting {
        /// For people: what it waits for, what is free, who holds the rest.
        reason: String,
    },
    /// The master has ended the application.
    Ended {
        /// A final state.
        state: ApplicationState,
        /// For people.
        reason: String,
    },
}
