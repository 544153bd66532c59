//! The executor's shell: the machine's loop, the link to the driver, and the runtime on which tasks compute.
//!
//! ```text
//!            driver                                       the runtime that calls `start`
//!   link ───────────────> uplink ──Event──┐        ┌──Effect──> uplink ──────────> link
//!   answers ────────────> client ──Event──┤        ├──────────> client ──────────> questions
//!                                         v        │
//!                                      machine (one loop)
//!                                         ^        │
//!              slots ──Event: TaskEnded───┘        └──────────> slots: start, cancel
//!                ^                                                │
//!   ─────────────┼──────────── a runtime of its own, one thread a slot ┼───────────────────────────
//!                │                                                v
//!              output <── chunks of blocks ── plan of the task <── source ── fetcher ── blocks
//! ```
//!
//! Several executors may live in one process (local mode): each has its own task runtime, memory pool and directories.
//!
//! What holds:
//! - A task that panics, fails or is cancelled costs nobody else anything, and leaves no file behind.
//! - The loop never waits: for a task, for the disk, for the driver.
//! - When [`ExecutorHandle::wait`] returns, no task runs and the executor's temporary files are gone; unless a task does
//!   not come to a pause for [`DRAIN`].

mod disks;
mod files;
mod grpc;
mod memory;
mod options;
mod output;
mod panics;
mod perform;
mod process;
mod replicas;
mod runtime;
mod server;
mod slots;
mod source;
mod spill;
mod task;
#[cfg(test)]
mod tests;
mod uplink;

pub use grpc::{BadDriverUrl, GrpcDriver};
pub use options::ShellOptions;
pub use process::run_executor_process;

use crate::machine::{Event, Executor};
use disks::Disks;
use hearth_blocks::{Fetcher, Layout, fetch::FetchCounts, server::ServeError};
use hearth_core::{
    client::DriverClient,
    conf::ConfError,
    link::Dial,
    messages::task::{BlockLocation, TaskDown, TaskUp},
    run::{Clock, NoJournal, QUEUE, run},
};
use memory::Memory;
use perform::Performer;
use replicas::Replicas;
use runtime::TaskRuntime;
use server::OwnServer;
use slots::Slots;
use std::{
    io,
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};
use task::{Decoded, Evaluator};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::task::TaskTracker;
use uplink::Uplink;

/// How long an executor that ends waits for its tasks to come to a pause: a batch or two. It is wanted gone.
pub const DRAIN: Duration = Duration::from_secs(2);

/// How an executor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorExit {
    /// The process's exit code: 0 when somebody asked for the end.
    pub code: i32,
    /// For people.
    pub reason: String,
}

/// Why an executor could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has a value that is none.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// The driver's address is none.
    #[error(transparent)]
    DriverUrl(#[from] BadDriverUrl),
    /// It cannot serve its outputs.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The system gives no threads.
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
    /// Signals cannot be heard.
    #[error("cannot listen for SIGTERM: {0}")]
    Signal(io::Error),
}

/// A running executor. Dropping the handle leaves it running.
#[derive(Clone, Debug)]
pub struct ExecutorHandle {
    events: mpsc::Sender<Event>,
    ended: watch::Receiver<Option<ExecutorExit>>,
}

impl ExecutorHandle {
    /// Asks it to end. [`wait`](Self::wait) tells when it has.
    pub async fn stop(&self, reason: impl Into<String>) {
        // It may have ended already.
        let _ = self.events.send(Event::StopAsked { reason: reason.into() }).await;
    }

    /// How it ended, once it has.
    pub async fn wait(&self) -> ExecutorExit {
        let mut ended = self.ended.clone();
        let exit = ended.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        exit.unwrap_or_else(|| ExecutorExit { code: 101, reason: "the executor's loop panicked".into() })
    }
}

/// Starts an executor on the current runtime, where its loop, links and questions run; tasks get a runtime of their own.
pub async fn start(
    options: ShellOptions,
    dial: Arc<dyn Dial<TaskDown, TaskUp>>,
    client: Arc<dyn DriverClient>,
) -> Result<ExecutorHandle, StartError> {
    let memory = Memory::of_options(&options);
    start_with(options, memory, dial, client).await
}

