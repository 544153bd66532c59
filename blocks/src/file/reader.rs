//! Reading blocks of a committed output.

use super::{
    ReadError,
    index::{Entry, Index},
};
use crate::OutputId;
use bytes::{Bytes, BytesMut};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// An open output: both files, whose sizes fit each other. Goes on reading what it opened when the files are removed.
#[derive(Debug)]
pub struct OutputReader {
    index: Index,
    data: Arc<Data>,
}

#[derive(Debug)]
struct Data {
    file: File,
    path: PathBuf,
}

impl OutputReader {
    /// Opens an output in `dir`.
    pub fn open(dir: &Path, id: &OutputId) -> Result<Self, ReadError> {
        let index = Index::open(dir.join(id.index_file()))?;
        let path = dir.join(id.data_file());
        let opened = File::open(&path).and_then(|file| file.metadata().map(|meta| (file, meta.len())));
        let (file, len) = opened.map_err(|e| ReadError::from_io(&path, e))?;
        if len != index.data_len() {
            let detail = format!("it has {len} bytes where its index says {}", index.data_len());
            return Err(ReadError::Corrupt { path, detail });
        }
        Ok(Self { index, data: Arc::new(Data { file, path }) })
    }

    /// How many blocks it has.
    pub const fn partitions(&self) -> u32 {
        self.index.partitions()
    }

    /// One block, whole, its checksum verified.
    pub fn read(&self, reduce: u32) -> Result<Bytes, ReadError> {
        self.block(reduce)?.read_all()
    }

    /// One block of which the size is known; another size is corruption, found before anything is allocated.
    pub fn read_sized(&self, reduce: u32, size: u64) -> Result<Bytes, ReadError> {
        let block = self.block(reduce)?;
        if block.size() != size {
            let detail = format!("block {reduce} has {} bytes where {size} were committed", block.size());
            return Err(ReadError::Corrupt { path: self.data.path.clone(), detail });
        }
        block.read_all()
    }

    /// One block, to be read in chunks.
    pub fn block(&self, reduce: u32) -> Result<BlockReader, ReadError> {
        let entry = self.index.entry(reduce)?;
        Ok(BlockReader { data: self.data.clone(), reduce, entry, read: 0, crc: 0 })
    }
}

/// One block, read in chunks.
#[derive(Debug)]
pub struct BlockReader {
    data: Arc<Data>,
    reduce: u32,
    entry: Entry,
    read: u64,
    crc: u32,
}

impl BlockReader {
    /// Bytes of the whole block.
    pub const fn size(&self) -> u64 {
        self.entry.len
    }

    /// The CRC32C that the whole block must have.
    pub const fn crc(&self) -> u32 {
        self.entry.crc
    }

    /// Whether all of it was read.
    pub const fn is_over(&self) -> bool {
        self.read == self.entry.len
    }

    /// The next chunk, at most `max` bytes; none when the block is over. The last chunk, and the end of an empty block,
    /// come only if the checksum of the whole is right.
    pub fn next_chunk(&mut self, max: usize) -> Result<Option<Bytes>, ReadError> {
        assert!(max > 0, "chunks have at least one byte");
        let rest = self.entry.len - self.read;
        // What does not fit a usize exceeds `max` anyway.
        let len = usize::try_from(rest).map_or(max, |rest| rest.min(max));
        let mut chunk = BytesMut::zeroed(len);
        let at = self.entry.offset + self.read;
        self.data.file.read_exact_at(&mut chunk, at).map_err(|e| ReadError::from_io(&self.data.path, e))?;
        self.read += len as u64;
        self.crc = crc32c::crc32c_append(self.crc, &chunk);
        if self.read == self.entry.len && self.crc != self.entry.crc {
            let detail = format!(
                "block {} has CRC32C {:08x} where its index says {:08x}",
                self.reduce, self.crc, self.entry.crc
            );
            return Err(ReadError::Corrupt { path: self.data.path.clone(), detail });
        }
        Ok((len > 0).then(|| chunk.freeze()))
    }

    fn read_all(mut self) -> Result<Bytes, ReadError> {
        // The length is at most that of the data file, which was looked at.
        let max = usize::try_from(self.entry.len).unwrap_or(usize::MAX).max(1);
        Ok(self.next_chunk(max)?.unwrap_or_default())
    }
}
