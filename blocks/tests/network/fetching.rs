//! Where blocks come from when all is well, and what is in flight.

use super::{server::TestServer, *};
use futures::{FutureExt, StreamExt};
use hearth_blocks::{BlockService, Layout};

fn service(worker: &Worker) -> BlockService {
    BlockService::new(Layout::Worker { roots: vec![worker.dir.path().into()] })
}

#[tokio::test]
async fn many_blocks_from_several_servers_come_in_order() {
    const MAPS: u32 = 60;
    const REDUCES: usize = 25;
    let workers = [Worker::new(), Worker::new(), Worker::new()];
    let servers = workers.each_ref().map(|w| TestServer::start(service(w)));
    let fetcher = Fetcher::new(FetchOptions { max_in_flight: 20_000, ..remote() });
    let mut outputs = Vec::new();
    for map in 0..MAPS {
        let len = |reduce: usize| (map as usize * 31 + reduce * 17) % 9 * 300;
        let blocks: Vec<_> = (0..REDUCES).map(|r| noise(map as usize * 1000 + r, len(r))).collect();
        let worker = map as usize % 3;
        outputs.push((worker, workers[worker].output(map, &blocks), blocks));
    }
    let mut total = 0;
    for reduce in 0..REDUCES {
        let wanted = outputs.iter().map(|(w, id, blocks)| {
            let block = id.block(u32::try_from(reduce).unwrap());
            workers[*w].wanted(Some(servers[*w].address), block, blocks[reduce].len())
        });
        let blocks = fetch_all(&fetcher, wanted.collect()).await.unwrap();
        for (got, (_, _, expected)) in blocks.iter().zip(&outputs) {
            assert_eq!(got, &expected[reduce]);
            total += got.len() as u64;
        }
    }
    let counts = fetcher.counts();
    assert_eq!((counts.remote_bytes, counts.local_bytes, counts.broken_requests), (total, 0, 0));
    assert_eq!(servers.iter().map(|s| s.service.bytes_read()).sum::<u64>(), total);
}

#[tokio::test]
async fn many_blocks_of_one_output_fit_in_few_requests() {
    // More than one request may name, most of them small, one in several chunks.
    let worker = Worker::new();
    let blocks: Vec<_> = (0..3000).map(|i| noise(i, if i == 1500 { 3_000_000 } else { i % 50 })).collect();
    let id = worker.output(0, &blocks);
    let server = TestServer::start(service(&worker));
    let wanted = (0..).zip(&blocks).map(|(r, b)| worker.wanted(Some(server.address), id.block(r), b.len()));
    assert_eq!(fetch_all(&Fetcher::new(remote()), wanted.collect()).await.unwrap(), blocks);
}

#[tokio::test]
async fn blocks_of_this_machine_are_read_from_their_files() {
    let worker = Worker::new();
    let blocks = [noise(1, 1000), vec![], noise(2, 70_000)];
    let id = worker.output(0, &blocks);
    let server = TestServer::start(service(&worker));
    // With a server that is not asked, and with nobody who serves them, whatever `local_read` says.
    for (address, local_read) in [(Some(server.address), true), (None, true), (None, false)] {
        let fetcher = Fetcher::new(FetchOptions { local_read, ..FetchOptions::default() });
        let wanted = (0..).zip(&blocks).map(|(r, b)| worker.wanted(address, id.block(r), b.len()));
        assert_eq!(fetch_all(&fetcher, wanted.collect()).await.unwrap(), blocks);
        assert_eq!(fetcher.counts().local_bytes, 71_000);
    }
    assert_eq!(server.service.bytes_read(), 0);
}

#[tokio::test]
async fn a_file_that_is_not_here_is_asked_for() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 1000)]);
    let server = TestServer::start(service(&worker));
    let fetcher = Fetcher::new(FetchOptions::default());
    for directory in ["/nowhere/at/all", "relative/directory"] {
        let mut wanted = worker.wanted(Some(server.address), id.block(0), 1000);
        wanted.location.directory = directory.into();
        assert_eq!(fetch_all(&fetcher, vec![wanted]).await.unwrap(), [noise(1, 1000)]);
    }
    let counts = fetcher.counts();
    assert_eq!((counts.local_bytes, counts.remote_bytes), (0, 2000));
}

#[tokio::test]
async fn another_machines_files_are_not_looked_for() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 1000)]);
    let server = TestServer::start(service(&worker));
    let fetcher = Fetcher::new(FetchOptions { host: "node-7".into(), ..FetchOptions::default() });
    let wanted = vec![worker.wanted(Some(server.address), id.block(0), 1000)];
    assert_eq!(fetch_all(&fetcher, wanted).await.unwrap(), [noise(1, 1000)]);
    assert_eq!(fetcher.counts().local_bytes, 0);
}

#[tokio::test]
async fn a_slow_consumer_bounds_what_is_in_flight() {
    const BLOCK: usize = 10_000;
    const MAX: u64 = 105_000;
    let worker = Worker::new();
    let blocks: Vec<_> = (0..100).map(|i| noise(i, BLOCK)).collect();
    let id = worker.output(0, &blocks);
    let server = TestServer::start(service(&worker));
    for local_read in [false, true] {
        let before = server.service.bytes_read();
        let fetcher = Fetcher::new(FetchOptions { max_in_flight: MAX, local_read, ..FetchOptions::default() });
        let wanted = (0..100).map(|r| worker.wanted(Some(server.address), id.block(r), BLOCK)).collect();
        let mut stream = fetcher.fetch(&app(), wanted);
        let read = || server.service.bytes_read() - before + fetcher.counts().local_bytes;
        let mut taken = 0;
        let mut peak = 0;
        while let Some(next) = stream.next().await {
            assert_eq!(next.unwrap().bytes.len(), BLOCK);
            taken += BLOCK as u64;
            if taken == BLOCK as u64 {
                // Ten blocks fit, and one was taken: room for another, but not worth a request.
                until("the first ten blocks", || read() == 10 * BLOCK as u64).await;
            }
            peak = peak.max(read() - taken);
        }
        assert_eq!(taken, 100 * BLOCK as u64);
        // It was waited for, so less would mean that this test looks at nothing.
        assert!((9 * BLOCK as u64..=MAX).contains(&peak), "{peak} bytes at once");
    }
}

