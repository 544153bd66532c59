//! The answer to one request, read piece by piece: blocking code.

use super::request::SpanAsked;
use crate::{
    BlockId, OutputId, OutputReader, ReadError,
    file::{BlockReader, Piece},
    limits::PIECE,
};
use bytes::Bytes;
use hearth_proto::v1;
use std::path::PathBuf;

/// The rest of an answer.
#[derive(Debug)]
pub(super) struct Batch {
    /// None when the application is not served here.
    directories: Vec<PathBuf>,
    spans: Vec<SpanAsked>,
    /// The place of the current span.
    at: usize,
    /// The output read last: spans of one output often follow each other.
    output: Option<(OutputId, OutputReader)>,
    current: Option<BlockReader>,
}

impl Batch {
    pub(super) const fn new(directories: Vec<PathBuf>, spans: Vec<SpanAsked>) -> Self {
        Self { directories, spans, at: 0, output: None, current: None }
    }

    /// Whether all was read.
    pub(super) fn is_over(&self) -> bool {
        self.at == self.spans.len()
    }

    /// The next messages: one piece, or many small blocks.
    pub(super) fn read_on(&mut self) -> Vec<v1::FetchChunk> {
        let mut chunks = Vec::new();
        let mut read = 0;
        while read < PIECE && !self.is_over() {
            let chunk = self.read_chunk();
            read += chunk.data.len() as u64;
            chunks.push(chunk);
        }
        chunks
    }

    fn read_chunk(&mut self) -> v1::FetchChunk {
        let mut chunk = v1::FetchChunk {
            span: u32::try_from(self.at).expect("at most MAX_BLOCKS"),
            head: None,
            data: Bytes::new(),
            fault: None,
            crc32c: 0,
        };
        match self.read_into(&mut chunk) {
            Ok(Some(rest)) => self.current = Some(rest),
            Ok(None) => self.at += 1,
            Err(e) => {
                if !matches!(e, ReadError::NotFound { .. }) {
                    tracing::warn!(block = %self.spans[self.at].block, "{e}");
                }
                chunk.fault = Some((&e).into());
                self.at += 1;
            }
        }
        chunk
    }

    /// Gives what is left of the span.
    fn read_into(&mut self, chunk: &mut v1::FetchChunk) -> Result<Option<BlockReader>, ReadError> {
        let mut reader = match self.current.take() {
            Some(reader) => reader,
            None => {
                let block = self.open()?;
                // Before anything can be wrong with the span: the size tells the reader that it knows another block.
                chunk.head = Some(v1::BlockHead { size: block.size() });
                let span = self.spans[self.at].within(block.size());
                block.span(span)?
            }
        };
        if let Some(Piece { bytes, crc }) = reader.next_piece()? {
            (chunk.data, chunk.crc32c) = (bytes, crc);
        }
        Ok((!reader.is_over()).then_some(reader))
    }

    fn open(&mut self) -> Result<BlockReader, ReadError> {
        let BlockId { output: id, reduce } = self.spans[self.at].block;
        if let Some((_, output)) = self.output.as_ref().filter(|(open, _)| *open == id) {
            return output.block(reduce);
        }
        let output = self.find(&id)?;
        let block = output.block(reduce);
        self.output = Some((id, output));
        block
    }

    /// The output, in whichever directory it is: that one of them cannot be looked into hides nothing that lies in others.
    fn find(&self, id: &OutputId) -> Result<OutputReader, ReadError> {
        let detail = "this application's blocks are not served here".into();
        let mut failure = ReadError::NotFound { path: id.index_file().into(), detail };
        for directory in &self.directories {
            match OutputReader::open(directory, id) {
                Ok(output) => return Ok(output),
                // What is wrong with a disk says more than that another has not got it.
                Err(e) if matches!(failure, ReadError::NotFound { .. }) => failure = e,
                Err(_) => {}
            }
        }
        Err(failure)
    }
}
