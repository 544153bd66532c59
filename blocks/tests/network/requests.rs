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
    v1::FetchRequest { application: application.into(), blocks }
}

#[tokio::test]
async fn malformed_requests_are_refused_and_others_served() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 100)]);
    let server = TestServer::start(BlockService::new(Layout::Worker { work_dir: worker.dir.path().into() }));
    let mut client = client(&server).await;
    let good = v1::BlockId::from(id.block(0));
    let nothing = v1::BlockId { output: None, reduce: 0 };
    let app = app().to_string();
    for (bad, says) in [
        (request(&app, vec![]), "0 blocks in one request; ask for 1 to 1024"),
        (request(&app, vec![good; MAX_BLOCKS + 1]), "1025 blocks in one request"),
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
        assert_eq!((chunk.block, chunk.data.as_ref()), (block, &noise(1, 100)[..]));
        assert_eq!(chunk.head.unwrap().size, 100);
    }
    assert_eq!(answer.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_read_for() {
    const SIZE: usize = 64 << 20;
    let worker = Worker::new();
    let id = worker.output(0, &[vec![7; SIZE]]);
    let server = TestServer::start(BlockService::new(Layout::Worker { work_dir: worker.dir.path().into() }));
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
