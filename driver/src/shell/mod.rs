//! The driver's shell: one machine, its loop, and its links.
//!
//! ```text
//!  submit ─────────────> Links ── Event ──> loop(Driver) ── Effect ──> Performer
//!  TaskLink, in process ──┘  ^                                            │
//!  master ── Uplink ─────────┘ <── messages, answers, news of jobs ───────┘
//! ```
//!
//! * [`DriverHandle`] is a running driver; executors reach it by gRPC or, in the same process, through the handle itself.
//! * [`JobHandle`] is a job: news of its results and its end; dropping it cancels the job and forgets its results.
//!
//! Invariants: the loop never waits for a peer: a peer whose queue is full is cut off. Everything spawned here ends with
//! the driver. Events wait in one bounded queue, and links are not read while it is full.

mod dial;
mod error;
mod grpc;
mod handle;
mod job;
mod links;
mod options;
mod perform;
mod pools;
#[cfg(test)]
pub(crate) mod tests;
mod uplink;

pub use dial::GrpcDial;
pub use error::Error;
pub use handle::DriverHandle;
pub use job::{JobHandle, StageProgress};
pub use options::ShellOptions;
