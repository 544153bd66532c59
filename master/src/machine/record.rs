//! What the master keeps on disk: everything it has promised to somebody.
//!
//! Records have fields of their own instead of the messages', so that the messages may change without changing what
//! old journals mean.

use hearth_core::messages::{
    application::ApplicationSpec,
    worker::{Address, WorkerRegistration},
};
use hearth_core::{ApplicationId, ApplicationState, ExecutorId, Labels, Resources, WallTime, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A journal record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// A worker was told that it is registered.
    WorkerRegistered {
        /// Which.
        worker: WorkerId,
        /// Its block service.
        address: Address,
        /// What it offers.
        resources: Resources,
        /// What it says about itself.
        labels: Labels,
    },
    /// A worker was given up: drivers are told that its executors are lost.
    WorkerRemoved {
        /// Which.
        worker: WorkerId,
        /// For people.
        reason: String,
    },
    /// A driver was told its application's id.
    ApplicationRegistered {
        /// Its id.
        application: ApplicationId,
        /// The counter in the id: the next one is higher.
        counter: u32,
        /// When.
        submitted: WallTime,
        /// What it asked for.
        asked: Asked,
    },
    /// An application is over: its workers are told to forget it.
    ApplicationEnded {
        /// Which.
        application: ApplicationId,
        /// How.
        state: ApplicationState,
        /// For people.
        message: String,
    },
    /// An executor was granted: its id is never used again.
    ExecutorGranted {
        /// Its application.
        application: ApplicationId,
        /// Its id.
        executor: ExecutorId,
        /// Where.
        worker: WorkerId,
        /// What it holds.
        resources: Resources,
    },
}

/// What an application asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// Who runs it.
    pub user: String,
    /// Its driver's TaskLink.
    pub driver_url: String,
    /// Cores of one executor.
    pub cores_per_executor: Option<u32>,
    /// Memory of one executor.
    pub memory_per_executor_mib: u64,
    /// Its cap on cores.
    pub max_cores: Option<u32>,
    /// Its limit on executors.
    pub max_executors: Option<u32>,
    /// Configuration of its executors.
    pub conf: BTreeMap<String, String>,
}

impl From<&ApplicationSpec> for Asked {
    fn from(spec: &ApplicationSpec) -> Self {
        Self {
            name: spec.name.clone(),
            user: spec.user.clone(),
            driver_url: spec.driver_url.clone(),
            cores_per_executor: spec.cores_per_executor,
            memory_per_executor_mib: spec.memory_per_executor_mib,
            max_cores: spec.max_cores,
            max_executors: spec.max_executors,
            conf: spec.conf.clone(),
        }
    }
}

impl Record {
    pub(super) fn worker_registered(registration: &WorkerRegistration) -> Self {
        Self::WorkerRegistered {
            worker: registration.worker.clone(),
            address: registration.address.clone(),
            resources: registration.resources,
            labels: registration.labels.clone(),
        }
    }
}
