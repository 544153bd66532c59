//! What people ask a master, and the snapshots they get. They are the shape of `hearth status --json` too.

use crate::{
    ApplicationId, ApplicationState, ExecutorId, ExecutorState, Labels, MasterState, Resources, WallTime, WorkerId,
    WorkerState,
};
use serde::{Deserialize, Serialize};

/// A worker in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerView {
    /// Its id.
    pub id: WorkerId,
    /// Its machine.
    pub host: String,
    /// Its block service's port.
    pub port: u16,
    /// Its state.
    pub state: WorkerState,
    /// What it offers in all.
    pub total: Resources,
    /// What its executors hold.
    pub used: Resources,
    /// What it says about itself.
    pub labels: Labels,
    /// Milliseconds since its last heartbeat.
    pub silent_millis: u64,
}

/// An executor in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorView {
    /// Its id.
    pub id: ExecutorId,
    /// Where it runs.
    pub worker: WorkerId,
    /// Its state.
    pub state: ExecutorState,
    /// What it holds.
    pub resources: Resources,
}

/// An application in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationView {
    /// Its id.
    pub id: ApplicationId,
    /// Its name.
    pub name: String,
    /// Who runs it.
    pub user: String,
    /// Its state.
    pub state: ApplicationState,
    /// When it was registered.
    pub submitted: WallTime,
    /// How long it has been running, or ran, in milliseconds.
    pub duration_millis: u64,
    /// Cores it holds.
    pub cores: u32,
    /// Memory of each of its executors.
    pub memory_per_executor_mib: u64,
    /// Its executors that are not over.
    pub executors: Vec<ExecutorView>,
    /// Why it has not all it asked for; nothing when it has.
    pub waiting: Option<String>,
    /// How it ended, when it said so.
    pub message: String,
}

/// The whole cluster in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// The master's URL.
    pub url: String,
    /// The master's version.
    pub version: String,
    /// The master's state.
    pub state: MasterState,
    /// Its workers, in the order of their ids.
    pub workers: Vec<WorkerView>,
    /// Applications that are not over, oldest first.
    pub active: Vec<ApplicationView>,
    /// Applications that are over, oldest first; as many as the master keeps.
    pub completed: Vec<ApplicationView>,
}
