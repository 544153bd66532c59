//! Where a stage begins: reading what the tasks of other stages wrote.
//!
//! An [`ExchangeReaderExec`] stands in a plan where an exchange was cut. It asks its task's [`BlockSource`] for blocks
//! and decodes them; which blocks its partition `p` reads is its [`ReadMode`]:
//!
//! | mode | partitions | partition `p` reads | stands for |
//! |---|---|---|---|
//! | `Partition` | one a reduce partition | block `p` of every map, in map order | a hash, round-robin or range exchange |
//! | `PerMap` | one a map | the only block of map `p` | the sorted inputs of a merge |
//! | `All` | one | the only block of every map, in map order | a coalesce, a collected build side |
//!
//! What holds:
//! - Blocks are read in map order, so that a rerun over the same outputs sees the same rows in the same order.
//! - One decoded block is held at a time, and of it one decoded batch.
//! - A block that does not decode, or decodes to other columns than the plan expects, is an error, never fewer rows.

mod asked;
mod block;
mod properties;
mod range;
mod reader;
mod source;

pub(crate) use asked::{AskedRepartitionExec, DistributeBy, KeepAsked};
pub use block::BlockDecoder;
pub(crate) use block::conform;
#[cfg(test)]
pub(crate) use block::decode_result;
pub use properties::{Equal, Key, Ordering, Properties};
pub(crate) use range::{Keys, RangeRouter, RangeSampleExec, Samples, sample_rows};
pub(crate) use reader::travelling;
pub use reader::{ExchangeReaderExec, ReadMode};
pub(crate) use source::Blocks;
pub use source::{BlockSource, Maps, Selection};
