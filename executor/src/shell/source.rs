//! Where a task's input comes from: the blocks that its map statuses name, by way of the executor's fetcher.

use super::replicas::Replicas;
use futures::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use hearth_blocks::{BlockPiece, Fetcher, OutputId, Wanted};
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
    replicas: Arc<Replicas>,
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

/// Pieces that count how long they are waited for.
struct Timed {
    pieces: BoxStream<'static, Result<Piece, TaskFailure>>,
    read: Arc<Read>,
    /// Since when the task waits.
    since: Option<Instant>,
}

impl Stream for Timed {
    type Item = Result<Piece, TaskFailure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.pieces.poll_next_unpin(cx);
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
    pub(super) fn new(
        application: ApplicationId,
        fetcher: Fetcher,
        replicas: Arc<Replicas>,
        inputs: Vec<Arc<MapStatuses>>,
    ) -> Self {
        Self { application, fetcher, replicas, inputs, read: Arc::default() }
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
    fn wanted(statuses: &MapStatuses, blocks: Selection) -> Result<Vec<Wanted>, TaskFailure> {
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
            let MapStatus { partition, task, location, sizes, .. } = status;
            let partitions = sizes.len();
            let size = sizes.get(blocks.reduce as usize);
            let size = *size.ok_or_else(|| malformed(format!("reduce partition {} of {partitions}", blocks.reduce)))?;
            if size > 0 {
                let output = OutputId::Map { shuffle: statuses.shuffle, map_partition: *partition, task: *task };
                wanted.push(Wanted::whole(location.clone(), output.block(blocks.reduce), size));
            }
        }
        Ok(wanted)
    }
}

/// The plan and its inputs do not fit each other, and will not fit the next time either.
fn malformed(what: String) -> TaskFailure {
    TaskFailure::Query(format!("the plan reads {what}, which is not there; please report this with the query"))
}

/// What is asked of the fetcher, and which of it ends a block.
#[derive(Default)]
struct Plan {
    wanted: Vec<Wanted>,
    ends: Vec<bool>,
}

/// The blocks, or the pieces of them that are kept here.
async fn plan(blocks: Vec<Wanted>, statuses: &MapStatuses, replicas: &Replicas) -> Result<Plan, TaskFailure> {
    let is_kept = |block: &&Wanted| replicas.wants(block, &statuses.peers);
    let kept: Vec<_> = blocks.iter().filter(is_kept).cloned().collect();
    if !kept.is_empty() {
        replicas.keep(&kept, &statuses.peers).await?;
    }
    let mut plan = Plan::default();
    for block in blocks {
        let parts = if is_kept(&&block) { replicas.pieces(&block) } else { vec![block] };
        plan.ends.resize(plan.ends.len() + parts.len() - 1, false);
        plan.ends.push(true);
        plan.wanted.extend(parts);
    }
    Ok(plan)
}

impl BlockSource for ShuffleSource {
    fn read(&self, input: usize, blocks: Selection) -> BoxStream<'static, Result<Piece, TaskFailure>> {
        let inputs = self.inputs.len();
        let found = self.inputs.get(input).ok_or_else(|| malformed(format!("input {input} of {inputs}")));
        let found = found.and_then(|statuses| Ok((Arc::clone(statuses), Self::wanted(statuses, blocks)?)));
        let (statuses, wanted) = match found {
            Ok(found) => found,
            Err(failure) => return stream::iter([Err(failure)]).boxed(),
        };
        let (application, fetcher) = (self.application.clone(), self.fetcher.clone());
        let (read, replicas) = (self.read.clone(), self.replicas.clone());
        let pieces = async move {
            let Plan { wanted, ends } = plan(wanted, &statuses, &replicas).await?;
            let pieces = fetcher.fetch(&application, wanted).then(move |piece| {
                let replicas = replicas.clone();
                async move {
                    if let Err(e) = &piece {
                        replicas.broke(e.id).await;
                    }
                    piece
                }
            });
            Ok::<_, TaskFailure>(pieces.map(move |piece| {
                let BlockPiece { index, bytes, last } = piece?;
                read.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(Piece { bytes, last: last && ends[index] })
            }))
        };
        let pieces = stream::once(pieces).try_flatten().boxed();
        Timed { pieces, read: self.read.clone(), since: None }.boxed()
    }
}
