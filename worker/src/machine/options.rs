//! What the machine is told before it begins.

use hearth_core::{Labels, Resources, WorkerId, messages::VERSION};
use std::time::Duration;

/// What the machine is told before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerOptions {
    /// Its id.
    pub worker: WorkerId,
    /// The version of its binary.
    pub version: String,
    /// Its machine.
    pub host: String,
    /// Where its block service is to listen; 0 takes a free port.
    pub port: u16,
    /// What it offers in all.
    pub resources: Resources,
    /// What it says about itself.
    pub labels: Labels,
    /// How long a child has between SIGTERM and SIGKILL.
    pub kill_grace: Duration,
    /// How long the master has to answer a registration.
    pub registration_timeout: Duration,
    /// How often the block service may die in a row before the worker gives up.
    pub block_service_deaths: u32,
    /// How long a block service must have run for its death not to count as one more in a row.
    pub block_service_settled: Duration,
    /// How long the directory of an application that is over stays after its last change.
    pub app_data_ttl: Duration,
}

impl WorkerOptions {
    /// A worker of this id on this machine, with the specification's figures and no labels.
    pub fn new(worker: WorkerId, host: impl Into<String>, resources: Resources) -> Self {
        Self { worker, host: host.into(), resources, ..Self::default() }
    }
}

impl Default for WorkerOptions {
    /// The specification's figures, for a worker that has no name, address or resources yet.
    fn default() -> Self {
        Self {
            worker: "worker".parse().expect("a well-formed id"),
            version: VERSION.to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 0,
            resources: Resources::default(),
            labels: Labels::new(),
            kill_grace: Duration::from_secs(5),
            // A master that leads answers in milliseconds; one that syncs a slow disk in seconds.
            registration_timeout: Duration::from_secs(10),
            // With the delays between them about 40 s: longer than a machine that is short of memory for a moment needs.
            block_service_deaths: 10,
            block_service_settled: Duration::from_secs(30),
            app_data_ttl: Duration::from_secs(7 * 24 * 3600),
        }
    }
}
