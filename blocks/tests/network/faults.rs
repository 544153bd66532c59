//! Servers that die, wires that break or lie, disks that are damaged. Each test asserts that its fault happened.

use super::{
    proxy::{Fault, Proxy},
    server::TestServer,
    *,
};
use futures::StreamExt;
use hearth_blocks::{BlockService, FailureKind, Layout};
use hearth_core::messages::task::TaskFailure;
use tokio::net::TcpListener;

fn service(worker: &Worker) -> BlockService {
    BlockService::new(Layout::Worker { roots: vec![worker.dir.path().into()] })
}

#[tokio::test]
async fn a_server_that_dies_and_returns_is_asked_again() {
    let worker = Worker::new();
    let blocks: Vec<_> = (0..50).map(|i| noise(i, 20_000)).collect();
    let id = worker.output(0, &blocks);
    // An address of loopback of its own: nobody else takes the port while the server is down.
    let server = TestServer::start_at(service(&worker), ([127, 0, 0, 2], 0).into());
    let address = server.address;
    let fetcher = Fetcher::new(FetchOptions { max_in_flight: 100_000, max_retries: 50, ..remote() });
    let wanted = (0..50).map(|r| worker.wanted(Some(address), id.block(r), 20_000)).collect();
    let mut stream = fetcher.fetch(&app(), wanted);
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first, BlockPiece { index: 0, bytes: blocks[0].clone().into(), last: true });
    server.kill();
    let rest = tokio::spawn(async move { stream.try_collect::<Vec<_>>().await });
    until("a broken request", || fetcher.counts().broken_requests > 0).await;
    assert!(!rest.is_finished());
    let _server = TestServer::start_at(service(&worker), address);
    let rest = tokio::time::timeout(HANGS, rest).await.unwrap().unwrap().unwrap();
    let expected: Vec<_> = blocks.into_iter().map(Bytes::from).enumerate().skip(1).collect();
    assert_eq!(joined(rest), expected);
}

/// What came of a large block is not asked for again.
#[tokio::test]
async fn a_large_block_goes_on_where_its_server_died() {
    const SIZE: usize = 20_000_000;
    let worker = Worker::new();
    let block = noise(1, SIZE);
    let id = worker.output(0, std::slice::from_ref(&block));
    let server = TestServer::start_at(service(&worker), ([127, 0, 0, 4], 0).into());
    let address = server.address;
    let fetcher = Fetcher::new(FetchOptions { max_in_flight: 2 << 20, max_retries: 50, ..remote() });
    let mut stream = fetcher.fetch(&app(), vec![worker.wanted(Some(address), id.block(0), SIZE)]);
    let mut taken = Vec::new();
    while taken.len() < SIZE / 2 {
        taken.extend_from_slice(&stream.next().await.unwrap().unwrap().bytes);
    }
    server.kill();
    let rest = tokio::spawn(async move { stream.try_collect::<Vec<_>>().await });
    until("a broken request", || fetcher.counts().broken_requests > 0).await;
    assert!(!rest.is_finished());
    let again = TestServer::start_at(service(&worker), address);
    let rest = tokio::time::timeout(HANGS, rest).await.unwrap().unwrap().unwrap();
    rest.iter().for_each(|piece| taken.extend_from_slice(&piece.bytes));
    assert!(taken == block);
    assert!(again.service.bytes_read() <= (SIZE / 2) as u64);
}

#[tokio::test]
async fn a_server_that_is_gone_is_unreachable_after_the_retries() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 1000)]);
    // Bound and closed again: nobody listens.
    let address = TcpListener::bind("127.0.0.3:0").await.unwrap().local_addr().unwrap();
    let fetcher = Fetcher::new(remote());
    let wanted = worker.wanted(Some(address), id.block(0), 1000);
    let e = fetch_all(&fetcher, vec![wanted.clone()]).await.unwrap_err();
    assert_eq!((e.index, e.id, e.kind), (0, id.block(0), FailureKind::Unreachable));
    assert_eq!(*e.location, wanted.location);
    assert!(e.message.contains("Connection refused") && e.message.ends_with("(tried 4 times)"), "{e}");
    assert_eq!(fetcher.counts().broken_requests, 4);
    let text = e.to_string();
    assert!(text.starts_with(&format!("cannot fetch block shuffle_0_0_100.0 from {address}: ")), "{text}");
    let TaskFailure::FetchFailed { map_partition, map_task, location, .. } = e.into() else { panic!("{text}") };
    assert_eq!((map_partition, map_task, *location), (0, TaskId(100), wanted.location));
}

