//! What a driver's shell is told before it starts.

use super::Error;
use crate::machine::{DriverOptions, Exclusion, Pools, Speculation};
use hearth_core::{
    conf::{Conf, keys},
    link::Dial,
    messages::application::{AppDown, AppUp},
};
use std::sync::Arc;

/// What a driver's shell is told before it starts.
#[derive(Clone, Debug)]
pub struct ShellOptions {
    /// For the machine. The shell fills in the master's address and, when it listens, the driver's URL.
    pub driver: DriverOptions,
    /// Where executors reach the driver; a loopback address.
    pub host: String,
    /// Where it listens, when that is not `host`; a loopback address too.
    pub bind: Option<String>,
    /// The port that they reach it on: 0 takes a free one; `None` listens nowhere, for executors of this process only.
    pub port: Option<u16>,
    /// Who opens links to the master; `None` when there is no master and executors come by themselves.
    pub dial: Option<Arc<dyn Dial<AppDown, AppUp>>>,
}

impl Default for ShellOptions {
    fn default() -> Self {
        Self { driver: DriverOptions::default(), host: "127.0.0.1".into(), bind: None, port: Some(0), dial: None }
    }
}

impl ShellOptions {
    /// As configured; without a master.
    pub fn from_conf(conf: &Conf) -> Result<Self, Error> {
        let mut driver = DriverOptions {
            task_max_failures: conf.get(&keys::TASK_MAX_FAILURES),
            speculation: conf.get(&keys::SPECULATION).then(|| speculation(conf)),
            exclusion: conf.get(&keys::EXCLUDE_ON_FAILURE).then(|| exclusion(conf)),
            pools: Pools::from_conf(conf)?,
            stage_max_attempts: conf.get(&keys::STAGE_MAX_CONSECUTIVE_ATTEMPTS),
            network_timeout: conf.get(&keys::NETWORK_TIMEOUT),
            executor_grace: conf.get(&keys::JOB_EXECUTOR_GRACE),
            reap_timeout: conf.get(&keys::TASK_REAP_TIMEOUT),
            ..DriverOptions::default()
        };
        let spec = &mut driver.spec;
        spec.name = conf.get(&keys::APP_NAME);
        spec.cores_per_executor = conf.get(&keys::EXECUTOR_CORES);
        spec.memory_per_executor_mib = conf.get(&keys::EXECUTOR_MEMORY);
        spec.max_cores = conf.get(&keys::CORES_MAX);
        spec.max_executors = conf.get(&keys::EXECUTOR_INSTANCES);
        // Whoever starts executors needs no credentials; tasks that do have them in their payload.
        spec.conf = conf.public_pairs();
        Ok(Self {
            driver,
            host: conf.get(&keys::DRIVER_HOST),
            bind: conf.get(&keys::DRIVER_BIND_ADDRESS),
            port: Some(conf.get(&keys::DRIVER_PORT)),
            dial: None,
        })
    }
}

fn speculation(conf: &Conf) -> Speculation {
    Speculation {
        interval: conf.get(&keys::SPECULATION_INTERVAL),
        multiplier_thousandths: conf.get(&keys::SPECULATION_MULTIPLIER),
        quantile_thousandths: conf.get(&keys::SPECULATION_QUANTILE),
        min_runtime: conf.get(&keys::SPECULATION_MIN_TASK_RUNTIME),
    }
}

fn exclusion(conf: &Conf) -> Exclusion {
    Exclusion {
        timeout: conf.get(&keys::EXCLUDE_TIMEOUT),
        task_per_executor: conf.get(&keys::EXCLUDE_TASK_PER_EXECUTOR),
        task_per_node: conf.get(&keys::EXCLUDE_TASK_PER_NODE),
        stage_per_executor: conf.get(&keys::EXCLUDE_STAGE_PER_EXECUTOR),
        stage_per_node: conf.get(&keys::EXCLUDE_STAGE_PER_NODE),
        application_per_executor: conf.get(&keys::EXCLUDE_APPLICATION_PER_EXECUTOR),
        application_per_node: conf.get(&keys::EXCLUDE_APPLICATION_PER_NODE),
        unschedulable_timeout: conf.get(&keys::EXCLUDE_UNSCHEDULABLE_TIMEOUT),
    }
}
