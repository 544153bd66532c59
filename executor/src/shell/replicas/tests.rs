//! Pieces that are kept, and disks that do not keep them.

use super::*;
use hearth_blocks::{BlockService, FetchOptions, Layout, OutputWriter, server::serve};
use hearth_core::{ShuffleId, TaskId};
use std::fs;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

fn app() -> ApplicationId {
    "app-1".parse().unwrap()
}

fn peer(port: u16) -> BlockLocation {
    let address = Address { host: "h".into(), port };
    BlockLocation { worker: "w".parse().unwrap(), executor: None, address, directory: "/d".into() }
}

/// A block of some pieces on another machine, and the directories of this one.
struct Fixture {
    root: TempDir,
    bytes: Vec<u8>,
    block: Wanted,
    server: JoinHandle<()>,
}

impl Fixture {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("writer");
        let bytes: Vec<u8> = (0..3 * PIECE + 7).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let id = OutputId::Map { shuffle: ShuffleId(5), map_partition: 0, task: TaskId(9) };
        let mut writer = OutputWriter::create(&dir, id, 1, WriterOptions::default());
        writer.write(0, bytes.clone().into()).unwrap();
        writer.commit().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = BlockService::new(Layout::Application { application: app(), directories: vec![dir] });
        let server = tokio::spawn(async move { serve(listener, service, std::future::pending()).await.unwrap() });
        let address = Address { host: "127.0.0.1".into(), port };
        let location = BlockLocation { address, directory: "/another/machine".into(), ..peer(1) };
        let block = Wanted::whole(location, id.block(0), bytes.len() as u64);
        Self { root, bytes, block, server }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A directory in which nothing can be made.
    fn broken(&self) -> PathBuf {
        fs::write(self.dir("file"), "").unwrap();
        self.dir("file/shuffle")
    }

    /// An executor that has these directories.
    fn executor(&self, id: u32, dirs: &[PathBuf]) -> Replicas {
        let options = FetchOptions { local_read: false, ..FetchOptions::default() };
        let fetcher = Fetcher::new(options.clone());
        Replicas {
            application: app(),
            executor: ExecutorId(id),
            disks: Arc::new(Disks::new(dirs.to_vec(), 0)),
            own: peer(0),
            fetcher,
            peers: Fetcher::new(options.once()),
            kept: Mutex::default(),
            writers: AtomicU64::new(0),
        }
    }

    async fn keep(&self, of: &Replicas) {
        of.keep(std::slice::from_ref(&self.block), &[peer(0)]).await.unwrap();
    }

    /// What a task reads; a piece that cannot be read is given up as by a task that fails.
    async fn read(&self, of: &Replicas) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        let mut pieces = of.fetcher.fetch(&app(), of.pieces(&self.block));
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => all.extend_from_slice(&piece.bytes),
                Err(e) => {
                    of.broke(e.id).await;
                    return None;
                }
            }
        }
        Some(all)
    }

    /// How many pieces are read from files.
    fn kept(&self, of: &Replicas) -> usize {
        of.pieces(&self.block).iter().filter(|piece| piece.location.address.port == 0).count()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn piece(number: u32) -> OutputId {
    OutputId::Replica { shuffle: ShuffleId(5), map_partition: 0, task: TaskId(9), piece: number }
}

#[tokio::test]
async fn pieces_go_where_they_can_be_written() {
    let fixture = Fixture::new().await;
    let good = fixture.dir("good");
    let executor = fixture.executor(1, &[fixture.broken(), good.clone()]);
    fixture.keep(&executor).await;
    assert_eq!(fixture.kept(&executor), 4);
    assert_eq!(fs::read_dir(&good).unwrap().count(), 8);
    // Where they were written, not where they came from.
    fixture.server.abort();
    assert_eq!(fixture.read(&executor).await.unwrap(), fixture.bytes);
}

#[tokio::test]
async fn what_no_disk_takes_is_read_from_its_writer() {
    let fixture = Fixture::new().await;
    // There is such a directory, and nobody makes a file in it: this fails when it is written, after it was chosen.
    let proc = PathBuf::from("/proc");
    for (id, dirs) in [(1, [fixture.broken()]), (2, [proc])] {
        let executor = fixture.executor(id, &dirs);
        fixture.keep(&executor).await;
        assert_eq!(fixture.kept(&executor), 0);
        assert_eq!(fixture.read(&executor).await.unwrap(), fixture.bytes);
    }
}

#[tokio::test]
async fn executors_of_one_worker_may_keep_the_same_pieces_at_once() {
    let fixture = Fixture::new().await;
    let dirs = [fixture.dir("shuffle")];
    fs::create_dir(&dirs[0]).unwrap();
    // A killed executor had begun each of them.
    for number in 0..4 {
        for left in [format!("{}.data.tmp", piece(number)), format!("{}.{}-0.data.tmp", piece(number), ExecutorId(9))] {
            fs::write(dirs[0].join(left), "half").unwrap();
        }
    }
    let executors = [1, 2].map(|id| fixture.executor(id, &dirs));
    tokio::join!(fixture.keep(&executors[0]), fixture.keep(&executors[1]));
    for executor in &executors {
        assert_eq!(fixture.kept(executor), 4);
        assert_eq!(fixture.read(executor).await.unwrap(), fixture.bytes);
    }
}

#[tokio::test]
async fn a_disk_that_gives_nothing_back_costs_one_attempt() {
    let fixture = Fixture::new().await;
    let dir = fixture.dir("shuffle");
    let executor = fixture.executor(1, std::slice::from_ref(&dir));
    fixture.keep(&executor).await;
    for number in 0..4 {
        fs::write(dir.join(piece(number).data_file()), "").unwrap();
    }
    assert_eq!(fixture.read(&executor).await, None);
    fixture.keep(&executor).await;
    assert_eq!(fixture.kept(&executor), 0);
    assert_eq!(fixture.read(&executor).await.unwrap(), fixture.bytes);
}

#[tokio::test]
async fn nothing_is_remembered_of_what_is_forgotten() {
    let fixture = Fixture::new().await;
    let executor = fixture.executor(1, &[fixture.dir("shuffle")]);
    fixture.keep(&executor).await;
    executor.forget(&[ShuffleId(4)]);
    assert_eq!(fixture.kept(&executor), 4);
    executor.forget(&[ShuffleId(5)]);
    let kept = executor.kept();
    assert!(kept.together.is_empty() && kept.places.is_empty());
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
