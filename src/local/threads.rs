//! `local[N]`: all roles in this process.

use super::{Spread, dial::InProcess, launcher::LocalLauncher};
use crate::Error;
use hearth_core::{
    Resources,
    conf::Conf,
    messages::application::{AppDown, AppUp},
};
use hearth_driver::shell::DriverHandle;
use hearth_master::{
    machine::MasterOptions,
    shell::{MasterHandle, start_in_process},
};
use hearth_worker::shell::{Worker, WorkerHandle, WorkerOptions};
use std::{path::Path, sync::Arc};

/// A master and a worker whose executors are tasks of this process.
#[derive(Debug)]
pub(crate) struct Threads {
    master: MasterHandle,
    worker: WorkerHandle,
    launcher: Arc<LocalLauncher>,
    /// Goes after the worker, which still uses it.
    _spread: Spread,
    /// What the one executor gets: all of it.
    pub(crate) resources: Resources,
}

impl Threads {
    /// Starts them, with `cores` task slots (all of the machine's when not given), in `dir`.
    pub(crate) async fn start(conf: &Conf, cores: Option<u32>, dir: &Path) -> Result<Self, Error> {
        let master = start_in_process(MasterOptions { url: "local".into(), ..MasterOptions::from_conf(conf) });
        let mut options = WorkerOptions::from_conf(conf);
        options.resources.cores = cores.unwrap_or(options.resources.cores);
        options.work_dir = dir.join("work");
        let spread = Spread::make(conf)?;
        options.local_dirs = spread.paths();
        let resources = options.resources;
        let accepting = master.clone();
        let dial = InProcess::new("the master", move |link| accepting.accept_worker(link));
        let launcher = Arc::new(LocalLauncher::default());
        let mut worker = Worker::start(options, Arc::new(dial), Arc::clone(&launcher) as _)?;
        super::registered(&mut worker).await?;
        Ok(Self { master, worker, launcher, _spread: spread, resources })
    }

    /// How a driver in this process reaches the master.
    pub(crate) fn dial(&self) -> InProcess<AppDown, AppUp> {
        let accepting = self.master.clone();
        InProcess::new("the master", move |link| accepting.accept_application(link))
    }

    /// Names the driver that executors serve.
    pub(crate) fn serve(&self, driver: DriverHandle) {
        self.launcher.serve(driver);
    }

    /// Ends the executors, the worker and the master.
    pub(crate) async fn stop(mut self) {
        self.worker.stop("the application is over");
        self.worker.wait().await;
        self.master.shutdown().await;
    }
}
