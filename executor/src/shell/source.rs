//! Where a task's input comes from: the blocks that its map statuses name, by way of the executor's fetcher.

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use hearth_blocks::{BlockPiece, BlockStream, Fetcher, OutputId, Wanted};
use hearth_core::{
    ApplicationId,
    messages::task::{MapStatus, MapStatuses, TaskFailure},
};
use hearth_plan::{BlockSource, Maps, Piece, Selection};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// The input of one task.
#[derive(Debug)]
pub(super) struct ShuffleSource {
    application: ApplicationId,
    fetcher: Fetcher,
    /// One an input.
    inputs: Vec<Arc<MapStatuses>>,
    read: Arc<Read>,
}

/// What was read so far.
#[derive(Debug, Default)]
struct Read {
    bytes: AtomicU64,
    waited_micros: AtomicU64,
}

/// Blocks that count how long they are waited for.
struct Timed {
    blocks: BlockStream,
    read: Arc<Read>,
    /// Since when the task waits.
    since: Option<Instant>,
}

impl Stream for Timed {
    type Item = <BlockStream as Stream>::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.blocks.poll_next_unpin(cx);
        if next.is_pending() {
            self.since.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.since.take() {
            let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.read.waited_micros.fetch_add(micros, Ordering::Relaxed);
        }
        next
    }
}

impl ShuffleSource {
    pub(super) fn new(application: ApplicationId, fetcher: Fetcher, inputs: Vec<Arc<MapStatuses>>) -> Self {
        Self { application, fetcher, inputs, read: Arc::default() }
    }

    /// Bytes of blocks that the task has taken so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read.bytes.load(Ordering::Relaxed)
    }

    /// How long the task has waited for them, inputs that were waited for at once each.
    pub(super) fn waited(&self) -> Duration {
        Duration::from_micros(self.read.waited_micros.load(Ordering::Relaxed))
    }

    /// What a selection means, or why it means nothing. Blocks without bytes have no rows and are not asked for.
    fn wanted(&self, input: usize, blocks: Selection) -> Result<Vec<Wanted>, TaskFailure> {
        let inputs = self.inputs.len();
        let statuses = self.inputs.get(input).ok_or_else(|| malformed(format!("input {input} of {inputs}")))?;
        let maps = match blocks.maps {
            Maps::All => statuses.statuses.as_slice(),
            Maps::One(map) => {
                let status = statuses.statuses.get(map as usize);
                let found = status.ok_or_else(|| malformed(format!("map {map} of {}", statuses.statuses.len())))?;
                std::slice::from_ref(found)
            }
        };
        let mut wanted = Vec::with_capacity(maps.len());
        for status in maps {
            let MapStatus { partition, task, location, sizes } = status;
            let partitions = sizes.len();
            let size = sizes.get(blocks.reduce as usize);
            let size = *size.ok_or_else(|| malformed(format!("reduce partition {} of {partitions}", blocks.reduce)))?;
            if size > 0 {
                let output = OutputId::Map { shuffle: statuses.shuffle, map_partition: *partition, task: *task };
                wanted.push(Wanted { location: location.clone(), id: output.block(blocks.reduce), size });
            }
        }
        Ok(wanted)
    }
}

/// The plan and its inputs do not fit each other, and will not fit the next time either.
fn malformed(what: String) -> TaskFailure {
    TaskFailure::Query(format!("the plan reads {what}, which is not there; please report this with the query"))
}

impl BlockSource for ShuffleSource {
    fn read(&self, input: usize, blocks: Selection) -> BoxStream<'static, Result<Piece, TaskFailure>> {
        let wanted = match self.wanted(input, blocks) {
            Ok(wanted) => wanted,
            Err(failure) => return stream::iter([Err(failure)]).boxed(),
        };
        let blocks = self.fetcher.fetch(&self.application, wanted);
        let read = self.read.clone();
        Timed { blocks, read: read.clone(), since: None }
            .map(move |block| {
                let BlockPiece { bytes, last, .. } = block?;
                read.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(Piece { bytes, last })
            })
            .boxed()
    }
}
