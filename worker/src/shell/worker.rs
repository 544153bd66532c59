//! A worker that runs.

use super::{WorkerError, WorkerOptions, link, link::Links, perform::Performer, seat::Launcher, work_dir::WorkDir};
use crate::machine::{self, Event};
use hearth_core::{
    WorkerId,
    link::Dial,
    messages::worker::{WorkerDown, WorkerUp},
    run::{self, Clock, NoJournal, QUEUE},
};
use std::{collections::BTreeMap, convert::Infallible, sync::Arc};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

/// Starts workers.
#[derive(Debug)]
pub struct Worker;

impl Worker {
    /// Starts a worker: takes its directory, sweeps what an earlier run left there, starts its block service, and
    /// registers with the master. Must be called on a tokio runtime; touches the disk before it returns.
    pub fn start(
        options: WorkerOptions,
        dial: Arc<dyn Dial<WorkerDown, WorkerUp>>,
        launcher: Arc<dyn Launcher>,
    ) -> Result<WorkerHandle, WorkerError> {
        options.validate()?;
        let mut work_dir = WorkDir::open(&options.work_dir)?;
        let worker_id = work_dir.worker_id(&options.host, options.port)?;
        sweep(&work_dir);
        work_dir.spread(&options.local_dirs, &worker_id)?;
        let work_dir = Arc::new(work_dir);
        tracing::info!(
            worker = %worker_id, resources = %options.resources, work_dir = ?work_dir.root(), master = dial.peer(), "starting"
        );
        let (events, queue) = mpsc::channel(QUEUE);
        let (links, all_read) = Links::new(dial, events.clone());
        let registered = links.registered();
        let (exit, exited) = oneshot::channel();
        let machine = machine::Worker::new(machine::WorkerOptions {
            worker: worker_id.clone(),
            host: options.host.clone(),
            port: options.port,
            resources: options.resources,
            labels: options.labels,
            app_data_ttl: options.app_data_ttl,
            ..machine::WorkerOptions::default()
        });
        let performer = Performer {
            worker: worker_id.clone(),
            bind: options.bind.unwrap_or_else(|| options.host.clone()),
            host: options.host,
            work_dir: Arc::clone(&work_dir),
            launcher,
            links,
            events: events.clone(),
            block_port: Arc::default(),
            kills: BTreeMap::new(),
            exit: Some(exit),
        };
        let task = tokio::spawn(serve(machine, queue, performer, exited, all_read, work_dir));
        Ok(WorkerHandle { worker_id, events, registered, task, code: None })
    }
}

/// A worker that runs. Dropping it kills its children.
#[derive(Debug)]
pub struct WorkerHandle {
    /// Its id, kept in its directory.
    pub worker_id: WorkerId,
    events: mpsc::Sender<Event>,
    registered: watch::Receiver<u64>,
    task: JoinHandle<i32>,
    code: Option<i32>,
}

impl WorkerHandle {
    /// Waits until the worker is over; gives the code that its process is to exit with. Cancel safe.
    pub async fn wait(&mut self) -> i32 {
        if let Some(code) = self.code {
            return code;
        }
        let code = (&mut self.task).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the worker's loop broke");
            1
        });
        self.code = Some(code);
        code
    }

    /// Changes whenever a master has taken the worker: how often that was.
    pub fn registered(&self) -> watch::Receiver<u64> {
        self.registered.clone()
    }

    /// Asks the worker to end its children and itself. Asked again, the children get no more time.
    pub fn stop(&self, reason: impl Into<String>) {
        let (events, reason) = (self.events.clone(), reason.into());
        // The queue may be full for a moment. When nobody takes from it any more, the worker is over already.
        tokio::spawn(async move { events.send(Event::StopAsked { reason }).await });
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    machine: machine::Worker,
    queue: mpsc::Receiver<Event>,
    performer: Performer,
    mut exited: oneshot::Receiver<i32>,
    mut all_read: mpsc::Receiver<Infallible>,
    work_dir: Arc<WorkDir>,
) -> i32 {
    if let Err(error) = run::run(machine, queue, NoJournal, performer, Clock::new()).await {
        tracing::error!(%error, "the worker's loop broke");
    }
    // The performer is gone, with it all senders but those of links that deliver their last words.
    if timeout(link::DRAIN, all_read.recv()).await.is_err() {
        tracing::debug!("the master has not taken the worker's last words");
    }
    let swept = spawn_blocking(move || sweep(&work_dir)).await;
    if let Err(error) = swept {
        tracing::warn!(%error, "the work directory was not swept");
    }
    exited.try_recv().unwrap_or(1)
}

/// Nothing of this worker runs: shuffle files and scratch are of no use to anybody.
fn sweep(work_dir: &WorkDir) {
    if let Err(error) = work_dir.sweep() {
        tracing::warn!(%error, "files that an earlier run left cannot be removed");
    }
}
