//! What a writer knows of one reduce partition.

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
    crc: u32,
}

/// What a buffered chunk costs beside its bytes.
pub(super) const CHUNK_OVERHEAD: u64 = size_of::<Bytes>() as u64;

impl Partition {
    /// Appends, and says what that costs in memory.
    pub(super) fn push(&mut self, bytes: Bytes) -> u64 {
        if bytes.is_empty() {
            return 0;
        }
        self.len += bytes.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, &bytes);
        let cost = bytes.len() as u64 + CHUNK_OVERHEAD;
        self.chunks.push(bytes);
        cost
    }

    /// All bytes of the block.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Their CRC32C.
    pub(super) const fn crc(&self) -> u32 {
        self.crc
    }
}
