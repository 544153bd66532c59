//! What an executor's shell is told before it starts.

use crate::machine::ExecutorOptions;
use hearth_blocks::FetchOptions;
use hearth_core::{
    bootstrap::{ExecutorBootstrap, LocalDir},
    conf::{Conf, ConfError, keys},
    memory::pool_bytes,
    messages::worker::Address,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Everything that an executor needs to know, out of its bootstrap.
#[derive(Clone, Debug)]
pub struct ShellOptions {
    /// What its machine is told.
    pub machine: ExecutorOptions,
    /// Where the application's map outputs go on this machine.
    pub shuffle_dir: PathBuf,
    /// The executor's own directory. It spills to `tmp` in it, and keeps in `blocks` what it serves itself.
    pub work_dir: PathBuf,
    /// Directories on other disks that take the place of these two for outputs and spills.
    pub local_dirs: Vec<LocalDir>,
    /// Bytes that stay free on a disk; see [`keys::DISK_RESERVE`].
    pub disk_reserve: u64,
    /// Who serves `shuffle_dir`; port 0 is nobody.
    pub block_service: Address,
    /// Whether the executor serves its outputs itself: `spark.shuffle.service.enabled` is off, and this is not local mode,
    /// where outputs are read from their files.
    pub serve: bool,
    /// Bytes of the memory pool that its tasks share.
    pub memory_bytes: usize,
    /// How it fetches blocks.
    pub fetch: FetchOptions,
}

impl ShellOptions {
    /// Out of what a worker says; fails when the configuration has a value that is none.
    pub fn from_bootstrap(bootstrap: ExecutorBootstrap) -> Result<Self, ConfError> {
        let ExecutorBootstrap { application, executor, worker, host, resources, block_service, .. } = bootstrap;
        let conf = Conf::from_pairs(&bootstrap.conf)?;
        let machine = ExecutorOptions {
            application,
            executor,
            worker,
            host: host.clone(),
            cores: resources.cores,
            heartbeat_interval: conf.get(&keys::EXECUTOR_HEARTBEAT_INTERVAL),
            driver_timeout: conf.get(&keys::EXECUTOR_DRIVER_TIMEOUT),
            ..ExecutorOptions::default()
        };
        let fetch = FetchOptions {
            host,
            local_read: conf.get(&keys::SHUFFLE_LOCAL_READ),
            max_in_flight: conf.get(&keys::REDUCER_MAX_SIZE_IN_FLIGHT),
            max_retries: conf.get(&keys::SHUFFLE_IO_MAX_RETRIES),
            retry_wait: conf.get(&keys::SHUFFLE_IO_RETRY_WAIT),
            idle_timeout: conf.get(&keys::NETWORK_TIMEOUT),
        };
        Ok(Self {
            machine,
            shuffle_dir: bootstrap.shuffle_dir,
            work_dir: bootstrap.work_dir,
            local_dirs: bootstrap.local_dirs,
            disk_reserve: conf.get(&keys::DISK_RESERVE),
            serve: !conf.get(&keys::SHUFFLE_SERVICE_ENABLED) && block_service.port != 0,
            block_service,
            memory_bytes: pool_bytes(resources.memory_mib),
            fetch,
        })
    }

    /// Where outputs are written: the first of all directories for them.
    pub(super) fn output_dir(&self) -> PathBuf {
        self.output_dirs().swap_remove(0)
    }

    /// The directories that outputs are spread over.
    pub(super) fn output_dirs(&self) -> Vec<PathBuf> {
        let dir = |shuffle: &Path, work: &Path| if self.serve { work.join("blocks") } else { shuffle.to_owned() };
        match &self.local_dirs[..] {
            [] => vec![dir(&self.shuffle_dir, &self.work_dir)],
            dirs => dirs.iter().map(|of| dir(&of.shuffle, &of.work)).collect(),
        }
    }

    /// The directories that operators spill to.
    pub(super) fn spill_dirs(&self) -> Vec<PathBuf> {
        match &self.local_dirs[..] {
            [] => vec![self.work_dir.join("tmp")],
            dirs => dirs.iter().map(|of| of.work.join("tmp")).collect(),
        }
    }
}

/// How a gRPC connection finds out that the driver is gone: it pings, and gives up when no answer comes. Later than a cut that
/// passes, and so early that another connection can be tried before the driver is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeepAlive {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

impl KeepAlive {
    pub(super) fn of(options: &ExecutorOptions) -> Self {
        Self { interval: options.probe(), timeout: options.driver_timeout * 3 / 5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_core::Resources;

    fn bootstrap(conf: &[(&str, &str)], port: u16) -> ExecutorBootstrap {
        ExecutorBootstrap {
            application: "app-1".parse().unwrap(),
            executor: hearth_core::ExecutorId(3),
            worker: "worker-1".parse().unwrap(),
            host: "127.0.0.1".into(),
            resources: Resources::new(2, 1024),
            driver_url: "http://127.0.0.1:1".into(),
            block_service: Address { host: "127.0.0.1".into(), port },
            shuffle_dir: "/srv/app-1/shuffle".into(),
            work_dir: "/srv/app-1/3".into(),
            local_dirs: Vec::new(),
            conf: conf.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        }
    }

    #[test]
    fn outputs_go_where_somebody_serves_them() {
        let options = |conf: &[(&str, &str)], port| ShellOptions::from_bootstrap(bootstrap(conf, port)).unwrap();
        let service = options(&[], 7000);
        assert!(!service.serve);
        assert_eq!(service.output_dir(), PathBuf::from("/srv/app-1/shuffle"));
        let own = options(&[("spark.shuffle.service.enabled", "false")], 7000);
        assert!(own.serve);
        assert_eq!(own.output_dir(), PathBuf::from("/srv/app-1/3/blocks"));
        let local = options(&[("spark.shuffle.service.enabled", "false")], 0);
        assert!(!local.serve, "local mode has no servers");
        assert_eq!(local.spill_dirs(), [PathBuf::from("/srv/app-1/3/tmp")]);
        let of = |root: &str| LocalDir {
            shuffle: format!("{root}/app-1/shuffle").into(),
            work: format!("{root}/app-1/3").into(),
        };
        let local_dirs = vec![of("/d1"), of("/d2")];
        let spread = ShellOptions::from_bootstrap(ExecutorBootstrap { local_dirs, ..bootstrap(&[], 7000) }).unwrap();
        assert_eq!(spread.output_dirs(), ["/d1/app-1/shuffle", "/d2/app-1/shuffle"].map(PathBuf::from));
        assert_eq!(spread.spill_dirs(), ["/d1/app-1/3/tmp", "/d2/app-1/3/tmp"].map(PathBuf::from));
    }

    #[test]
    fn the_configuration_reaches_the_machine_and_the_fetcher() {
        let conf = [
            ("hearth.executor.driverTimeout", "3s"),
            ("hearth.shuffle.localRead", "false"),
            ("spark.reducer.maxSizeInFlight", "1m"),
        ];
        let options = ShellOptions::from_bootstrap(bootstrap(&conf, 7000)).unwrap();
        assert_eq!(options.machine.driver_timeout, Duration::from_secs(3));
        assert_eq!((options.machine.cores, options.machine.host.as_str()), (2, "127.0.0.1"));
        assert!(!options.fetch.local_read);
        assert_eq!(options.fetch.max_in_flight, 1 << 20);
        let error = ShellOptions::from_bootstrap(bootstrap(&[("hearth.shuffle.localRead", "maybe")], 1)).unwrap_err();
        assert!(error.to_string().starts_with("hearth.shuffle.localRead=\"maybe\""), "{error}");
    }

    #[test]
    fn a_silent_driver_is_left_when_the_timeout_says() {
        let options = ExecutorOptions::default();
        let KeepAlive { interval, timeout } = KeepAlive::of(&options);
        assert!(timeout > Duration::from_secs(10), "a cut of ten seconds passes");
        assert!(interval + timeout < options.driver_timeout, "another connection is tried");
    }
}
