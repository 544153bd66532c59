//! From a result block to its rows, batch by batch.
//!
//! ```text
//! inline ──> one piece ───────────────────────────────────────────┐
//! stored ──> fetcher: spans of the block, from its file when that ─┴─> pieces ──> decoder ──> Rows::next
//!            is on this machine, else from whoever serves it
//! ```
//!
//! Invariants: no row is decoded from bytes whose checksum was not verified. Of a stored block no more is asked for than
//! `spark.reducer.maxSizeInFlight` (48 MiB) beyond what was decoded, so that a slow reader costs neither memory nor a
//! connection, and a server that dies is asked again for what did not come. Decoding runs on threads for it, one batch at a
//! time, so that none of them waits for a slow reader.

use super::QueryError;
use crate::shell::DriverHandle;
use datafusion::arrow::array::RecordBatch;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use hearth_blocks::{BlockPiece, FetchOptions, Fetcher, OutputId, Wanted};
use hearth_core::messages::task::ResultBlock;
use hearth_plan::exchange::{BlockDecoder, Piece};
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;

/// How many times more often than a reduce task a result's reader tries to reach a block service: a large result costs much
/// to make again, and a worker starts its block service again within seconds.
const PATIENCE: u32 = 4;

/// Reads result blocks.
#[derive(Debug)]
pub(super) struct Reader {
    driver: DriverHandle,
    fetcher: Fetcher,
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
struct Source {
    partition: u32,
    pieces: BoxStream<'static, Result<Piece, QueryError>>,
    decoder: BlockDecoder,
}

impl Reader {
    /// Must be called on a tokio runtime, which fetches blocks.
    pub(super) fn new(driver: DriverHandle, options: FetchOptions) -> Self {
        let max_retries = options.max_retries.saturating_mul(PATIENCE);
        Self { driver, fetcher: Fetcher::new(FetchOptions { max_retries, ..options }) }
    }

    /// The rows of one partition.
    pub(super) fn rows(&self, partition: u32, block: ResultBlock) -> Rows {
        let source = Source { partition, pieces: self.pieces(partition, block), decoder: BlockDecoder::new(None) };
        Rows { partition, work: Some(source.spawn()) }
    }

    fn pieces(&self, partition: u32, block: ResultBlock) -> BoxStream<'static, Result<Piece, QueryError>> {
        let (task, location, size) = match block {
            ResultBlock::Inline(bytes) => return stream::iter([Ok(bytes.into())]).boxed(),
            ResultBlock::Stored { task, location, bytes } => (task, location, bytes),
        };
        let Some(application) = self.driver.application() else {
            let error = damaged(partition, &"no master has named the application that stored it");
            return stream::iter([Err(error)]).boxed();
        };
        let wanted = Wanted::whole(location, OutputId::Result { task }.block(0), size);
        let fetched = self.fetcher.fetch(&application, vec![wanted]);
        let piece = |BlockPiece { bytes, last, .. }| Piece { bytes, last };
        let lost = move |source| QueryError::Lost { partition, source: Box::new(source) };
        fetched.map(move |fetched| fetched.map(piece).map_err(lost)).boxed()
    }
}

impl Rows {
    /// The next rows; `None` when there are no more, and after an error. May be dropped and asked again.
    pub(super) async fn next(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        let done = self.work.as_mut()?.await;
        self.work = None;
        match done.unwrap_or_else(|e| Err(damaged(self.partition, &e))) {
            Ok(Some((batch, source))) => {
                self.work = Some(source.spawn());
                Some(Ok(batch))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl Source {
    fn spawn(self) -> AbortOnDropHandle<Step> {
        AbortOnDropHandle::new(tokio::spawn(self.step()))
    }

    /// The next batch.
    async fn step(mut self) -> Step {
        let partition = self.partition;
        loop {
            let decode = spawn_blocking(move || {
                let decoded = self.decoder.next_batch();
                (self, decoded)
            });
            let (source, decoded) = decode.await.map_err(|e| damaged(partition, &e))?;
            self = source;
            if let Some(batch) = decoded.map_err(|e| damaged(partition, &e))? {
                return Ok(Some((batch, self)));
            }
            match self.pieces.next().await {
                Some(piece) => self.decoder.push(piece?),
                None => return self.decoder.end().map(|()| None).map_err(|e| damaged(partition, &e)),
            }
        }
    }
}

/// What cannot be decoded; a thread that panicked over it counts as well.
fn damaged(partition: u32, error: &dyn std::fmt::Display) -> QueryError {
    QueryError::Damaged { partition, message: error.to_string() }
}
