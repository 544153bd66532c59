//! The executor: task slots, evaluation, memory.
//!
//! [`machine`] decides, `shell` (feature `shell`) touches the world.

pub mod machine;
#[cfg(feature = "shell")]
pub mod shell;
