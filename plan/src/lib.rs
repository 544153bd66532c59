//! What a task computes: SQL plans cut into stages, and their payloads.
//!
//! ```text
//!            driver                                                     executor
//! SQL ──session──> physical plan ──stages──> StageGraph ──payload──> run_task ──> blocks, one a reduce partition
//!                                  cut at       bytes     bytes      fresh plan, specialised
//!                                  exchanges                         to one partition
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`session`] | SQL text and tables to a plan: [`SqlSession`] |
//! | [`optimize`] | what DataFusion's optimizer does not know: broadcasts, splits of scans, partitions by size |
//! | [`stages`] | a physical plan cut into a `StageGraph` |
//! | [`store`] | files and object stores by URL, and their credentials |
//! | [`payload`] | what the tasks of one stage compute, as bytes |
//! | [`exchange`] | the operator that reads what other stages wrote, and where it reads from: [`BlockSource`] |
//! | [`sink`] | writing: what tasks leave, and the commit |
//! | [`task`] | one task: [`run_task`] |
//! | [`mod@failure`] | DataFusion's errors as a task's typed failure |
//! | [`mod@format`] | rows for people and programs |
//! | [`text`] | SQL text as an editor sees it |
//! | [`tpch`] | the built-in catalog |
//!
//! Nothing here knows sockets, block files or other machines: the executor hands a [`BlockSource`] in and takes chunks
//! of blocks out.

mod codec;
mod depth;
mod error;
pub mod exchange;
pub mod failure;
pub mod format;
mod leaf;
pub mod optimize;
pub mod payload;
mod scan;
pub mod session;
pub mod sink;
pub mod stages;
pub mod store;
pub mod task;
pub mod text;
pub mod tpch;

pub use error::PlanError;
pub use exchange::{BlockSource, Maps, Piece, Selection};
pub use failure::failure_of;
pub use optimize::ScanSplit;
pub use payload::DecodedPayload;
pub use session::{Planned, SessionOptions, SqlSession, Statement, Variable};
pub use sink::{BegunWrite, MAX_WRITE_FILES, Manifest, Write, WriteError};
pub use store::{Secret, StoreError, StoreSettings, Stores};
pub use task::{Chunk, TaskEnv, TaskEnvOptions, TaskRun, run_task};
