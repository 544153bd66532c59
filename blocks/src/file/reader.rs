//! Reading blocks of a committed output.

use super::{
    ReadError,
    index::{Entry, Index},
};
use crate::{OutputId, limits::PIECE};
use bytes::{Bytes, BytesMut};
use std::{
    fs::File,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// An open output: both files, whose sizes fit each other. Goes on reading what it opened when the files are removed.
#[derive(Debug)]
pub struct OutputReader {
    index: Arc<Index>,
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
        Ok(Self { index: Arc::new(index), data: Arc::new(Data { file, path }) })
    }

    /// How many blocks it has.
    pub fn partitions(&self) -> u32 {
        self.index.partitions()
    }

    /// One block, whole, its checksums verified.
    pub fn read(&self, reduce: u32) -> Result<Bytes, ReadError> {
        self.block(reduce)?.read_all()
    }

    /// A span of a block of which the size is known; another size is corruption, found before anything is allocated.
    pub fn read_span(&self, reduce: u32, size: u64, span: Range<u64>) -> Result<Bytes, ReadError> {
        let block = self.block(reduce)?;
        if block.size() != size {
            let detail = format!("block {reduce} has {} bytes where {size} were committed", block.size());
            return Err(ReadError::Corrupt { path: self.data.path.clone(), detail });
        }
        block.span(span)?.read_all()
    }

    /// One block, to be read piece by piece.
    pub fn block(&self, reduce: u32) -> Result<BlockReader, ReadError> {
        let entry = self.index.entry(reduce)?;
        let (index, data) = (self.index.clone(), self.data.clone());
        Ok(BlockReader { index, data, reduce, entry, at: 0, end: entry.len })
    }
}

/// Verified bytes of a block: [`PIECE`] of them, or what is left at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes.
    pub bytes: Bytes,
    /// Their CRC32C, as the index has it.
    pub crc: u32,
}

/// One block, or a span of it, read piece by piece.
#[derive(Debug)]
pub struct BlockReader {
    index: Arc<Index>,
    data: Arc<Data>,
    reduce: u32,
    entry: Entry,
    at: u64,
    end: u64,
}

impl BlockReader {
    /// Bytes of the whole block.
    pub const fn size(&self) -> u64 {
        self.entry.len
    }

    /// Only these bytes of it, which must begin and end where pieces do.
    pub fn span(self, span: Range<u64>) -> Result<Self, ReadError> {
        let Range { start, end } = span;
        let whole = |at: u64| at.is_multiple_of(PIECE) || at == self.entry.len;
        if start <= end && end <= self.entry.len && whole(start) && whole(end) {
            return Ok(Self { at: start, end, ..self });
        }
        let detail = format!("block {} of {} bytes has no span {start}..{end}", self.reduce, self.entry.len);
        Err(ReadError::NotFound { path: self.data.path.clone(), detail })
    }

    /// Whether all of it was read.
    pub const fn is_over(&self) -> bool {
        self.at == self.end
    }

    /// The next piece, if its checksum is right; none when the block or span is over.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, ReadError> {
        if self.is_over() {
            return Ok(None);
        }
        let mut bytes = BytesMut::zeroed(len_of(PIECE.min(self.end - self.at)));
        let crc = self.read_piece(&mut bytes)?;
        Ok(Some(Piece { bytes: bytes.freeze(), crc }))
    }

    /// Fills `bytes` with the next piece.
    fn read_piece(&mut self, bytes: &mut [u8]) -> Result<u32, ReadError> {
        let expected = self.index.crc(&self.entry, self.at / PIECE)?;
        let read = self.data.file.read_exact_at(bytes, self.entry.offset + self.at);
        read.map_err(|e| ReadError::from_io(&self.data.path, e))?;
        let crc = crc32c::crc32c(bytes);
        if crc != expected {
            let detail = format!(
                "block {} has CRC32C {crc:08x} from byte {} where its index says {expected:08x}",
                self.reduce, self.at
            );
            return Err(ReadError::Corrupt { path: self.data.path.clone(), detail });
        }
        self.at += bytes.len() as u64;
        Ok(crc)
    }

    fn read_all(mut self) -> Result<Bytes, ReadError> {
        // The length is at most that of the data file, which was looked at.
        let mut bytes = BytesMut::zeroed(len_of(self.end - self.at));
        for piece in bytes.chunks_mut(len_of(PIECE)) {
            self.read_piece(piece)?;
        }
        Ok(bytes.freeze())
    }
}

/// A length that the size of a file bears out.
fn len_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
