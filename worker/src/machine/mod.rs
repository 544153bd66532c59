//! The worker's machine.
#![allow(missing_docs, reason = "skeleton: fields are named for what they hold")]

use hearth_core::messages::worker::*;
use hearth_core::{ApplicationId, ExecutorId, Level, LinkId};

/// A child process of the worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Child {
    /// The machine's block service.
    BlockService,
    /// An executor.
    Executor(ApplicationId, ExecutorId),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The link to the master that was dialed is open.
    LinkOpened { link: LinkId },
    /// It could not be opened. `jitter` in 0..=1000 is this try's chance, drawn by the shell.
    DialFailed { reason: String, jitter: u32 },
    /// The link ended.
    LinkClosed { link: LinkId, reason: String, jitter: u32 },
    /// The master said something.
    MasterSaid { link: LinkId, message: WorkerDown },
    /// A child runs; the block service once it listens on `port`.
    ChildStarted { child: Child, pid: u32, port: u16 },
    /// A child could not be started.
    SpawnFailed { child: Child, message: String },
    /// A child is over and reaped. `exit_code` is its exit code, or 128 and the signal's number; `tail` the end of its log.
    ChildExited { child: Child, exit_code: i32, tail: String },
    /// End: kill the children, say goodbye, exit.
    StopAsked { reason: String },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a link to the master.
    Dial,
    /// Say something to the master.
    ToMaster { link: LinkId, message: WorkerUp },
    /// Close the link to the master.
    CloseLink { link: LinkId },
    /// Start the block service, on `port` when it is not 0.
    SpawnBlockService { port: u16 },
    /// Start an executor.
    SpawnExecutor(ExecutorLaunch),
    /// Ask a child to end (SIGTERM), or end it (SIGKILL to its process group).
    Kill { child: Child, hard: bool },
    /// Remove an application's shuffle files and its executors' scratch; keep the logs.
    RemoveApplicationFiles { application: ApplicationId },
    /// Tell the log.
    Log { level: Level, text: String },
    /// Exit with this code; all children are over.
    Exit { code: i32 },
}
