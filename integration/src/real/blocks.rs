//! The ways that shuffle blocks took, by the logs of those who moved them.
//!
//! The cluster has to log them: [`TestCluster::start_logging_blocks`].

use super::{TestCluster, eventually};
use hearth_core::ApplicationId;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Bytes of an application's blocks, once it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Read by executors from files.
    pub from_files: u64,
    /// Read by executors over the network.
    pub over_network: u64,
    /// Of those, what other executors had read before.
    pub from_peers: u64,
    /// Served by block services.
    pub by_services: u64,
    /// Served by executors.
    pub by_executors: u64,
}

impl Traffic {
    /// Waits until all executors of an application have counted and every byte that one got another has served. So it
    /// is no good where a request broke.
    pub fn of(cluster: &TestCluster, application: &ApplicationId) -> Self {
        let workers = 0..cluster.workers.len();
        let services: Vec<_> = workers.clone().map(|w| service_log(cluster, w)).collect();
        let executors: Vec<_> = workers.flat_map(|w| executor_logs(&cluster.work_dir(w), application)).collect();
        assert!(!executors.is_empty(), "{application} had no executors");
        eventually("all bytes of blocks are accounted for", || {
            let mut counted = Self::default();
            for log in &executors {
                let end = lines(log, "blocks read by this executor").pop()?;
                counted.from_files += number(&end, "local_bytes");
                counted.over_network += number(&end, "remote_bytes");
                counted.from_peers += number(&end, "peer_bytes");
                counted.by_executors += served(log, application);
            }
            counted.by_services = services.iter().map(|log| served(log, application)).sum();
            (counted.by_services + counted.by_executors == counted.over_network).then_some(counted)
        })
    }
}

/// The log of a worker's block service; of all that it had, one after the other.
pub(super) fn service_log(cluster: &TestCluster, worker: usize) -> PathBuf {
    cluster.work_dir(worker).join("block-service/stderr")
}

/// The logs of an application's executors on one worker.
pub(super) fn executor_logs(work: &Path, application: &ApplicationId) -> Vec<PathBuf> {
    let dirs = fs::read_dir(work.join(application.as_str())).into_iter().flatten().flatten();
    dirs.map(|dir| dir.path().join("stderr")).filter(|log| log.exists()).collect()
}

/// The lines of a log that say this.
pub(super) fn lines(log: &Path, message: &str) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().filter(|line| line.contains(message)).map(str::to_owned).collect()
}

/// A field of a log line. A line without it is one that the test did not expect.
pub(super) fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let of = |word: &'a str| word.strip_prefix(name)?.strip_prefix('=');
    line.split(' ').find_map(of).unwrap_or_else(|| panic!("{name} is missing in {line:?}"))
}

fn number(line: &str, name: &str) -> u64 {
    field(line, name).parse().unwrap_or_else(|e| panic!("{name} in {line:?}: {e}"))
}

fn served(log: &Path, application: &ApplicationId) -> u64 {
    let all = lines(log, "served a request");
    all.iter().filter(|l| field(l, "application") == application.as_str()).map(|l| number(l, "bytes")).sum()
}

impl TestCluster {
    /// Bytes of blocks that a worker's block service has served.
    pub fn bytes_served(&self, worker: usize) -> u64 {
        lines(&service_log(self, worker), "served a request").iter().map(|line| number(line, "bytes")).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_line_are_found() {
        let line = "2026-01-01T00:00:00Z DEBUG hearth_blocks: served a request application=app-1 blocks=2 bytes=30";
        assert_eq!((field(line, "application"), number(line, "bytes")), ("app-1", 30));
    }
}
