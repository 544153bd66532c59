//! Shuffle blocks: ids, files and index, checksums, serving and fetching.
//!
//! A task writes one *output*: a data file with one block per reduce partition, in their order, and an index. Readers
//! name a block by its output and its reduce partition. An output's id holds the task attempt that wrote it, so a late
//! attempt can never be read as another.
//!
//! | module | what |
//! |---|---|
//! | [`id`] | names of outputs and blocks, and of their files |
//! | [`limits`] | what both sides of the wire hold each other to |
//! | [`file`](mod@file) | writing an output, committing it by rename, reading it with its checksums, removing it |
//! | [`machine`] | the fetch planner: what to ask whom for, when, and what to do when it does not come |
//! | [`fetch`] | blocks in the order asked, from files of this machine or from the network |
//! | [`server`] | serving blocks over gRPC, and the body of the block service's process |

pub mod fetch;
pub mod file;
pub mod id;
pub mod limits;
pub mod machine;
pub mod server;
mod wire;

pub use fetch::{BlockPiece, BlockStream, FetchError, FetchOptions, Fetcher, Wanted};
pub use file::{
    AsyncOutputWriter, Committed, OutputReader, OutputWriter, ReadError, WriteError, WriterId, WriterOptions,
    remove_outputs,
};
pub use id::{BlockId, OutputId};
pub use machine::FailureKind;
pub use server::{BlockService, Layout, run_block_service};
