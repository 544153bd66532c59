//! The worker: one machine's resources and child processes.
//!
//! [`machine`] decides, `shell` (feature `shell`) touches the world.

pub mod machine;
#[cfg(feature = "shell")]
pub mod shell;
