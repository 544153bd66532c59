//! The worker's shell: the link to the master, child processes, the working directory.
//!
//! ```text
//!                  Dial ──Link──┐             ┌── Launcher: child processes, or tasks of this process (local mode)
//!   master <──messages──> [reader] ─events─> [machine] ─effects─> [Performer] ──> WorkDir: directories, logs, the id
//!                                               ^  one child, one ChildSeat  │
//!                                               └────── started, over ───────┘
//! ```
//!
//! Everything hangs on the [`WorkerHandle`]: when it is dropped, its loop is, with it the ends of the children's seats, and a
//! launcher whose seat has lost its other end kills what it started. Nothing here decides; see [`crate::machine`].

mod dial;
mod error;
mod link;
mod local_dirs;
mod options;
mod perform;
mod process;
mod seat;
mod work_dir;
mod worker;

pub use dial::GrpcDial;
pub use error::WorkerError;
pub use options::WorkerOptions;
pub use process::{ProcessLauncher, ProcessOptions};
pub use seat::{ChildSeat, Kill, Launcher};
pub use worker::{Worker, WorkerHandle};
