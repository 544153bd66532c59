//! Fetching from files and over real sockets, with servers that die, lie, break off and have damaged disks.

mod faults;
mod fetching;
mod process;
mod proxy;
mod requests;
mod server;

use bytes::Bytes;
use futures::TryStreamExt;
use hearth_blocks::{
    BlockId, BlockPiece, FetchError, FetchOptions, Fetcher, OutputId, OutputWriter, Wanted, WriterOptions,
};
use hearth_core::{
    ApplicationId, ShuffleId, TaskId, WorkerId,
    messages::{task::BlockLocation, worker::Address},
};
use std::{net::SocketAddr, path::Path, time::Duration};
use tempfile::TempDir;

/// Longer than anything here takes: what waits that long hangs.
const HANGS: Duration = Duration::from_secs(60);

fn app() -> ApplicationId {
    "app-20261121093000-0001".parse().unwrap()
}

/// A worker's directory, and what the outputs in it hold.
struct Worker {
    dir: TempDir,
}

impl Worker {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn shuffle_dir(&self) -> std::path::PathBuf {
        self.dir.path().join(app().as_str()).join("shuffle")
    }

    /// Commits an output with these blocks.
    fn output(&self, map: u32, blocks: &[Vec<u8>]) -> OutputId {
        let id = OutputId::Map { shuffle: ShuffleId(0), map_partition: map, task: TaskId(u64::from(map) + 100) };
        let partitions = u32::try_from(blocks.len()).unwrap();
        let mut writer = OutputWriter::create(self.shuffle_dir(), id, partitions, WriterOptions::default());
        for (partition, bytes) in (0..).zip(blocks) {
            writer.write(partition, bytes.clone().into()).unwrap();
        }
        writer.commit().unwrap();
        id
    }

    /// Where its blocks are: at this address, and in its directory.
    fn location(&self, address: Option<SocketAddr>) -> BlockLocation {
        BlockLocation {
            worker: "worker-1".parse::<WorkerId>().unwrap(),
            executor: None,
            address: Address {
                host: address.map_or("127.0.0.1".into(), |a| a.ip().to_string()),
                port: address.map_or(0, |a| a.port()),
            },
            directory: self.shuffle_dir().to_str().unwrap().into(),
        }
    }

    fn wanted(&self, address: Option<SocketAddr>, id: BlockId, size: usize) -> Wanted {
        Wanted::whole(self.location(address), id, size as u64)
    }
}

/// Bytes that differ from block to block and within one.
fn noise(seed: usize, len: usize) -> Vec<u8> {
    let mut x = u32::try_from(seed).unwrap().wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x.to_le_bytes()[1]
    };
    (0..len).map(|_| next()).collect()
}

/// Never reads files where there is a server.
fn remote() -> FetchOptions {
    FetchOptions { local_read: false, ..FetchOptions::default() }
}

async fn fetch_all(fetcher: &Fetcher, wanted: Vec<Wanted>) -> Result<Vec<Bytes>, FetchError> {
    let count = wanted.len();
    let pieces = fetcher.fetch(&app(), wanted).try_collect::<Vec<_>>();
    let blocks = joined(tokio::time::timeout(HANGS, pieces).await.expect("a fetch ends")?);
    assert!(blocks.iter().map(|(index, _)| *index).eq(0..count), "blocks come in the order asked");
    Ok(blocks.into_iter().map(|(_, bytes)| bytes).collect())
}

/// The blocks that these pieces are of, each with its place.
fn joined(pieces: Vec<BlockPiece>) -> Vec<(usize, Bytes)> {
    let mut blocks: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut begun = false;
    for BlockPiece { index, bytes, last } in pieces {
        if !std::mem::replace(&mut begun, !last) {
            blocks.push((index, Vec::new()));
        }
        let block = blocks.last_mut().unwrap();
        assert_eq!(block.0, index, "a block is over before the next one begins");
        block.1.extend_from_slice(&bytes);
    }
    assert!(!begun, "the last block is whole");
    blocks.into_iter().map(|(index, bytes)| (index, bytes.into())).collect()
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let polls = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(HANGS, polls).await.unwrap_or_else(|_| panic!("{what} never came"));
}

/// Flips one byte of a file.
fn damage(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}
