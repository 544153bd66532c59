//! What the machine's effects do.

use super::{
    link::Links,
    seat::{ChildSeat, Kill, Launcher},
    work_dir::WorkDir,
};
use crate::machine::{Child, Effect, Event};
use hearth_core::{
    ApplicationId, Level, WorkerId,
    bootstrap::{BlocksBootstrap, ExecutorBootstrap},
    messages::worker::{Address, ExecutorLaunch},
    run::{Perform, Performed},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

/// Performs effects. Dropping it ends all links and kills all children.
pub(super) struct Performer {
    pub(super) worker: WorkerId,
    pub(super) host: String,
    /// Where the block service listens.
    pub(super) bind: String,
    pub(super) work_dir: Arc<WorkDir>,
    pub(super) launcher: Arc<dyn Launcher>,
    pub(super) links: Links,
    pub(super) events: mpsc::Sender<Event>,
    /// Where the block service listens. Executors are launched by a master, and that knows a worker only after its
    /// block service has listened.
    pub(super) block_port: Arc<AtomicU16>,
    /// What ends each child that may still live.
    pub(super) kills: BTreeMap<Child, mpsc::Sender<Kill>>,
    pub(super) exit: Option<oneshot::Sender<i32>>,
}

impl Perform<Effect> for Performer {
    fn perform(&mut self, effect: Effect) -> Performed {
        match effect {
            Effect::Dial => self.links.dial(),
            Effect::ToMaster { link, message } => self.links.say(link, message),
            Effect::CloseLink { link } => self.links.close(link),
            Effect::SpawnBlockService { port } => self.spawn_block_service(port),
            Effect::SpawnExecutor(launch) => self.spawn_executor(launch),
            Effect::Kill { child, hard } => self.kill(&child, if hard { Kill::Hard } else { Kill::Soft }),
            Effect::RemoveApplicationFiles { application } => self.remove_files(application),
            Effect::RemoveOldApplications { keep, unchanged_for } => self.remove_old(keep, unchanged_for),
            Effect::Log { level, text } => log(level, &text),
            Effect::Exit { code } => {
                if let Some(exit) = self.exit.take() {
                    // The handle may be gone; the worker still ends in order.
                    let _ = exit.send(code);
                }
                return Performed::Stopped;
            }
        }
        Performed::Done
    }
}

impl Performer {
    fn seat(&mut self, child: Child) -> ChildSeat {
        // Children come and go; what asked the dead to end goes now.
        self.kills.retain(|_, kill| !kill.is_closed());
        let port = (child == Child::BlockService).then(|| Arc::clone(&self.block_port));
        let (seat, kill) = ChildSeat::new(child.clone(), self.events.clone(), port);
        self.kills.insert(child, kill);
        seat
    }

    fn spawn_block_service(&mut self, port: u16) {
        let work_dir = self.work_dir.root().to_owned();
        let roots = self.work_dir.roots();
        let bootstrap = BlocksBootstrap { work_dir, roots, host: self.bind.clone(), port };
        let seat = self.seat(Child::BlockService);
        self.launcher.start_block_service(bootstrap, seat);
    }

    fn spawn_executor(&mut self, launch: ExecutorLaunch) {
        let ExecutorLaunch { application, executor, resources, driver_url, conf } = launch;
        let seat = self.seat(Child::Executor(application.clone(), executor));
        let (work_dir, launcher) = (Arc::clone(&self.work_dir), Arc::clone(&self.launcher));
        let (worker, host) = (self.worker.clone(), self.host.clone());
        let block_service = Address { host: host.clone(), port: self.block_port.load(Ordering::Relaxed) };
        tokio::spawn(async move {
            let id = application.clone();
            let dirs = match spawn_blocking(move || work_dir.make_executor(&id, executor)).await {
                Ok(Ok(dirs)) => dirs,
                Ok(Err(error)) => return seat.failed(format!("its directories cannot be made: {error}")).await,
                Err(_) => return, // The runtime ends, and the seat says so.
            };
            let bootstrap = ExecutorBootstrap {
                application,
                executor,
                worker,
                host,
                resources,
                driver_url,
                block_service,
                shuffle_dir: dirs.shuffle,
                work_dir: dirs.work,
                local_dirs: dirs.local,
                conf,
            };
            launcher.start_executor(bootstrap, seat);
        });
    }

    fn kill(&self, child: &Child, kill: Kill) {
        if let Some(ask) = self.kills.get(child) {
            // Closed: it is over, and the news is on its way. Full cannot be: the machine asks once softly and once hard.
            let _ = ask.try_send(kill);
        }
    }

    fn remove_files(&self, application: ApplicationId) {
        let work_dir = Arc::clone(&self.work_dir);
        spawn_blocking(move || {
            if let Err(error) = work_dir.remove_application(&application) {
                tracing::warn!(%application, %error, "files of an application that is over cannot be removed");
            }
        });
    }

    fn remove_old(&self, keep: BTreeSet<ApplicationId>, unchanged_for: Duration) {
        let work_dir = Arc::clone(&self.work_dir);
        spawn_blocking(move || {
            let removed = work_dir.remove_old(&keep, unchanged_for, |error| {
                tracing::warn!(%error, "an old application's directory cannot be removed");
            });
            if removed > 0 {
                tracing::info!("removed the directories of {removed} applications unchanged for {unchanged_for:?}");
            }
        });
    }
}

impl Drop for Performer {
    fn drop(&mut self) {
        self.links.drop_all();
    }
}

fn log(level: Level, text: &str) {
    match level {
        Level::Debug => tracing::debug!("{text}"),
        Level::Info => tracing::info!("{text}"),
        Level::Warn => tracing::warn!("{text}"),
        Level::Error => tracing::error!("{text}"),
    }
}