async fn start_with(
    mut options: ShellOptions,
    memory: Memory,
    dial: Arc<dyn Dial<TaskDown, TaskUp>>,
    client: Arc<dyn DriverClient>,
) -> Result<ExecutorHandle, StartError> {
    files::raise_limit();
    let runtime = Arc::new(TaskRuntime::new(options.machine.cores).map_err(StartError::Threads)?);
    let tracker = TaskTracker::new();
    let outputs = Arc::new(Disks::new(options.output_dirs(), options.disk_reserve));
    let server = match options.serve {
        true => Some(serve_outputs(&options, &tracker).await?),
        false => None,
    };
    options.machine.blocks = location(&options, server.as_ref());
    let fetcher = Fetcher::on(options.fetch.clone(), Handle::current());
    let replicas = Arc::new(Replicas {
        application: options.machine.application.clone(),
        executor: options.machine.executor,
        disks: outputs.clone(),
        own: options.machine.blocks.clone(),
        fetcher: fetcher.clone(),
        peers: Fetcher::on(options.fetch.clone().once(), Handle::current()),
        kept: Mutex::default(),
        writers: AtomicU64::new(0),
    });
    let evaluator = Arc::new(Evaluator {
        application: options.machine.application.clone(),
        location: options.machine.blocks.clone(),
        outputs: outputs.clone(),
        fetcher: fetcher.clone(),
        replicas: replicas.clone(),
        memory,
        decoded: Decoded::default(),
    });
    // While the driver is being dialed, what tasks share is made: the first one finds it there.
    let warm = evaluator.clone();
    runtime.spawn_blocking(move || drop(warm.memory.env().map(drop)));

    let (events, queue) = mpsc::channel(QUEUE);
    let shared = evaluator.clone();
    let (exited, mut exit) = watch::channel(None);
    let performer = Performer {
        slots: Slots::new(runtime.clone(), evaluator, events.clone(), tracker.clone()),
        uplink: Uplink::new(dial, events.clone(), tracker.clone()),
        client,
        events: events.clone(),
        tracker: tracker.clone(),
        replicas: replicas.clone(),
        outputs,
        exit: exited,
    };
    let (ended, handle) = watch::channel(None);
    tokio::spawn(async move {
        drive(options.machine.clone(), queue, performer).await;
        drop(server);
        tracker.close();
        if timeout(DRAIN, tracker.wait()).await.is_err() {
            tracing::warn!("{} tasks or links did not end within {} s", tracker.len(), DRAIN.as_secs());
        }
        if timeout(DRAIN, shared.memory.settle()).await.is_err() {
            tracing::warn!("what tasks had uploaded was not taken back within {} s", DRAIN.as_secs());
        }
        drop(runtime);
        remove_own_files(&options).await;
        let FetchCounts { local_bytes, remote_bytes, broken_requests } = fetcher.counts();
        let peer_bytes = replicas.peers.counts().remote_bytes;
        let remote_bytes = remote_bytes + peer_bytes;
        tracing::info!(local_bytes, remote_bytes, peer_bytes, broken_requests, "blocks read by this executor");
        ended.send_replace(exit.borrow_and_update().clone());
    });
    Ok(ExecutorHandle { events, ended: handle })
}

/// Runs the machine until it exits. The performer goes with it, and with that every task and the link.
async fn drive(options: crate::machine::ExecutorOptions, queue: mpsc::Receiver<Event>, mut performer: Performer) {
    use hearth_core::run::Perform;
    let clock = Clock::new();
    let mut fx = Vec::new();
    let machine = Executor::start(clock.now(), options, &mut fx);
    for effect in fx {
        performer.perform(effect);
    }
    if let Err(e) = run(machine, queue, NoJournal, performer, clock).await {
        tracing::error!("the executor's loop ended: {e}");
    }
}

async fn serve_outputs(options: &ShellOptions, tracker: &TaskTracker) -> Result<OwnServer, ServeError> {
    let (application, directories) = (options.machine.application.clone(), options.output_dirs());
    let layout = Layout::Application { application, directories };
    OwnServer::start(&options.machine.host, layout, tracker).await
}

/// Where readers find this executor's outputs: those in the first directory.
fn location(options: &ShellOptions, server: Option<&OwnServer>) -> BlockLocation {
    BlockLocation {
        worker: options.machine.worker.clone(),
        executor: server.map(|_| options.machine.executor),
        address: server.map_or_else(|| options.block_service.clone(), |s| s.address().clone()),
        directory: options.output_dir().to_string_lossy().into_owned(),
    }
}

/// Spilled rows, and outputs that nobody serves from now on.
async fn remove_own_files(options: &ShellOptions) {
    let mut dirs = options.spill_dirs();
    if options.serve {
        dirs.extend(options.output_dirs());
    }
    for dir in dirs {
        match tokio::fs::remove_dir_all(&dir).await {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => tracing::warn!("cannot remove {}: {e}", dir.display()),
        }
    }
}