#[tokio::test]
async fn a_server_that_says_nothing_has_broken_off() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 1000)]);
    // Takes connections, into the listener's queue, and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = FetchOptions { idle_timeout: Duration::from_millis(50), max_retries: 1, ..remote() };
    let fetcher = Fetcher::new(options);
    let wanted = vec![worker.wanted(Some(mute.local_addr().unwrap()), id.block(0), 1000)];
    let e = fetch_all(&fetcher, wanted).await.unwrap_err();
    assert_eq!(e.kind, FailureKind::Unreachable);
    assert!(e.message.contains("it said nothing for 0.05 s (tried 2 times)"), "{e}");
}

#[tokio::test]
async fn a_wire_cut_in_the_middle_of_a_block_costs_a_retry() {
    let worker = Worker::new();
    let blocks = [noise(1, 1000), noise(2, 3_000_000), noise(3, 1000)];
    let id = worker.output(0, &blocks);
    let server = TestServer::start(service(&worker));
    for cut in [0, 1, 500, 5000, 1_000_000, 2_999_999] {
        let proxy = Proxy::start(server.address, Fault::CutAfter(cut), 1).await;
        let fetcher = Fetcher::new(remote());
        let wanted = (0..).zip(&blocks).map(|(r, b)| worker.wanted(Some(proxy.address), id.block(r), b.len()));
        assert_eq!(fetch_all(&fetcher, wanted.collect()).await.unwrap(), blocks);
        assert_eq!(proxy.happened(), 1);
        assert!(fetcher.counts().broken_requests > 0, "cut after {cut} bytes");
    }
}

#[tokio::test]
async fn a_wire_that_is_always_cut_is_given_up() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 3_000_000)]);
    let server = TestServer::start(service(&worker));
    let proxy = Proxy::start(server.address, Fault::CutAfter(100_000), usize::MAX).await;
    let wanted = vec![worker.wanted(Some(proxy.address), id.block(0), 3_000_000)];
    let e = fetch_all(&Fetcher::new(remote()), wanted).await.unwrap_err();
    assert_eq!(e.kind, FailureKind::Unreachable);
    assert_eq!(proxy.happened(), 4);
}

/// A block in which the proxy finds its needle wherever it looks.
fn needles(len: usize) -> (Vec<u8>, Vec<u8>) {
    let needle = b"<<a needle in a block>>".to_vec();
    (needle.iter().copied().cycle().take(len).collect(), needle)
}

#[tokio::test]
async fn damage_on_the_wire_is_fetched_again() {
    let worker = Worker::new();
    let (block, needle) = needles(400_000);
    let blocks = [noise(1, 1000), block, noise(2, 1000)];
    let id = worker.output(0, &blocks);
    let server = TestServer::start(service(&worker));
    let proxy = Proxy::start(server.address, Fault::Flip(needle), 1).await;
    let fetcher = Fetcher::new(remote());
    let wanted = (0..).zip(&blocks).map(|(r, b)| worker.wanted(Some(proxy.address), id.block(r), b.len()));
    assert_eq!(fetch_all(&fetcher, wanted.collect()).await.unwrap(), blocks);
    assert_eq!(proxy.happened(), 1);
    // One block more came than was wanted, and no request broke.
    let counts = fetcher.counts();
    assert_eq!((counts.remote_bytes, counts.broken_requests), (802_000, 0));
}

#[tokio::test]
async fn damage_on_the_wire_that_stays_is_reported_as_such() {
    let worker = Worker::new();
    let (block, needle) = needles(400_000);
    let id = worker.output(0, std::slice::from_ref(&block));
    let server = TestServer::start(service(&worker));
    let proxy = Proxy::start(server.address, Fault::Flip(needle), usize::MAX).await;
    let wanted = vec![worker.wanted(Some(proxy.address), id.block(0), block.len())];
    let e = fetch_all(&Fetcher::new(remote()), wanted).await.unwrap_err();
    assert_eq!(e.kind, FailureKind::CorruptOnWire);
    assert!(e.message.contains("it arrived with CRC32C"), "{e}");
    assert!(proxy.happened() >= 2);
}