#[tokio::test]
async fn a_block_larger_than_what_may_be_in_flight_comes_too() {
    let worker = Worker::new();
    let blocks = [noise(1, 10), noise(2, 5_000_000), noise(3, 10)];
    let id = worker.output(0, &blocks);
    let server = TestServer::start(service(&worker));
    for local_read in [false, true] {
        let fetcher = Fetcher::new(FetchOptions { max_in_flight: 1000, local_read, ..FetchOptions::default() });
        let wanted = (0..).zip(&blocks).map(|(r, b)| worker.wanted(Some(server.address), id.block(r), b.len()));
        assert_eq!(fetch_all(&fetcher, wanted.collect()).await.unwrap(), blocks);
    }
}

/// A block many times as large as what may be in flight: its beginning is here long before its end, and a reader that
/// takes its time is not sent more than it may hold.
#[tokio::test]
async fn a_large_block_comes_in_pieces_while_little_is_in_flight() {
    const SIZE: usize = 40_000_000;
    const MAX: u64 = 2 << 20;
    let worker = Worker::new();
    let block = noise(1, SIZE);
    let id = worker.output(0, &[vec![], block.clone(), noise(2, 10)]);
    let server = TestServer::start(service(&worker));
    for local_read in [false, true] {
        let before = server.service.bytes_read();
        let idle_timeout = Duration::from_millis(200);
        let options = FetchOptions { max_in_flight: MAX, local_read, idle_timeout, ..FetchOptions::default() };
        let fetcher = Fetcher::new(options);
        let read = || server.service.bytes_read() - before + fetcher.counts().local_bytes;
        let wanted =
            [0, SIZE, 10].into_iter().zip(0..).map(|(size, r)| worker.wanted(Some(server.address), id.block(r), size));
        let mut stream = fetcher.fetch(&app(), wanted.collect());
        let empty = stream.next().await.unwrap().unwrap();
        assert_eq!(empty, BlockPiece { index: 0, bytes: Bytes::new(), last: true });
        let mut taken = Vec::new();
        while taken.len() < SIZE {
            let BlockPiece { index, bytes, last } = stream.next().await.unwrap().unwrap();
            taken.extend_from_slice(&bytes);
            assert_eq!((index, last), (1, taken.len() == SIZE));
            assert!(bytes.len() as u64 <= MAX / 5);
            let ahead = read() - taken.len() as u64;
            assert!(ahead <= MAX, "{ahead} bytes ahead of the reader");
            if taken.len() == bytes.len() {
                // Longer than a server may be silent: there is nothing that it could say.
                tokio::time::sleep(2 * idle_timeout).await;
            }
        }
        assert_eq!(taken, block);
        assert_eq!(stream.next().await.unwrap().unwrap().index, 2);
        assert!(stream.next().await.is_none());
        assert_eq!(fetcher.counts().broken_requests, 0);
    }
}

#[tokio::test]
async fn an_executor_serves_its_own_blocks() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 1000)]);
    let layout = Layout::Application { application: app(), directories: vec![worker.shuffle_dir()] };
    let server = TestServer::start(BlockService::new(layout));
    let wanted = vec![worker.wanted(Some(server.address), id.block(0), 1000)];
    let fetcher = Fetcher::new(remote());
    assert_eq!(fetch_all(&fetcher, wanted.clone()).await.unwrap(), [noise(1, 1000)]);
    let other = "app-20261121093000-0002".parse().unwrap();
    let e = fetcher.fetch(&other, wanted).next().await.unwrap().unwrap_err();
    assert_eq!(e.kind, hearth_blocks::FailureKind::NotFound);
    assert!(e.message.contains("this application's blocks are not served here"), "{e}");
}

#[test]
fn a_stream_may_be_polled_off_the_runtime_of_its_requests() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 100_000)]);
    let server = TestServer::start(service(&worker));
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let fetcher = Fetcher::on(remote(), io.handle().clone());
    let mut stream = fetcher.fetch(&app(), vec![worker.wanted(Some(server.address), id.block(0), 100_000)]);
    // No runtime at all on this side.
    let block = futures::executor::block_on(stream.next()).unwrap().unwrap();
    assert_eq!(block, BlockPiece { index: 0, bytes: noise(1, 100_000).into(), last: true });
}

#[tokio::test]
async fn a_dropped_stream_ends_its_requests() {
    const SIZE: usize = 64 << 20;
    let worker = Worker::new();
    let id = worker.output(0, &[vec![7; SIZE], noise(1, 10)]);
    let server = TestServer::start(service(&worker));
    let fetcher = Fetcher::new(remote());
    let mut stream = fetcher.fetch(&app(), vec![worker.wanted(Some(server.address), id.block(0), SIZE)]);
    assert!(stream.next().now_or_never().is_none());
    until("the first bytes", || server.service.bytes_read() > 0).await;
    drop(stream);
    // The connection is as good as before.
    let wanted = vec![worker.wanted(Some(server.address), id.block(1), 10)];
    assert_eq!(fetch_all(&fetcher, wanted).await.unwrap(), [noise(1, 10)]);
    let read = server.service.bytes_read();
    assert!(read < SIZE as u64 / 2, "{read} bytes were read for nobody");
}
