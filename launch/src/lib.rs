//! Start, watch and reap one child process.
//!
//! ```text
//!              stdin: first line, then held open: the lifeline
//!   Launch ──start──> Running ──outcome──> Outcome
//!                        │  stdout, stderr: copied to files that rotate by size; the ends are kept in memory
//!                        └─ kill(soft | hard): to the whole process group
//! ```
//!
//! What holds:
//! - The child leads a process group of its own. Once it is over, whatever is left of the group gets SIGKILL, while the
//!   dead child still holds the group's number, so that the signal cannot reach a stranger.
//! - The child's standard input stays open as long as its [`Running`] lives; a child that reads the end of it knows that
//!   its parent is gone, however that came about.
//! - Dropping a [`Running`] kills the group.
//! - A child that writes is never held up by its log: when the disk takes nothing, output is dropped, and that is logged.
//! - The child's environment is a clean one: see [`Launch::env`].
//!
//! Read `tests/children.rs` first.

mod copy;
mod error;
mod launch;
mod memory;
mod outcome;
mod rotate;
mod running;

pub use error::LaunchError;
pub use launch::{Launch, LogFile, Profile};
pub use memory::{KernelKill, MemoryEnd};
pub use outcome::Outcome;
pub use running::Running;