#[tokio::test]
async fn damage_on_the_disk_is_reported_as_such() {
    // In the first chunk of a large block, in its last, and in a small block.
    for (at, reduce) in [(5, 0), (1_999_999, 0), (2_000_050, 1)] {
        let worker = Worker::new();
        let blocks = [noise(1, 2_000_000), noise(2, 100)];
        let id = worker.output(0, &blocks);
        let server = TestServer::start(service(&worker));
        damage(&worker.shuffle_dir().join(id.data_file()), at);
        for local_read in [false, true] {
            let fetcher = Fetcher::new(FetchOptions { local_read, ..FetchOptions::default() });
            let wanted = (0..).zip(&blocks).map(|(r, b)| worker.wanted(Some(server.address), id.block(r), b.len()));
            let e = fetch_all(&fetcher, wanted.collect()).await.unwrap_err();
            assert_eq!((e.index, e.kind), (reduce, FailureKind::CorruptOnDisk), "{e}");
            assert!(e.message.contains("is corrupt: block"), "{e}");
            assert_eq!(fetcher.counts().broken_requests, 0);
        }
    }
}

#[tokio::test]
async fn a_block_that_is_not_there_is_not_tried_again() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 100)]);
    let missing = OutputId::Map { shuffle: ShuffleId(0), map_partition: 0, task: TaskId(9) };
    let server = TestServer::start(service(&worker));
    for (address, local_read) in [(Some(server.address), false), (Some(server.address), true), (None, true)] {
        for (block, size) in [(missing.block(0), 100), (id.block(1), 100)] {
            let fetcher = Fetcher::new(FetchOptions { local_read, ..FetchOptions::default() });
            let wanted = vec![worker.wanted(address, id.block(0), 100), worker.wanted(address, block, size)];
            let e = fetch_all(&fetcher, wanted).await.unwrap_err();
            assert_eq!((e.index, e.kind), (1, FailureKind::NotFound), "{e}");
            assert_eq!(fetcher.counts().broken_requests, 0);
        }
    }
}

#[tokio::test]
async fn a_block_of_another_size_than_was_committed_is_never_handed_out() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 100)]);
    let server = TestServer::start(service(&worker));
    for (local_read, kind) in [(true, FailureKind::CorruptOnDisk), (false, FailureKind::CorruptOnWire)] {
        for size in [99, 101, usize::MAX] {
            let fetcher = Fetcher::new(FetchOptions { local_read, ..FetchOptions::default() });
            let e = fetch_all(&fetcher, vec![worker.wanted(Some(server.address), id.block(0), size)]).await;
            assert_eq!(e.unwrap_err().kind, kind);
        }
    }
}

#[tokio::test]
async fn a_disk_that_fails_hides_nothing_that_lies_on_others() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 100)]);
    let missing = OutputId::Map { shuffle: ShuffleId(0), map_partition: 0, task: TaskId(9) };
    // What lies below a plain file can neither be opened nor said not to be there.
    std::fs::write(worker.dir.path().join("file"), "").unwrap();
    let (bad, good) = (worker.dir.path().join("file/disk"), worker.dir.path().to_owned());
    for roots in [[bad.clone(), good.clone()], [good, bad.clone()]] {
        let server = TestServer::start(BlockService::new(Layout::Worker { roots: roots.to_vec() }));
        let fetcher = Fetcher::new(remote());
        let wanted = vec![worker.wanted(Some(server.address), id.block(0), 100)];
        assert_eq!(fetch_all(&fetcher, wanted).await.unwrap(), [noise(1, 100)], "{roots:?}");
        let wanted = vec![worker.wanted(Some(server.address), missing.block(0), 100)];
        let e = fetch_all(&fetcher, wanted).await.unwrap_err();
        assert_eq!(e.kind, FailureKind::Io, "it may lie where nobody can look: {e}");
        assert!(e.message.contains(bad.to_str().unwrap()) && e.message.contains("Not a directory"), "{e}");
    }
}
