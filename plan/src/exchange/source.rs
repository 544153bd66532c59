//! Where an exchange reader's blocks come from.

use bytes::Bytes;
use futures::stream::BoxStream;
use hearth_core::messages::task::TaskFailure;
use std::{fmt, sync::Arc};

/// Which map outputs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maps {
    /// Every one, in the order of the map partitions.
    All,
    /// That of one map partition.
    One(u32),
}

/// Which blocks of one input are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    /// The reduce partition.
    pub reduce: u32,
    /// The map outputs.
    pub maps: Maps,
}

/// Bytes of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What follows the pieces before.
    pub bytes: Bytes,
    /// Whether the block ends with them.
    pub last: bool,
}

/// A whole block.
impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, last: true }
    }
}

/// The blocks that the inputs of a task's stage are made of.
pub trait BlockSource: Send + Sync + 'static {
    /// The blocks of input `input` (its place in the stage's inputs), in map order, each one Arrow IPC stream, in one piece
    /// or several. Blocks of no bytes may be left out. Nothing is fetched before the stream is polled, and dropping it ends
    /// all work for it.
    fn read(&self, input: usize, blocks: Selection) -> BoxStream<'static, Result<Piece, TaskFailure>>;
}

/// A source as an extension of a task's configuration, which is how operators find it.
pub(crate) struct Blocks(pub(crate) Arc<dyn BlockSource>);

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocks")
    }
}
