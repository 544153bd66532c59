//! The master: workers, applications, placement, and its services.
//!
//! [`machine`] decides, `shell` (feature `shell`) touches the world.

pub mod machine;
#[cfg(feature = "shell")]
pub mod shell;
