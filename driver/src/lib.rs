//! The driver: session, DAGScheduler, TaskScheduler, results.
//!
//! [`machine`] decides, `shell` (feature `shell`) touches the world.

pub mod machine;
#[cfg(feature = "shell")]
pub mod shell;
