//! Blocks that every task reads whole, kept by each executor that read them, for its tasks and for the other executors.
//!
//! ```text
//!                 pieces 0 3 6 …       ┌──────────┐  piece 1, when others ask
//!   writer's ────────────────────────> │ executor │ ────────────────────────> executor, executor, …
//!   server   <── what nobody has yet ─ │          │ <─ pieces 1 4 7 … ─────── at their homes
//!                                      └──────────┘
//! ```
//!
//! All executors want such a block at the same moment, and the one server that has it would send it to each. So it is read
//! in pieces, and each piece has a home: the block server of one of the readers, upon which all of them agree without a
//! word (rendezvous hashing over the peers that the driver names). An executor first takes the pieces whose home it is from
//! the writer's server, then the others from their homes; what is not there yet, or cannot be had, comes from the writer's.
//! A piece is a file beside the outputs, where the own server finds it as it finds those.
//!
//! What holds:
//! - What tasks read together is read once by an executor, however many of its tasks want it; and once by all executors of a worker.
//! - A peer is never needed: whatever is wrong with it, the writer's server is asked, and only its failures are failures.
//! - Nor is a disk: a piece that cannot be written is read from the writer's server by each task that wants it.
//! - Executors of one worker share directories, and may write one piece at once: see [`WriterId`].
//! - Pieces go when the shuffle goes. One that is broken goes at once; what its block is read together with is from then on
//!   read from the writers' servers, so that a disk that fails costs one attempt, and not one a piece.

use super::disks::Disks;
use futures::{StreamExt, TryStreamExt, stream};
use hearth_blocks::{AsyncOutputWriter, BlockId, Fetcher, OutputId, Wanted, WriteError, WriterId, WriterOptions};
use hearth_core::{
    ApplicationId, ExecutorId, ShuffleId,
    messages::{
        task::{BlockLocation, TaskFailure},
        worker::Address,
    },
};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::OnceCell;

/// Bytes of a piece, a multiple of those that have a checksum each.
const PIECE: u64 = 1 << 20;
/// A block of fewer bytes is read as any other: a file of it would cost more than reading it again.
const WORTHWHILE: u64 = 128 << 10;
/// Pieces of one block that are asked for at once.
const AT_ONCE: usize = 4;

/// What this executor keeps of blocks that every task reads whole.
#[derive(Debug)]
pub(super) struct Replicas {
    pub(super) application: ApplicationId,
    pub(super) executor: ExecutorId,
    /// Where its own outputs are, and the pieces.
    pub(super) disks: Arc<Disks>,
    pub(super) own: BlockLocation,
    /// Asks the writers' servers.
    pub(super) fetcher: Fetcher,
    /// Asks peers, and once only: what they have not got, others have.
    pub(super) peers: Fetcher,
    pub(super) kept: Mutex<Kept>,
    /// Writers of pieces so far.
    pub(super) writers: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Outputs that are read together; whoever comes first reads them, and others wait for that.
    together: HashMap<Vec<OutputId>, Arc<OnceCell<()>>>,
    /// The directory of each piece. One that is not here is read from its writer's server.
    places: HashMap<OutputId, PathBuf>,
}

/// Why a piece is not here.
enum Failed {
    /// It could not be read; so cannot the block.
    Read(TaskFailure),
    /// It could not be written, which is no harm.
    Write(WriteError),
    /// No directory takes it, which is no harm either.
    NoDisk(TaskFailure),
}

impl From<WriteError> for Failed {
    fn from(e: WriteError) -> Self {
        Self::Write(e)
    }
}

/// A run of bytes of a block.
struct Part<'b> {
    block: &'b Wanted,
    id: OutputId,
    from: u64,
    len: u64,
    /// Whose server is asked first; the writer's when nobody.
    home: Option<BlockLocation>,
}

impl Replicas {
    /// Whether a block is worth keeping: it is large, comes over the network, and others want it too.
    pub(super) fn wants(&self, block: &Wanted, peers: &[BlockLocation]) -> bool {
        peers.len() > 1
            && block.size >= WORTHWHILE
            && matches!(block.id, BlockId { output: OutputId::Map { .. }, reduce: 0 })
            && !self.fetcher.reads_files_of(&block.location)
    }

