//! A simulated cluster: the real machines of master, workers, drivers and executors in one thread, under a network, disks,
//! faults and a clock that one seed decides.
//!
//! ```text
//!   user ── driver ──ApplicationLink── master ──WorkerLink── worker ── starts ──> executor, block service
//!              └───────────────────────────TaskLink───────────────────────────────────┘
//! ```
//!
//! What is simulated: messages that take their time, links and machines that break (`network`), processes that start,
//! stop and die (`faults`), tasks that read what lies on disks when they run and write for others (`graph`, `blocks`).
//! What is real: every decision.
//!
//! Invariants: each machine's own `check()` after each of its steps; from outside (`checks`) no worker's and no
//! executor's cores are oversubscribed, no result is delivered twice, nothing is launched by a stage attempt that another
//! has followed, or with outdated map statuses. A job fails only for a reason that the faults so far justify (`justify`), and then is run
//! again, so that at the end, within a bound after the last fault, every job gave the rows of a run without faults, every
//! table is empty, and no process is left. The same seed gives the same log, byte by byte.
//!
//! Read `options` first, then `cluster`.

mod blocks;
pub mod campaign;
mod chance;
mod checks;
mod cluster;
mod drive;
mod execute;
mod faults;
mod graph;
mod happen;
mod justify;
mod keep;
mod network;
mod node;
mod options;
mod outcome;
mod queue;
mod trace;
mod user;

pub use chance::Chance;
pub use cluster::Cluster;
pub use faults::Kind;
pub use options::{Application, Options, Sabotage};
pub use outcome::Outcome;
