//! The index file: where each block lies in the data file, and the checksums of its pieces.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `HEARTHIX` |
//! | 4 | version, 2 |
//! | 4 | P, the number of partitions |
//! | 8 (P + 1) | offsets; block p is `offsets[p]..offsets[p + 1]`, the first is 0, the last is the length of the data |
//! | 4 (P + 1) | pieces before each block; the first is 0, the last is K, the number of all pieces |
//! | 4 K | CRC32C of each piece: of each [`PIECE`] bytes of a block, or what is left at its end |
//!
//! All numbers are big-endian. A reader of one block reads some 60 bytes and 4 for each of its pieces, whatever P is. The
//! index has no checksum of its own: every byte of it is checked against the size of a file, a constant, or the bytes of a
//! block.

use super::ReadError;
use crate::limits::PIECE;
use hearth_core::stage::MAX_PARTITIONS;
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const MAGIC: [u8; 8] = *b"HEARTHIX";
const VERSION: u32 = 2;
const HEADER: u64 = 16;

const fn size_of_index(partitions: u32, pieces: u32) -> u64 {
    crcs_at(partitions) + 4 * pieces as u64
}

/// Where the numbers of pieces begin.
const fn pieces_at(partitions: u32) -> u64 {
    HEADER + 8 * (partitions as u64 + 1)
}

/// Where the checksums begin.
const fn crcs_at(partitions: u32) -> u64 {
    pieces_at(partitions) + 4 * (partitions as u64 + 1)
}

/// The bytes of an index of blocks with these lengths and checksums of pieces.
pub(super) fn encode<'a>(blocks: impl ExactSizeIterator<Item = (u64, &'a [u32])> + Clone) -> Vec<u8> {
    let partitions = u32::try_from(blocks.len()).expect("a writer has at most MAX_PARTITIONS");
    let mut bytes = Vec::with_capacity(usize::try_from(crcs_at(partitions)).expect("12 MB at most"));
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&partitions.to_be_bytes());
    let mut offset = 0_u64;
    bytes.extend_from_slice(&offset.to_be_bytes());
    for (len, _) in blocks.clone() {
        offset += len;
        bytes.extend_from_slice(&offset.to_be_bytes());
    }
    let mut pieces = 0_u32;
    bytes.extend_from_slice(&pieces.to_be_bytes());
    for (_, crcs) in blocks.clone() {
        // Four billion pieces are a file of 1 PiB.
        pieces += u32::try_from(crcs.len()).expect("no file system holds such a block");
        bytes.extend_from_slice(&pieces.to_be_bytes());
    }
    for crc in blocks.flat_map(|(_, crcs)| crcs) {
        bytes.extend_from_slice(&crc.to_be_bytes());
    }
    bytes
}

/// Where a block lies, as the index has it; within the data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) len: u64,
    /// Pieces before it.
    first_piece: u32,
}

/// An open index whose size and header are right.
#[derive(Debug)]
pub(super) struct Index {
    file: File,
    path: PathBuf,
    partitions: u32,
    data_len: u64,
}

impl Index {
    /// Opens an index.
    pub(super) fn open(path: PathBuf) -> Result<Self, ReadError> {
        let opened = File::open(&path).and_then(|file| file.metadata().map(|meta| (file, meta.len())));
        let (file, len) = opened.map_err(|e| ReadError::from_io(&path, e))?;
        if len < size_of_index(0, 0) {
            return Err(corrupt(&path, format!("{len} bytes are too few for an index")));
        }
        let magic: [u8; 8] = read_at(&file, &path, 0)?;
        if magic != MAGIC {
            return Err(corrupt(&path, "it does not begin as an index does".into()));
        }
        let version = u32::from_be_bytes(read_at(&file, &path, 8)?);
        if version != VERSION {
            return Err(corrupt(&path, format!("its version is {version}, not {VERSION}")));
        }
        let partitions = u32::from_be_bytes(read_at(&file, &path, 12)?);
        if !(1..=MAX_PARTITIONS).contains(&partitions) || len < crcs_at(partitions) {
            return Err(corrupt(&path, format!("{len} bytes are not an index of {partitions} partitions")));
        }
        let first = u64::from_be_bytes(read_at(&file, &path, HEADER)?);
        let first_piece = u32::from_be_bytes(read_at(&file, &path, pieces_at(partitions))?);
        if (first, first_piece) != (0, 0) {
            return Err(corrupt(
                &path,
                format!("its first block begins at {first}, with piece {first_piece}, not at 0"),
            ));
        }
        let pieces = u32::from_be_bytes(read_at(&file, &path, crcs_at(partitions) - 4)?);
        if len != size_of_index(partitions, pieces) {
            return Err(corrupt(
                &path,
                format!("{len} bytes are not an index of {partitions} partitions in {pieces} pieces"),
            ));
        }
        let data_len = u64::from_be_bytes(read_at(&file, &path, HEADER + 8 * u64::from(partitions))?);
        Ok(Self { file, path, partitions, data_len })
    }

    /// How many blocks there are.
    pub(super) const fn partitions(&self) -> u32 {
        self.partitions
    }

    /// How long the data file must be.
    pub(super) const fn data_len(&self) -> u64 {
        self.data_len
    }

    /// Where a block lies.
    pub(super) fn entry(&self, reduce: u32) -> Result<Entry, ReadError> {
        if reduce >= self.partitions {
            let detail = format!("it has {} partitions, and no partition {reduce}", self.partitions);
            return Err(ReadError::NotFound { path: self.path.clone(), detail });
        }
        let [offset, end] = self.pair(HEADER + 8 * u64::from(reduce), u64::from_be_bytes)?;
        let [first_piece, end_piece] =
            self.pair(pieces_at(self.partitions) + 4 * u64::from(reduce), u32::from_be_bytes)?;
        let pieces = end_piece.checked_sub(first_piece).map(u64::from);
        match end.checked_sub(offset) {
            Some(len) if end <= self.data_len && pieces == Some(len.div_ceil(PIECE)) => {
                Ok(Entry { offset, len, first_piece })
            }
            _ => {
                let detail = format!(
                    "block {reduce} is at {offset}..{end} in {} bytes of data, in pieces {first_piece}..{end_piece}",
                    self.data_len
                );
                Err(corrupt(&self.path, detail))
            }
        }
    }

    /// Two numbers of `N` bytes that follow each other.
    fn pair<const N: usize, T>(&self, at: u64, number: impl Fn([u8; N]) -> T) -> Result<[T; 2], ReadError> {
        let mut bytes = [[0; N]; 2];
        let read = self.file.read_exact_at(bytes.as_flattened_mut(), at);
        read.map_err(|e| ReadError::from_io(&self.path, e))?;
        Ok(bytes.map(number))
    }

    /// The checksum of a piece of a block.
    pub(super) fn crc(&self, entry: &Entry, piece: u64) -> Result<u32, ReadError> {
        let at = crcs_at(self.partitions) + 4 * (u64::from(entry.first_piece) + piece);
        Ok(u32::from_be_bytes(read_at(&self.file, &self.path, at)?))
    }
}

fn corrupt(path: &Path, detail: String) -> ReadError {
    ReadError::Corrupt { path: path.to_path_buf(), detail }
}

fn read_at<const N: usize>(file: &File, path: &Path, offset: u64) -> Result<[u8; N], ReadError> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset).map_err(|e| ReadError::from_io(path, e))?;
    Ok(bytes)
}