    /// Reads what this executor has not got of these blocks.
    pub(super) async fn keep(&self, blocks: &[Wanted], peers: &[BlockLocation]) -> Result<(), TaskFailure> {
        let outputs = blocks.iter().map(|block| block.id.output).collect();
        let cell = Arc::clone(self.kept().together.entry(outputs).or_default());
        let fetch = || self.fetch(blocks.iter().flat_map(|block| self.parts(block, peers)).collect());
        cell.get_or_try_init(fetch).await?;
        Ok(())
    }

    /// Where the pieces of a block are, in order: in files of this machine, as far as they are kept.
    pub(super) fn pieces(&self, block: &Wanted) -> Vec<Wanted> {
        let kept = self.kept();
        let piece = |part: Part<'_>| match kept.places.get(&part.id) {
            Some(dir) => Wanted::whole(self.here(dir), part.id.block(0), part.len),
            None => part.of_the_writer(),
        };
        self.parts(block, &[]).into_iter().map(piece).collect()
    }

    /// A directory of this executor's, by port 0: its own files are never worth a request.
    fn here(&self, dir: &Path) -> BlockLocation {
        let address = Address { port: 0, ..self.own.address.clone() };
        BlockLocation { address, directory: dir.to_string_lossy().into_owned(), ..self.own.clone() }
    }

    /// Drops a piece that could not be read, and keeps nothing more of what is read together with its block.
    pub(super) async fn broke(&self, id: BlockId) {
        let Some(of) = block_of(&id.output) else { return };
        let dir = {
            let mut kept = self.kept();
            let Kept { together, places } = &mut *kept;
            let dir = places.remove(&id.output);
            for outputs in together.keys().filter(|outputs| outputs.contains(&of)) {
                places.retain(|piece, _| block_of(piece).is_none_or(|of| !outputs.contains(&of)));
            }
            dir
        };
        let Some(dir) = dir else { return };
        self.disks.failed(&dir);
        // The index first: no reader may find it without its data. They may be gone already.
        for file in [id.output.index_file(), id.output.data_file()] {
            let _ = tokio::fs::remove_file(dir.join(file)).await;
        }
    }

    /// Nobody wants these any more.
    pub(super) fn forget(&self, shuffles: &[ShuffleId]) {
        let gone = |id: &OutputId| match id {
            OutputId::Map { shuffle, .. } | OutputId::Replica { shuffle, .. } => shuffles.contains(shuffle),
            OutputId::Result { .. } => false,
        };
        let mut kept = self.kept();
        kept.together.retain(|outputs, _| !outputs.iter().any(gone));
        kept.places.retain(|piece, _| !gone(piece));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parts<'b>(&self, block: &'b Wanted, peers: &[BlockLocation]) -> Vec<Part<'b>> {
        let OutputId::Map { shuffle, map_partition, task } = block.id.output else { return Vec::new() };
        let part = |piece: u32| {
            let from = u64::from(piece) * PIECE;
            let id = OutputId::Replica { shuffle, map_partition, task, piece };
            let home = home(&id, peers).filter(|home| **home != self.own).cloned();
            Part { block, id, from, len: PIECE.min(block.size - from), home }
        };
        let pieces = u32::try_from(block.size.div_ceil(PIECE)).unwrap_or(u32::MAX);
        (0..pieces).map(part).collect()
    }

    async fn fetch(&self, mut parts: Vec<Part<'_>>) -> Result<(), TaskFailure> {
        // What others will ask for comes first. Of the rest, each executor begins elsewhere.
        let salt = hash(&self.own);
        parts.sort_by_key(|part| (part.home.is_some(), hash(&(salt, part.id))));
        let parts = stream::iter(parts.into_iter().map(Ok));
        let unkept = Mutex::default();
        parts.try_for_each_concurrent(AT_ONCE, |part| self.fetch_part(part, &unkept)).await?;
        let unkept = unkept.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = unkept.first() {
            tracing::warn!("{} pieces of what every task reads are not kept; of the first: {first}", unkept.len());
        }
        Ok(())
    }

    /// What cannot be kept is added to `unkept`, with the reason.
    async fn fetch_part(&self, part: Part<'_>, unkept: &Mutex<Vec<String>>) -> Result<(), TaskFailure> {
        let kept = match self.found(&part.id).await {
            Some(dir) => Ok(dir),
            None => self.read_part(&part).await,
        };
        let why = match kept {
            Ok(dir) => {
                let Kept { together, places } = &mut *self.kept();
                // Unless it was forgotten meanwhile.
                if together.keys().any(|outputs| outputs.contains(&part.block.id.output)) {
                    places.insert(part.id, dir);
                }
                return Ok(());
            }
            Err(Failed::Read(failure)) => return Err(failure),
            Err(Failed::NoDisk(failure)) => failure.to_string(),
            Err(Failed::Write(e)) => {
                self.disks.failed(&e.path);
                e.to_string()
            }
        };
        unkept.lock().unwrap_or_else(PoisonError::into_inner).push(why);
        Ok(())
    }

    /// Where a piece is that another executor of this worker has, or that an attempt had which was cancelled.
    async fn found(&self, id: &OutputId) -> Option<PathBuf> {
        for dir in self.disks.paths() {
            if matches!(tokio::fs::try_exists(dir.join(id.index_file())).await, Ok(true)) {
                return Some(dir.to_owned());
            }
        }
        None
    }

    /// Reads a piece from its home, else from the writer's server, into a file of the directory that this gives.
    async fn read_part(&self, part: &Part<'_>) -> Result<PathBuf, Failed> {
        let dir = self.disks.choose().map_err(Failed::NoDisk)?;
        if let Some(home) = &part.home {
            let mut writer = self.writer(dir, part.id);
            let wanted = Wanted::whole(home.clone(), part.id.block(0), part.len);
            match read(&self.peers, &self.application, wanted, &mut writer).await {
                Ok(()) => {
                    writer.commit().await?;
                    return Ok(dir.to_owned());
                }
                // Others have what a peer has not got.
                Err(Failed::Read(_)) => {}
                Err(failed) => return Err(failed),
            }
        }
        let mut writer = self.writer(dir, part.id);
        read(&self.fetcher, &self.application, part.of_the_writer(), &mut writer).await?;
        writer.commit().await?;
        Ok(dir.to_owned())
    }

    fn writer(&self, dir: &Path, id: OutputId) -> AsyncOutputWriter {
        let turn = self.writers.fetch_add(1, Ordering::Relaxed);
        let writer = Some(WriterId { executor: self.executor, turn });
        AsyncOutputWriter::create(dir, id, 1, WriterOptions { writer, ..WriterOptions::default() })
    }
}

impl Part<'_> {
    /// It, from the writer's server.
    fn of_the_writer(&self) -> Wanted {
        Wanted { range: self.from..self.from + self.len, ..self.block.clone() }
    }
}

async fn read(
    fetcher: &Fetcher,
    application: &ApplicationId,
    wanted: Wanted,
    into: &mut AsyncOutputWriter,
) -> Result<(), Failed> {
    let mut pieces = fetcher.fetch(application, vec![wanted]);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|e| Failed::Read(e.into()))?;
        into.write(0, piece.bytes).await?;
    }
    Ok(())
}

/// The output that a piece is of.
const fn block_of(piece: &OutputId) -> Option<OutputId> {
    match *piece {
        OutputId::Replica { shuffle, map_partition, task, .. } => Some(OutputId::Map { shuffle, map_partition, task }),
        OutputId::Map { .. } | OutputId::Result { .. } => None,
    }
}

/// The peer that all choose for a piece; when one comes or goes, only its own pieces move.
fn home<'p>(id: &OutputId, peers: &'p [BlockLocation]) -> Option<&'p BlockLocation> {
    peers.iter().max_by_key(|peer| (hash(&(id, &peer.address)), &peer.address))
}

/// The same in every executor: its keys are fixed.
fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
