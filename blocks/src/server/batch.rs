//! The answer to one request, read piece by piece: blocking code.

use crate::{BlockId, OutputId, OutputReader, ReadError, file::BlockReader};
use bytes::Bytes;
use hearth_proto::v1;
use std::path::PathBuf;

/// Bytes read in one go. A disk is as fast with it as with more, and a service of many peers stays small.
const PIECE: usize = 256 * 1024;

/// The rest of an answer.
#[derive(Debug)]
pub(super) struct Batch {
    /// None when the application is not served here.
    directory: Option<PathBuf>,
    blocks: Vec<BlockId>,
    /// The place of the current block.
    at: usize,
    /// The output read last: blocks of one output often follow each other.
    output: Option<(OutputId, OutputReader)>,
    current: Option<BlockReader>,
}

impl Batch {
    pub(super) const fn new(directory: Option<PathBuf>, blocks: Vec<BlockId>) -> Self {
        Self { directory, blocks, at: 0, output: None, current: None }
    }

    /// Whether all was read.
    pub(super) fn is_over(&self) -> bool {
        self.at == self.blocks.len()
    }

    /// The next messages: one large chunk, or many small blocks.
    pub(super) fn read_on(&mut self) -> Vec<v1::FetchChunk> {
        let mut chunks = Vec::new();
        let mut room = PIECE;
        while room > 0 && !self.is_over() {
            let block = u32::try_from(self.at).expect("at most MAX_BLOCKS");
            let chunk = match self.read_chunk(room) {
                Ok((head, data)) => {
                    room -= data.len();
                    v1::FetchChunk { block, head, data, fault: None }
                }
                Err(e) => {
                    if !matches!(e, ReadError::NotFound { .. }) {
                        tracing::warn!(block = %self.blocks[self.at], "{e}");
                    }
                    self.current = None;
                    self.at += 1;
                    v1::FetchChunk { block, head: None, data: Bytes::new(), fault: Some((&e).into()) }
                }
            };
            chunks.push(chunk);
        }
        chunks
    }

    fn read_chunk(&mut self, max: usize) -> Result<(Option<v1::BlockHead>, Bytes), ReadError> {
        let (mut reader, head) = match self.current.take() {
            Some(reader) => (reader, None),
            None => {
                let reader = self.open()?;
                let head = v1::BlockHead { size: reader.size(), crc32c: reader.crc() };
                (reader, Some(head))
            }
        };
        let data = reader.next_chunk(max)?.unwrap_or_default();
        if reader.is_over() {
            self.at += 1;
        } else {
            self.current = Some(reader);
        }
        Ok((head, data))
    }

    fn open(&mut self) -> Result<BlockReader, ReadError> {
        let BlockId { output: id, reduce } = self.blocks[self.at];
        if let Some((_, output)) = self.output.as_ref().filter(|(open, _)| *open == id) {
            return output.block(reduce);
        }
        let Some(directory) = &self.directory else {
            let detail = "this application's blocks are not served here".into();
            return Err(ReadError::NotFound { path: id.index_file().into(), detail });
        };
        let output = OutputReader::open(directory, &id)?;
        let block = output.block(reduce);
        self.output = Some((id, output));
        block
    }
}
