//! What processes say to one another: plain values, the same in local mode, in the simulation and on the wire.
//!
//! | module | link | up | down |
//! |---|---|---|---|
//! | [`worker`] | WorkerLink | worker to master | master to worker |
//! | [`application`] | ApplicationLink | driver to master | master to driver |
//! | [`task`] | TaskLink | executor to driver | driver to executor |
//! | [`status`] | Submission | questions of people | snapshots |
//!
//! Every message carries what lets a stale one be dropped: the term of a master, the id of an executor (never used
//! twice), a task's attempt (its [`TaskId`](crate::TaskId) names exactly one), a shuffle's epoch. Links are numbered by
//! the shell that accepted them, so that news from a link that was replaced can be told apart.

pub mod application;
mod metrics;
pub mod status;
pub mod task;
pub mod worker;

/// One accepted connection, numbered by the shell that accepted it; never used twice in a process's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// The version that peers compare when a link opens; different versions refuse one another.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
