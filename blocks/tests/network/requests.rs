//! Requests that no fetcher would make.

use super::{server::TestServer, *};
use hearth_blocks::{BlockService, Layout, limits::MAX_BLOCKS};
use hearth_proto::v1::{self, blocks_client::BlocksClient};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

async fn client(server: &TestServer) -> BlocksClient<Channel> {
    let channel = Endpoint::from_shared(format!("http://{}", server.address)).unwrap().connect().await.unwrap();
    BlocksClient::new(channel)
}

fn request(application: &str, blocks: Vec<v1::BlockId>) -> v1::FetchRequest {
    let spans = blocks.into_iter().map(|block| v1::Span { block: Some(block), offset: 0, length: 0 }).collect();
    v1::FetchRequest { application: application.into(), spans }
}

#[tokio::test]
async fn malformed_requests_are_refused_and_others_served() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 100)]);
    let server = TestServer::start(BlockService::new(Layout::Worker { roots: vec![worker.dir.path().into()] }));
    let mut client = client(&server).await;
    let good = v1::BlockId::from(id.block(0));
    let nothing = v1::BlockId { output: None, reduce: 0 };
    let app = app().to_string();
    for (bad, says) in [
        (request(&app, vec![]), "0 spans in one request; ask for 1 to 1024"),
        (request(&app, vec![good; MAX_BLOCKS + 1]), "1025 spans in one request"),
        (request(&app, vec![good, nothing]), "\"\" is not a valid output id"),
        (request("", vec![good]), "\"\" is not a valid application id"),
        (request("../app", vec![good]), "\"../app\" is not a valid application id"),
        (request("..", vec![good]), "is not a valid application id"),
    ] {
        let status = client.fetch(bad).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(says), "{status}");
    }
    let huge = client.fetch(request(&app, vec![good; 100_000])).await.unwrap_err();
    assert_eq!(huge.code(), Code::OutOfRange, "{huge}");
    let mut answer = client.fetch(request(&app, vec![good; 2])).await.unwrap().into_inner();
    for block in 0..2 {
        let chunk = answer.message().await.unwrap().unwrap();
        assert_eq!((chunk.span, chunk.data.as_ref()), (block, &noise(1, 100)[..]));
        assert_eq!(chunk.crc32c, crc32c::crc32c(&chunk.data));
        assert_eq!(chunk.head.unwrap().size, 100);
    }
    assert_eq!(answer.message().await.unwrap(), None);
}

#[tokio::test]
async fn spans_that_no_block_has_are_faults_and_do_not_hurt_the_others() {
    const PIECE: u64 = hearth_blocks::limits::PIECE;
    let worker = Worker::new();
    let size = 2 * PIECE + 5;
    let block = noise(1, size as usize);
    let id = worker.output(0, std::slice::from_ref(&block));
    let server = TestServer::start(BlockService::new(Layout::Worker { roots: vec![worker.dir.path().into()] }));
    let mut client = client(&server).await;
    let good = v1::BlockId::from(id.block(0));
    let span = |offset, length| v1::Span { block: Some(good), offset, length };
    for (offset, length) in
        [(1, 0), (0, PIECE + 1), (PIECE, u64::MAX), (3 * PIECE, 0), (u64::MAX, u64::MAX), (0, size + 1)]
    {
        let spans = vec![span(offset, length), span(2 * PIECE, 5)];
        let request = v1::FetchRequest { application: app().to_string(), spans };
        let mut answer = client.fetch(request).await.unwrap().into_inner();
        let refused = answer.message().await.unwrap().unwrap();
        assert_eq!((refused.span, refused.head.unwrap().size), (0, size), "the size is told all the same");
        assert_eq!(refused.fault.unwrap().kind(), v1::BlockFaultKind::NotFound, "{offset} {length}");
        let served = answer.message().await.unwrap().unwrap();
        assert_eq!((served.span, served.data.as_ref()), (1, &block[2 * PIECE as usize..]));
        assert_eq!(answer.message().await.unwrap(), None);
    }
    let none = v1::FetchRequest { application: app().to_string(), spans: vec![v1::Span::default()] };
    assert_eq!(client.fetch(none).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_read_for() {
    const SIZE: usize = 64 << 20;
    let worker = Worker::new();
    let id = worker.output(0, &[vec![7; SIZE]]);
    let server = TestServer::start(BlockService::new(Layout::Worker { roots: vec![worker.dir.path().into()] }));
    let mut client = client(&server).await;
    let block = v1::BlockId::from(id.block(0));
    let mut answer = client.fetch(request(app().as_str(), vec![block])).await.unwrap().into_inner();
    let first = answer.message().await.unwrap().unwrap();
    assert_eq!(first.head.unwrap().size, SIZE as u64);
    // Another request on the same server is served meanwhile, though the first waits.
    let other = worker.output(1, &[noise(1, 100)]);
    let wanted = vec![worker.wanted(Some(server.address), other.block(0), 100)];
    assert_eq!(fetch_all(&Fetcher::new(remote()), wanted).await.unwrap(), [noise(1, 100)]);
    let read = server.service.bytes_read();
    assert!(read < SIZE as u64 / 8, "{read} bytes were read for a peer that took one chunk");
    // It may go on when it likes.
    let mut bytes = first.data.len();
    while let Some(chunk) = answer.message().await.unwrap() {
        bytes += chunk.data.len();
    }
    assert_eq!(bytes, SIZE);
}
