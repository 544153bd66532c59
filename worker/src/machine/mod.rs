//! The worker's machine: its link to the master, its block service, its executors.
//!
//! ```text
//! link      IDLE ──block service listens──> DIALING ──opened──> REGISTERING ──taken──> REGISTERED
//!                                            ^    └─failed─┐     │ refused, silent       │ lost, dropped
//!                                            └── WAITING <─┴─────┴───────────────────────┘   tries used up: STOPPING(1)
//!
//! blocks    DUE ──spawned──> STARTING ──listens──> RUNNING        the first start fails: STOPPING(1)
//!            ^                  └──died───────────────┴──┐        dies too often in a row: STOPPING(1)
//!            └───────────────────────────────────────────┘
//!
//! executor  STARTING ──> RUNNING ──> over (reported EXITED, FAILED or KILLED)
//!              └─ kill: once it runs ─┴─ kill: SIGTERM, after a grace SIGKILL to its group
//!
//! worker    SERVING ──asked, or gave up──> STOPPING: executors end, then the block service, then Exit ──> OVER
//! ```
//!
//! Invariants ([`Worker::check`](hearth_core::Machine::check)):
//! - What live executors hold fits into the worker.
//! - An executor is live or reported, never both; a report is of a final state, and said as soon as there is a link.
//! - The worker registers only once its block service has listened, and the block service comes back on the same port.
//! - The files of an application are removed only when none of its executors lives. Those that are kept are known: each
//!   registration lists their applications, and the master says which of them are over.
//! - `Exit` is the last effect, and no child is left when it comes.
//!
//! The worker is born with its first deadline, which lies at the node's start: its `tick` starts the block service.
//! Read `tests/registration.rs` first.

mod backoff;
mod blocks;
mod children;
mod cleanup;
mod executors;
mod life;
mod link;
mod options;
mod reports;
#[cfg(test)]
mod tests;
mod worker;

pub use options::WorkerOptions;
pub use worker::Worker;

use hearth_core::{
    ApplicationId, Durable, ExecutorId, Level, LinkId,
    messages::worker::{ExecutorLaunch, WorkerDown, WorkerUp},
};
use std::{collections::BTreeSet, convert::Infallible, fmt, time::Duration};

/// A child process of the worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Child {
    /// The machine's block service.
    BlockService,
    /// An executor.
    Executor(ApplicationId, ExecutorId),
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockService => f.write_str("the block service"),
            Self::Executor(application, executor) => write!(f, "executor {application}/{executor}"),
        }
    }
}

/// What happened.
///
/// Each spawn is answered by `SpawnFailed`, or by `ChildStarted` and later `ChildExited`; never by both.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The link to the master that was dialed is open.
    LinkOpened {
        /// Its number, never used before.
        link: LinkId,
    },
    /// It could not be opened.
    DialFailed {
        /// For people.
        reason: String,
        /// This try's chance, 0 to 1000, drawn by the shell.
        jitter: u32,
    },
    /// The link ended. Need not come after `CloseLink`.
    LinkClosed {
        /// Which.
        link: LinkId,
        /// For people.
        reason: String,
        /// The next try's chance, 0 to 1000.
        jitter: u32,
    },
    /// The master said something.
    MasterSaid {
        /// On which link.
        link: LinkId,
        /// What.
        message: WorkerDown,
    },
    /// A child runs; the block service once it listens.
    ChildStarted {
        /// Which.
        child: Child,
        /// Its process id.
        pid: u32,
        /// Where the block service listens; 0 for executors, and where nobody listens (local mode).
        port: u16,
    },
    /// A child could not be started.
    SpawnFailed {
        /// Which.
        child: Child,
        /// For people.
        message: String,
    },
    /// A child is over and reaped.
    ChildExited {
        /// Which.
        child: Child,
        /// Its exit code, or 128 and the signal's number.
        exit_code: i32,
        /// What is known of who ended it and why, where its exit code does not say that.
        cause: Option<String>,
        /// The end of its standard error.
        tail: String,
    },
    /// End: kill the children, say goodbye, exit. Asked again, the children get no more time.
    StopAsked {
        /// For people.
        reason: String,
    },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a link to the master.
    Dial,
    /// Say something to the master.
    ToMaster {
        /// On which link.
        link: LinkId,
        /// What.
        message: WorkerUp,
    },
    /// Close the link to the master, once what was said on it is sent.
    CloseLink {
        /// Which.
        link: LinkId,
    },
    /// Start the block service.
    SpawnBlockService {
        /// Where it is to listen; 0 takes a free port.
        port: u16,
    },
    /// Start an executor.
    SpawnExecutor(ExecutorLaunch),
    /// End a child that runs.
    Kill {
        /// Which.
        child: Child,
        /// SIGKILL to its process group instead of SIGTERM.
        hard: bool,
    },
    /// Remove an application's shuffle files and its executors' scratch; keep the logs.
    RemoveApplicationFiles {
        /// Which.
        application: ApplicationId,
    },
    /// Remove the directories of applications that are over, once nothing in them has changed for this long.
    RemoveOldApplications {
        /// Applications that may go on.
        keep: BTreeSet<ApplicationId>,
        /// How long.
        unchanged_for: Duration,
    },
    /// Tell the log.
    Log {
        /// How much it matters.
        level: Level,
        /// What.
        text: String,
    },
    /// Exit; all children are over.
    Exit {
        /// The exit code.
        code: i32,
    },
}

impl Durable for Effect {
    /// A worker keeps nothing but its id, and that before its machine begins.
    type Record = Infallible;

    fn record(&self) -> Option<&Infallible> {
        None
    }
}

/// A log line.
fn log(fx: &mut Vec<Effect>, level: Level, text: impl Into<String>) {
    fx.push(Effect::Log { level, text: text.into() });
}
