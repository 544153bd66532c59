//! From a result block to its rows, batch by batch.
//!
//! ```text
//! inline, or on another machine ──> the block, whole, in memory ──┐
//! on this machine ──> its file: verified, then read in chunks ────┴──> decoded batch ──> Rows::next
//! ```
//!
//! Invariants: no row of a damaged block is handed out, so a file is read twice: once for its checksum, in the same
//! chunks. Blocking work runs on threads for it, one batch at a time, so that none of them waits for a slow reader.

use super::QueryError;
use crate::shell::DriverHandle;
use bytes::Bytes;
use datafusion::arrow::{array::RecordBatch, buffer::Buffer, error::ArrowError, ipc::reader::StreamDecoder};
use futures::StreamExt;
use hearth_blocks::{
    FailureKind, FetchError, FetchOptions, Fetcher, OutputId, OutputReader, ReadError, Wanted, file::BlockReader,
};
use hearth_core::{
    TaskId,
    messages::{
        task::{BlockLocation, ResultBlock},
        worker::Address,
    },
};
use hearth_plan::exchange::BlockDecoder;
use std::{path::Path, sync::Arc};
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::task::AbortOnDropHandle;

/// Bytes of a file that are read at once: enough for the disk, nothing for the memory.
const CHUNK: usize = 1 << 20;

/// Reads result blocks.
#[derive(Debug)]
pub(super) struct Reader {
    driver: DriverHandle,
    fetcher: Fetcher,
    options: FetchOptions,
}

/// The rows of one partition.
#[derive(Debug)]
pub(super) struct Rows {
    partition: u32,
    /// Makes the next batch. Kept here while it is awaited, so that whoever asks may give up and ask again.
    work: Option<AbortOnDropHandle<Step>>,
}

/// A batch, and what makes the next one; nothing at the end.
type Step = Result<Option<(RecordBatch, Source)>, QueryError>;

/// Where the batches of a partition come from.
enum Source {
    Held(BlockDecoder),
    File(Box<FileSource>),
}

/// A verified block of a file of this machine.
struct FileSource {
    wanted: Wanted,
    block: BlockReader,
    decoder: StreamDecoder,
    chunk: Buffer,
}

impl Reader {
    /// Must be called on a tokio runtime, which fetches blocks.
    pub(super) fn new(driver: DriverHandle, options: FetchOptions) -> Self {
        Self { driver, fetcher: Fetcher::new(options.clone()), options }
    }

    /// The rows of one partition.
    pub(super) fn rows(self: &Arc<Self>, partition: u32, block: ResultBlock) -> Rows {
        let reader = self.clone();
        let open = async move {
            let source = match block {
                ResultBlock::Inline(bytes) => Source::held(bytes),
                ResultBlock::Stored { task, location, bytes } => reader.open(partition, task, location, bytes).await?,
            };
            spawn_blocking(move || source.step(partition)).await.map_err(|e| damaged(partition, &e))?
        };
        Rows { partition, work: Some(AbortOnDropHandle::new(tokio::spawn(open))) }
    }

    async fn open(
        &self,
        partition: u32,
        task: TaskId,
        location: BlockLocation,
        size: u64,
    ) -> Result<Source, QueryError> {
        let wanted = Wanted { location, id: OutputId::Result { task }.block(0), size };
        if self.is_here(&wanted.location) {
            let opening = wanted.clone();
            let opened = spawn_blocking(move || open_twice(&opening)).await.map_err(|e| damaged(partition, &e))?;
            // Whoever serves blocks there may have one that cannot be opened; if not, the fetcher says so.
            if let Ok([to_verify, block]) = opened {
                let verified = verify(to_verify, size).await.map_err(|e| damaged(partition, &e))?;
                verified.map_err(|e| lost(partition, &wanted, e))?;
                return Ok(Source::file(wanted, block));
            }
        }
        self.fetch(partition, wanted).await.map(Source::held)
    }

    /// Whether a block is to be read from its file.
    fn is_here(&self, location: &BlockLocation) -> bool {
        let (ours, host) = (&self.options.host, &location.address.host);
        let here = host == ours || Address::is_loopback(host) && Address::is_loopback(ours);
        let file = location.address.port == 0 || self.options.local_read && here;
        file && Path::new(&location.directory).is_absolute()
    }

