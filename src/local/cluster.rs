//! `local-cluster[W,C,M]`: a cluster of one's own, whose executors and block services are real processes.

use super::Spread;
use crate::Error;
use hearth_core::{Resources, conf::Conf, messages::worker::Address};
use hearth_master::{
    machine::MasterOptions,
    shell::{MasterHandle, MasterServiceOptions, start},
};
use hearth_worker::shell::{GrpcDial, ProcessLauncher, ProcessOptions, Worker, WorkerHandle, WorkerOptions};
use std::{path::Path, sync::Arc};

/// A master and workers on free loopback ports. Dropping it kills the workers' children.
#[derive(Debug)]
pub(crate) struct ClusterOfOurOwn {
    master: MasterHandle,
    workers: Vec<WorkerHandle>,
    /// Goes after the workers, which still use it.
    _spread: Spread,
    /// Where the master listens.
    pub(crate) address: Address,
    /// Cores of all workers.
    pub(crate) cores: u32,
    /// Cores of each.
    pub(crate) cores_each: u32,
}

impl ClusterOfOurOwn {
    /// Starts `workers` workers with `each` to give, in `dir`, and waits until all are registered.
    pub(crate) async fn start(conf: &Conf, workers: u32, each: Resources, dir: &Path) -> Result<Self, Error> {
        let machine = MasterOptions::from_conf(conf);
        let options = MasterServiceOptions { port: 0, webui_port: 0, machine, ..MasterServiceOptions::default() };
        let master = start(options).await?;
        let address = Address { host: "127.0.0.1".into(), port: master.port().unwrap_or_default() };
        let program = std::env::current_exe().map_err(Error::Program)?;
        let cores = workers.saturating_mul(each.cores);
        let spread = Spread::make(conf)?;
        let local_dirs = spread.paths();
        let started = Vec::new();
        let mut cluster = Self { master, workers: started, _spread: spread, address, cores, cores_each: each.cores };
        for place in 0..workers {
            let mut options = WorkerOptions::from_conf(conf);
            options.resources = each;
            options.work_dir = dir.join(format!("worker-{place}"));
            options.local_dirs.clone_from(&local_dirs);
            let dial = GrpcDial::new(vec![cluster.address.clone()]);
            let launcher = ProcessLauncher::new(ProcessOptions::from_conf(program.clone(), conf));
            cluster.workers.push(Worker::start(options, Arc::new(dial), Arc::new(launcher))?);
        }
        for worker in &mut cluster.workers {
            super::registered(worker).await?;
        }
        Ok(cluster)
    }

    /// Ends the workers' children, the workers and the master.
    pub(crate) async fn stop(mut self) {
        for worker in &self.workers {
            worker.stop("the application is over");
        }
        for worker in &mut self.workers {
            worker.wait().await;
        }
        self.master.shutdown().await;
    }
}
