//! A simulated cluster: the real machines of master, workers, drivers and executors in one thread, under a network and a
//! clock that one seed decides.
//!
//! ```text
//!   driver ──ApplicationLink── master ──WorkerLink── worker ── starts ──> executor
//!      └───────────────────────────TaskLink───────────────────────────────────┘
//! ```
//!
//! What is simulated: messages that take their time (in order on each link), processes that take theirs to start and to
//! die, tasks that take theirs and sometimes fail. What is real: every decision.
//!
//! Invariants, checked after every step (`checks.rs`): each machine's own `check()`; no worker's and no executor's cores
//! are oversubscribed; no result partition is delivered twice. At the end: every job ended, right, and every table is
//! empty. The same seed gives the same log, byte by byte. Read `integration/tests/sim.rs` first.

mod chance;
mod checks;
mod cluster;
mod network;
mod node;
mod perform;
mod work;

pub use chance::Chance;
pub use cluster::{Cluster, Options, Outcome, Sabotage};
pub use work::{Application, two_stages};
