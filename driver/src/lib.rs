//! The driver: session, DAGScheduler, TaskScheduler, results.
//!
//! | module | what |
//! |---|---|
//! | [`machine`] | decides: jobs to stages to tasks, retries, losses, the conversation with the master |
//! | `shell` | touches the world: links to executors and master, the loop (feature `shell`) |
//! | `api` | what a program uses: SQL text in, rows out (feature `shell`) |

#[cfg(feature = "shell")]
pub mod api;
pub mod machine;
#[cfg(feature = "shell")]
pub mod shell;
