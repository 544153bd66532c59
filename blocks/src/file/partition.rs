//! What a writer knows of one reduce partition.

use crate::limits::PIECE;
use bytes::Bytes;

/// A run of a partition's bytes in the spill file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// A partition's bytes, in the order written: first the segments, then the chunks.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub(super) segments: Vec<Segment>,
    pub(super) chunks: Vec<Bytes>,
    len: u64,
    /// Of each piece begun.
    crcs: Vec<u32>,
}

/// What a buffered chunk costs beside its bytes.
pub(super) const CHUNK_OVERHEAD: u64 = size_of::<Bytes>() as u64;

impl Partition {
    /// Appends, and says what that costs in memory.
    pub(super) fn push(&mut self, bytes: Bytes) -> u64 {
        if bytes.is_empty() {
            return 0;
        }
        self.check_in(&bytes);
        let cost = bytes.len() as u64 + CHUNK_OVERHEAD;
        self.chunks.push(bytes);
        cost
    }

    /// All bytes of the block.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// The CRC32C of each of its pieces.
    pub(super) fn crcs(&self) -> &[u32] {
        &self.crcs
    }

    fn check_in(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let begun = self.len % PIECE;
            if begun == 0 {
                self.crcs.push(0);
            }
            let room = usize::try_from(PIECE - begun).unwrap_or(usize::MAX);
            let (piece, rest) = bytes.split_at(bytes.len().min(room));
            if let Some(crc) = self.crcs.last_mut() {
                *crc = crc32c::crc32c_append(*crc, piece);
            }
            self.len += piece.len() as u64;
            bytes = rest;
        }
    }
}
