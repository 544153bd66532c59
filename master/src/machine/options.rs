//! What a master is told when it is made.

use hearth_core::conf::{Conf, keys};
use std::time::Duration;

/// Options of the master's machine. The defaults are the documented ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterOptions {
    /// The URL by which workers and drivers know this master.
    pub url: String,
    /// The number of this master's reign; peers refuse one lower than what they have seen.
    pub term: u64,
    /// Whether executors are spread over workers, or packed onto few (`spark.deploy.spreadOutApps`).
    pub spread_out: bool,
    /// The cap on cores of an application that names none; `None` is no cap (`spark.deploy.defaultCores`).
    pub default_cores: Option<u32>,
    /// A worker that is silent for this long is dead (`spark.worker.timeout`).
    pub worker_timeout: Duration,
    /// How often workers are told to send heartbeats: four fit into the timeout, so that a lost one means nothing.
    pub heartbeat: Duration,
    /// A worker whose link broke has this long to come back with its executors before it is dead. Long enough for a
    /// dropped connection to be dialed again, short enough that a dead machine counts as noticed at once.
    pub worker_link_grace: Duration,
    /// A driver whose link broke has this long to come back before its application is over.
    pub driver_grace: Duration,
    /// Executors of one application that may fail in a row before it is ended (`spark.deploy.maxExecutorRetries`).
    pub max_executor_retries: u32,
    /// An executor that ran for this long was no failed start: it breaks such a row.
    pub executor_settled: Duration,
    /// Applications that are over and still shown (`spark.deploy.retainedApplications`).
    pub retained_applications: usize,
    /// Dead workers that are still shown.
    pub retained_dead_workers: usize,
    /// How often an application that waits is told why.
    pub waiting_log_period: Duration,
    /// Living workers a master takes: a heartbeat every 15 s from each stays below a thousand messages a second.
    pub max_workers: usize,
    /// Applications at a time: each has a driver with an open stream.
    pub max_applications: usize,
    /// Executors of one application: a burst of grants, each with its first change of state, has to fit into the queue
    /// of a driver's link (4096 messages), or the driver would be cut off for reading too slowly.
    pub max_executors_per_application: u32,
}

/// Heartbeats that fit into a worker's timeout.
const HEARTBEATS: u32 = 4;

impl MasterOptions {
    /// The options that a configuration sets; URL and term are for whoever starts the master to fill in.
    pub fn from_conf(conf: &Conf) -> Self {
        let worker_timeout = conf.get(&keys::WORKER_TIMEOUT);
        Self {
            spread_out: conf.get(&keys::DEPLOY_SPREAD_OUT_APPS),
            default_cores: conf.get(&keys::DEPLOY_DEFAULT_CORES),
            worker_timeout,
            heartbeat: worker_timeout / HEARTBEATS,
            driver_grace: conf.get(&keys::DEPLOY_DRIVER_GRACE),
            max_executor_retries: conf.get(&keys::DEPLOY_MAX_EXECUTOR_RETRIES),
            retained_applications: usize::try_from(conf.get(&keys::DEPLOY_RETAINED_APPLICATIONS)).unwrap_or(usize::MAX),
            ..Self::default()
        }
    }
}

impl Default for MasterOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            term: 1,
            spread_out: true,
            default_cores: None,
            worker_timeout: Duration::from_secs(60),
            heartbeat: Duration::from_secs(15),
            worker_link_grace: Duration::from_secs(2),
            driver_grace: Duration::from_secs(10),
            max_executor_retries: 10,
            executor_settled: Duration::from_secs(10),
            retained_applications: 200,
            retained_dead_workers: 100,
            waiting_log_period: Duration::from_secs(60),
            max_workers: 10_000,
            max_applications: 5_000,
            max_executors_per_application: 2_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_configuration_gives_the_defaults_and_a_full_one_is_obeyed() {
        assert_eq!(MasterOptions::from_conf(&Conf::new()), MasterOptions::default());
        let conf = Conf::from_pairs([
            ("spark.worker.timeout", "20"),
            ("spark.deploy.spreadOutApps", "false"),
            ("spark.deploy.defaultCores", "3"),
            ("spark.deploy.maxExecutorRetries", "2"),
            ("spark.deploy.retainedApplications", "7"),
            ("hearth.deploy.driverGrace", "1s"),
        ]);
        let expected = MasterOptions {
            spread_out: false,
            default_cores: Some(3),
            worker_timeout: Duration::from_secs(20),
            heartbeat: Duration::from_secs(5),
            driver_grace: Duration::from_secs(1),
            max_executor_retries: 2,
            retained_applications: 7,
            ..MasterOptions::default()
        };
        assert_eq!(MasterOptions::from_conf(&conf.unwrap()), expected);
    }
}
