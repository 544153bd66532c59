//! How to fetch.

use crate::machine::PlannerOptions;
use hearth_core::{
    conf::{Conf, keys},
    messages::{task::BlockLocation, worker::Address},
};
use std::{path::Path, time::Duration};

/// A server that says nothing for so long is not worth waiting for, when others have the same blocks.
const QUICK: Duration = Duration::from_secs(5);

/// How to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOptions {
    /// The name of this machine, as block locations have it.
    pub host: String,
    /// `hearth.shuffle.localRead`: read blocks of this machine from their files. Blocks that nobody serves are read from
    /// files anyway.
    pub local_read: bool,
    /// `spark.reducer.maxSizeInFlight`: bytes that one fetch may have asked for or hold, and the consumer has not taken;
    /// a single larger block goes alone.
    pub max_in_flight: u64,
    /// `spark.shuffle.io.maxRetries`: times that a broken request is tried again.
    pub max_retries: u32,
    /// `spark.shuffle.io.retryWait`: how long to wait before that; on loopback 100 ms at most.
    pub retry_wait: Duration,
    /// `spark.network.timeout`: a server that says nothing for so long has broken off.
    pub idle_timeout: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        let plan = PlannerOptions::default();
        Self {
            host: "127.0.0.1".into(),
            local_read: true,
            max_in_flight: plan.max_in_flight,
            max_retries: plan.max_retries,
            retry_wait: plan.retry_wait,
            idle_timeout: Duration::from_secs(120),
        }
    }
}

impl FetchOptions {
    /// What a configuration says, on the machine of this name.
    pub fn from_conf(host: impl Into<String>, conf: &Conf) -> Self {
        Self {
            host: host.into(),
            local_read: conf.get(&keys::SHUFFLE_LOCAL_READ),
            max_in_flight: conf.get(&keys::REDUCER_MAX_SIZE_IN_FLIGHT),
            max_retries: conf.get(&keys::SHUFFLE_IO_MAX_RETRIES),
            retry_wait: conf.get(&keys::SHUFFLE_IO_RETRY_WAIT),
            idle_timeout: conf.get(&keys::NETWORK_TIMEOUT),
        }
    }

    /// The same for servers of which others have the same blocks: what does not come at once is had elsewhere.
    #[must_use]
    pub fn once(self) -> Self {
        Self { max_retries: 0, idle_timeout: self.idle_timeout.min(QUICK), ..self }
    }

    /// Whether blocks of this location are read from their files: those of this machine, and those that nobody serves.
    pub(super) fn reads_files_of(&self, location: &BlockLocation) -> bool {
        let Address { host, port } = &location.address;
        let here = *host == self.host || Address::is_loopback(host) && Address::is_loopback(&self.host);
        // A relative path would be looked for in this process's own directory.
        (*port == 0 || self.local_read && here) && Path::new(&location.directory).is_absolute()
    }

    pub(super) fn planner(&self) -> PlannerOptions {
        let plan = PlannerOptions::default();
        PlannerOptions {
            max_in_flight: self.max_in_flight,
            max_retries: self.max_retries,
            retry_wait: self.retry_wait,
            loopback_retry_wait: self.retry_wait.min(plan.loopback_retry_wait),
            ..plan
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_configuration() {
        assert_eq!(FetchOptions::from_conf("127.0.0.1", &Conf::new()), FetchOptions::default());
    }

    #[test]
    fn a_configuration_is_heeded() {
        let pairs = [
            ("hearth.shuffle.localRead", "false"),
            ("spark.reducer.maxSizeInFlight", "1m"),
            ("spark.shuffle.io.maxRetries", "7"),
        ];
        let options = FetchOptions::from_conf("node-1", &Conf::from_pairs(pairs).unwrap());
        assert_eq!((options.local_read, options.max_in_flight, options.max_retries), (false, 1 << 20, 7));
        assert_eq!(options.host, "node-1");
    }
}
