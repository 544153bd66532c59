//! Between a worker and the master.

use crate::{ApplicationId, ExecutorId, ExecutorState, Labels, Refusal, Resources, WorkerId};
use std::collections::BTreeMap;

/// Where a server of blocks listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Address {
    /// A host name or address.
    pub host: String,
    /// A port.
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// An executor that lives on a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveExecutor {
    /// Its application.
    pub application: ApplicationId,
    /// Its id in the application.
    pub executor: ExecutorId,
    /// What it was granted.
    pub resources: Resources,
    /// `LAUNCHING` or `RUNNING`.
    pub state: ExecutorState,
}

/// What a worker says when its link opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRegistration {
    /// The version of its binary.
    pub version: String,
    /// Its id, kept in its working directory.
    pub worker: WorkerId,
    /// Its machine, and the port of its block service: the address that only one living worker may have.
    pub address: Address,
    /// What it offers in all.
    pub resources: Resources,
    /// What it says about itself.
    pub labels: Labels,
    /// Its children that still live, on a registration after the first.
    pub executors: Vec<LiveExecutor>,
}

/// From a worker to the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerUp {
    /// The first message of every link.
    Register(WorkerRegistration),
    /// Still here.
    Heartbeat,
    /// One of its executors changed its state.
    ExecutorChanged {
        /// Its application.
        application: ApplicationId,
        /// Its id.
        executor: ExecutorId,
        /// The new state.
        state: ExecutorState,
        /// For people: why, with the tail of its log when it failed.
        message: String,
        /// Its exit code, or 128 and the signal's number, once it is over.
        exit_code: Option<i32>,
    },
    /// It leaves; its executors are being killed.
    Leaving {
        /// For people.
        reason: String,
    },
}

/// What a worker needs to start an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorLaunch {
    /// Its application.
    pub application: ApplicationId,
    /// Its id.
    pub executor: ExecutorId,
    /// What it may use.
    pub resources: Resources,
    /// The driver's TaskLink: `http://host:port`.
    pub driver_url: String,
    /// The application's configuration, as far as executors need it.
    pub conf: BTreeMap<String, String>,
}

/// From the master to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerDown {
    /// The registration is taken.
    Registered {
        /// The master's term; a lower one than before is refused.
        term: u64,
        /// How often to send heartbeats, in milliseconds.
        heartbeat_millis: u64,
    },
    /// The registration is refused.
    Refused(Refusal),
    /// The master has dropped this worker: register anew.
    Reregister,
    /// Start an executor.
    LaunchExecutor(ExecutorLaunch),
    /// End an executor. One that is not there is reported `KILLED`.
    KillExecutor {
        /// Its application.
        application: ApplicationId,
        /// Its id.
        executor: ExecutorId,
        /// For people.
        reason: String,
    },
    /// The application is over: remove its shuffle files and keep its logs.
    ApplicationFinished {
        /// Which.
        application: ApplicationId,
    },
}
