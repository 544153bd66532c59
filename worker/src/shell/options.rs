//! What a worker is told before it starts.

use super::WorkerError;
use hearth_core::{
    Labels, Resources,
    conf::{Conf, keys},
    messages::worker::Address,
};
use std::{path::PathBuf, thread, time::Duration};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// The least that a worker offers, however small its machine: one executor of the default size.
const LEAST_MIB: u64 = 1024;

/// What a worker is told before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerOptions {
    /// What others call this machine, and where its block service listens unless `bind` says otherwise. Loopback only.
    pub host: String,
    /// Where its block service listens, when others reach it by another address. Loopback only.
    pub bind: Option<String>,
    /// The block service's port; 0 takes a free one.
    pub port: u16,
    /// What it offers in all.
    pub resources: Resources,
    /// What it says about itself.
    pub labels: Labels,
    /// Its directory: logs, shuffle files and scratch of its executors, and its id. Created when it is not there.
    pub work_dir: PathBuf,
    /// Where shuffle files and scratch go instead, spread over these; none keeps them in `work_dir`. Each gets a directory of
    /// this worker's.
    pub local_dirs: Vec<PathBuf>,
    /// How long the directory of an application that is over stays after its last change.
    pub app_data_ttl: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self::from_conf(&Conf::new())
    }
}

impl WorkerOptions {
    /// All of this machine but what the configuration reserves, on a free port of 127.0.0.1, in `./work`.
    pub fn from_conf(conf: &Conf) -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            bind: None,
            port: 0,
            resources: machine_resources(conf.get(&keys::WORKER_MEMORY_RESERVE)),
            labels: Labels::new(),
            work_dir: "work".into(),
            local_dirs: Vec::new(),
            app_data_ttl: conf.get(&keys::WORKER_CLEANUP_APP_DATA_TTL),
        }
    }

    pub(super) fn validate(&self) -> Result<(), WorkerError> {
        for host in [Some(&self.host), self.bind.as_ref()].into_iter().flatten() {
            if !Address::is_loopback(host) {
                return Err(WorkerError::NotLoopback { host: host.clone() });
            }
        }
        if !self.resources.fits(&Resources::new(1, 1)) {
            return Err(WorkerError::NoResources(self.resources));
        }
        Ok(())
    }
}

/// What this machine has for executors: the cores that this process may use, and the memory, of the machine or of this
/// process's control group, without a reserve for the system; 1 GiB at least.
fn machine_resources(reserve_mib: u64) -> Resources {
    let cores = thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let bytes = match System::new_with_specifics(memory) {
        Ok(system) => {
            let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
            system.total_memory().min(limit)
        }
        Err(error) => {
            tracing::warn!(%error, "this machine's memory is not known; see --memory");
            0
        }
    };
    Resources::new(cores, offered_mib(bytes, reserve_mib))
}

fn offered_mib(bytes: u64, reserve_mib: u64) -> u64 {
    (bytes >> 20).saturating_sub(reserve_mib).max(LEAST_MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(host: &str, cores: u32) -> WorkerOptions {
        WorkerOptions { host: host.into(), resources: Resources::new(cores, 1024), ..WorkerOptions::default() }
    }

    #[test]
    fn memory_leaves_the_reserve_and_offers_a_gibibyte_at_least() {
        assert_eq!(offered_mib(8 << 30, 1024), 7 * 1024);
        assert_eq!(offered_mib(8 << 30, 4096), 4 * 1024);
        assert_eq!(offered_mib(1 << 30, 1024), 1024);
        assert_eq!(offered_mib(0, 1024), 1024);
        let here = WorkerOptions::default().resources;
        assert!(here.cores >= 1 && here.memory_mib >= 1024, "{here}");
    }

    #[test]
    fn only_loopback_is_served() {
        for host in ["127.0.0.1", "127.8.8.8", "::1", "localhost"] {
            assert!(options(host, 1).validate().is_ok(), "{host}");
        }
        for host in ["0.0.0.0", "::", "192.168.1.2", "node7", ""] {
            let error = options(host, 1).validate().unwrap_err().to_string();
            assert!(error.starts_with(&format!("cannot listen on {host:?}: nothing is authenticated yet")), "{error}");
        }
    }

    #[test]
    fn a_worker_must_offer_something() {
        let error = options("::1", 0).validate().unwrap_err().to_string();
        assert_eq!(error, "a worker needs at least 1 core and 1 MiB, not 0 cores, 1024 MiB; see --cores and --memory");
    }
}
