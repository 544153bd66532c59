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
//! - Pieces go when the shuffle goes. One that is broken goes at once, so that the next attempt reads it anew.

use futures::{StreamExt, TryStreamExt, stream};
use hearth_blocks::{AsyncOutputWriter, BlockId, Fetcher, OutputId, Wanted, WriterOptions};
use hearth_core::{
    ApplicationId, ShuffleId,
    messages::{
        task::{BlockLocation, TaskFailure},
        worker::Address,
    },
};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    /// Where its own outputs are.
    pub(super) dir: PathBuf,
    pub(super) own: BlockLocation,
    /// Asks the writers' servers.
    pub(super) fetcher: Fetcher,
    /// Asks peers, and once only: what they have not got, others have.
    pub(super) peers: Fetcher,
    pub(super) kept: Mutex<Kept>,
}

/// Outputs that are read together; whoever comes first reads them, and others wait for that.
type Kept = HashMap<Vec<OutputId>, Arc<OnceCell<()>>>;

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
        let cell = Arc::clone(self.kept().entry(outputs).or_default());
        let fetch = || self.fetch(blocks.iter().flat_map(|block| self.parts(block, peers)).collect());
        cell.get_or_try_init(fetch).await?;
        Ok(())
    }

    /// Where the pieces of a block are that is kept, in order.
    pub(super) fn pieces(&self, block: &Wanted) -> Vec<Wanted> {
        // By port 0: its own files are never worth a request.
        let here = BlockLocation { address: Address { port: 0, ..self.own.address.clone() }, ..self.own.clone() };
        let piece = |part: Part<'_>| Wanted::whole(here.clone(), part.id.block(0), part.len);
        self.parts(block, &[]).into_iter().map(piece).collect()
    }

    /// Drops a piece that could not be read, and with it that all pieces of its block are here.
    pub(super) async fn broke(&self, id: BlockId) {
        let OutputId::Replica { shuffle, map_partition, task, .. } = id.output else { return };
        let output = OutputId::Map { shuffle, map_partition, task };
        self.kept().retain(|outputs, _| !outputs.contains(&output));
        // The index first: no reader may find it without its data. They may be gone already.
        for file in [id.output.index_file(), id.output.data_file()] {
            let _ = tokio::fs::remove_file(self.dir.join(file)).await;
        }
    }

    /// Nobody wants these any more.
    pub(super) fn forget(&self, shuffles: &[ShuffleId]) {
        let gone = |id: &OutputId| matches!(id, OutputId::Map { shuffle, .. } if shuffles.contains(shuffle));
        self.kept().retain(|outputs, _| !outputs.iter().any(gone));
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
        parts.try_for_each_concurrent(AT_ONCE, |part| self.fetch_part(part)).await
    }

    async fn fetch_part(&self, part: Part<'_>) -> Result<(), TaskFailure> {
        if matches!(tokio::fs::try_exists(self.dir.join(part.id.index_file())).await, Ok(true)) {
            // Another executor of this worker has it, or an attempt that was cancelled had.
            return Ok(());
        }
        let mut writer = AsyncOutputWriter::create(&self.dir, part.id, 1, WriterOptions::default());
        let at_home = match &part.home {
            Some(home) => {
                let wanted = Wanted::whole(home.clone(), part.id.block(0), part.len);
                read(&self.peers, &self.application, wanted, &mut writer).await.is_ok()
            }
            None => false,
        };
        if !at_home {
            writer = AsyncOutputWriter::create(&self.dir, part.id, 1, WriterOptions::default());
            let wanted = Wanted { range: part.from..part.from + part.len, ..part.block.clone() };
            read(&self.fetcher, &self.application, wanted, &mut writer).await?;
        }
        writer.commit().await?;
        Ok(())
    }
}

async fn read(
    fetcher: &Fetcher,
    application: &ApplicationId,
    wanted: Wanted,
    into: &mut AsyncOutputWriter,
) -> Result<(), TaskFailure> {
    let mut pieces = fetcher.fetch(application, vec![wanted]);
    while let Some(piece) = pieces.next().await {
        into.write(0, piece?.bytes).await?;
    }
    Ok(())
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
mod tests {
    use super::*;
    use hearth_core::TaskId;

    fn peer(port: u16) -> BlockLocation {
        let address = Address { host: "h".into(), port };
        BlockLocation { worker: "w".parse().unwrap(), executor: None, address, directory: "/d".into() }
    }

    #[test]
    fn pieces_are_spread_over_homes_and_few_move_when_a_peer_goes() {
        let peers: Vec<_> = (1..=8).map(peer).collect();
        let id = |piece| OutputId::Replica { shuffle: ShuffleId(1), map_partition: 0, task: TaskId(3), piece };
        let homes: Vec<_> = (0..800).map(|piece| home(&id(piece), &peers).unwrap().address.port).collect();
        for port in 1..=8 {
            let count = homes.iter().filter(|home| **home == port).count();
            assert!((60..=140).contains(&count), "peer {port} is the home of {count} pieces of 800");
        }
        for (piece, before) in (0..).zip(&homes) {
            let after = home(&id(piece), &peers[..7]).unwrap().address.port;
            assert!(after == *before || *before == 8);
        }
        assert!(home(&id(0), &[]).is_none());
    }
}