    async fn fetch(&self, partition: u32, wanted: Wanted) -> Result<Bytes, QueryError> {
        let damaged = |message: &str| QueryError::Damaged { partition, message: message.to_owned() };
        let application = self.driver.application();
        let application = application.ok_or_else(|| damaged("no master has named the application that stored it"))?;
        let mut blocks = self.fetcher.fetch(&application, vec![wanted]);
        match blocks.next().await {
            Some(Ok((_, bytes))) => Ok(bytes),
            Some(Err(source)) => Err(QueryError::Lost { partition, source: Box::new(source) }),
            None => Err(damaged("there is no such block")),
        }
    }
}

impl Rows {
    /// The next rows; `None` when there are no more, and after an error. May be dropped and asked again.
    pub(super) async fn next(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        let partition = self.partition;
        let done = self.work.as_mut()?.await;
        self.work = None;
        match done.unwrap_or_else(|e| Err(damaged(partition, &e))) {
            Ok(Some((batch, source))) => {
                self.work = Some(AbortOnDropHandle::new(spawn_blocking(move || source.step(partition))));
                Some(Ok(batch))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl Source {
    fn held(block: Bytes) -> Self {
        Self::Held(BlockDecoder::new(block, None))
    }

    fn file(wanted: Wanted, block: BlockReader) -> Self {
        Self::File(Box::new(FileSource { wanted, block, decoder: StreamDecoder::new(), chunk: Buffer::default() }))
    }

    /// The next batch. Blocks.
    fn step(mut self, partition: u32) -> Step {
        let batch = match &mut self {
            Self::Held(decoder) => decoder.next().transpose().map_err(|e| damaged(partition, &e)),
            Self::File(file) => file.next(partition),
        };
        Ok(batch?.map(|batch| (batch, self)))
    }
}

impl FileSource {
    fn next(&mut self, partition: u32) -> Result<Option<RecordBatch>, QueryError> {
        let undecodable = |e: ArrowError| damaged(partition, &e);
        loop {
            if let Some(batch) = self.decoder.decode(&mut self.chunk).map_err(undecodable)? {
                return Ok(Some(batch));
            }
            match self.block.next_chunk(CHUNK).map_err(|e| lost(partition, &self.wanted, e))? {
                Some(chunk) => self.chunk = Buffer::from(chunk),
                // That it is not cut off between two batches is certain: it has the size and checksum of what was committed.
                None => return self.decoder.finish().map(|()| None).map_err(undecodable),
            }
        }
    }
}

/// A block to verify, and to decode. Blocks.
fn open_twice(wanted: &Wanted) -> Result<[BlockReader; 2], ReadError> {
    let output = OutputReader::open(Path::new(&wanted.location.directory), &wanted.id.output)?;
    Ok([output.block(wanted.id.reduce)?, output.block(wanted.id.reduce)?])
}

/// Reads a block to its end, which comes only if its checksum is right.
async fn verify(mut block: BlockReader, size: u64) -> Result<Result<(), FileTrouble>, JoinError> {
    if block.size() != size {
        let message = format!("the block has {} bytes where {size} were committed", block.size());
        return Ok(Err(FileTrouble { kind: FailureKind::CorruptOnDisk, message }));
    }
    // Chunk by chunk, so that a query that is dropped does not go on reading.
    while !block.is_over() {
        match spawn_blocking(move || block.next_chunk(CHUNK).map(|_| block)).await? {
            Ok(rest) => block = rest,
            Err(e) => return Ok(Err(e.into())),
        }
    }
    Ok(Ok(()))
}

/// What is wrong with a file.
struct FileTrouble {
    kind: FailureKind,
    message: String,
}

impl From<ReadError> for FileTrouble {
    fn from(e: ReadError) -> Self {
        let kind = match e {
            ReadError::NotFound { .. } => FailureKind::NotFound,
            ReadError::Corrupt { .. } => FailureKind::CorruptOnDisk,
            ReadError::Io { .. } => FailureKind::Io,
        };
        Self { kind, message: e.to_string() }
    }
}

fn lost(partition: u32, wanted: &Wanted, trouble: impl Into<FileTrouble>) -> QueryError {
    let FileTrouble { kind, message } = trouble.into();
    let location = Box::new(wanted.location.clone());
    let source = Box::new(FetchError { index: 0, location, id: wanted.id, kind, message });
    QueryError::Lost { partition, source }
}

/// What cannot be decoded; a thread that panicked over it counts as well.
fn damaged(partition: u32, error: &dyn std::fmt::Display) -> QueryError {
    QueryError::Damaged { partition, message: error.to_string() }
}
