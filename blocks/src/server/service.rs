//! The gRPC service.

use super::{Layout, batch::Batch, connections, request::SpanAsked};
use crate::limits::{MAX_BLOCKS, MAX_REQUEST};
use futures::{
    Stream, TryStreamExt,
    stream::{self, BoxStream},
};
use hearth_core::{ApplicationId, failpoint};
use hearth_proto::v1::{
    self,
    blocks_server::{Blocks, BlocksServer},
};
use std::{
    collections::VecDeque,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tonic::{Request, Response, Status, transport::Server};

/// Requests that are answered at once; others wait their turn. Each holds some 512 KiB when its peer reads slowly.
pub(super) const ANSWERS: usize = 256;

/// Reads under way at once: as many as keep a disk busy.
const READS: usize = 16;

/// Requests of one connection at once. One process is one connection, with a few requests for each of its tasks.
const STREAMS: u32 = 128;

/// A peer that does not answer a ping after this is dropped, and its answers' places are free.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The service; clones share its bounds and its count.
#[derive(Clone, Debug)]
pub struct BlockService {
    layout: Arc<Layout>,
    answers: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    bytes_read: Arc<AtomicU64>,
}

impl BlockService {
    /// A service of these files.
    pub fn new(layout: Layout) -> Self {
        Self {
            layout: Arc::new(layout),
            answers: Arc::new(Semaphore::new(ANSWERS)),
            reads: Arc::new(Semaphore::new(READS)),
            bytes_read: Arc::default(),
        }
    }

    /// Bytes of blocks that were read for peers so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// The service as a route of a server that has others too.
    pub fn into_server(self) -> BlocksServer<Self> {
        BlocksServer::new(self).max_decoding_message_size(MAX_REQUEST)
    }

    async fn read_on(&self, mut batch: Batch) -> Result<(Batch, VecDeque<v1::FetchChunk>), Status> {
        let _read = self.reads.acquire().await.map_err(|_| stopping())?;
        let read = tokio::task::spawn_blocking(move || {
            let chunks = batch.read_on();
            (batch, chunks)
        });
        let (batch, chunks) = read.await.map_err(|_| stopping())?;
        let bytes: usize = chunks.iter().map(|c| c.data.len()).sum();
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok((batch, chunks.into()))
    }

    /// Reads on only when it is polled, and it is polled only when the peer has room.
    fn answer(
        self,
        batch: Batch,
        mut served: Served,
    ) -> impl Stream<Item = Result<v1::FetchChunk, Status>> + Send + 'static {
        let answers = self.answers.clone();
        stream::once(async move {
            let place = answers.acquire_owned().await.map_err(|_| stopping())?;
            let state = (self, batch, VecDeque::new(), place);
            Ok::<_, Status>(stream::try_unfold(state, |(service, mut batch, mut chunks, place)| async move {
                if chunks.is_empty() && !batch.is_over() {
                    (batch, chunks) = service.read_on(batch).await?;
                }
                failpoint!("blocks.serve", bytes = service.bytes_read(); error => return Err(Status::internal(error.to_string())));
                Ok(chunks.pop_front().map(|chunk| (chunk, (service, batch, chunks, place))))
            }))
        })
        .try_flatten()
        .inspect_ok(move |chunk| served.add(chunk))
    }
}

/// What one request was given. It says so when the answer is over, or nobody wants the rest.
struct Served {
    application: ApplicationId,
    spans: usize,
    bytes: usize,
}

impl Served {
    fn add(&mut self, chunk: &v1::FetchChunk) {
        self.bytes += chunk.data.len();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let Self { application, spans, bytes } = self;
        tracing::debug!(%application, spans, bytes, "served a request");
    }
}

fn stopping() -> Status {
    Status::unavailable("this block service is stopping")
}

#[tonic::async_trait]
impl Blocks for BlockService {
    type FetchStream = BoxStream<'static, Result<v1::FetchChunk, Status>>;

    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let v1::FetchRequest { application, spans } = request.into_inner();
        let application: ApplicationId = application.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
        if spans.is_empty() || spans.len() > MAX_BLOCKS {
            let message = format!("{} spans in one request; ask for 1 to {MAX_BLOCKS}", spans.len());
            return Err(Status::invalid_argument(message));
        }
        let parsed: Result<Vec<SpanAsked>, _> = spans.into_iter().map(SpanAsked::try_from).collect();
        let spans = parsed.map_err(|e| Status::invalid_argument(e.to_string()))?;
        let served = Served { application: application.clone(), spans: spans.len(), bytes: 0 };
        let batch = Batch::new(self.layout.directories(&application), spans);
        Ok(Response::new(Box::pin(self.clone().answer(batch, served))))
    }
}

/// Answers that are under way when the service is told to stop get this long to end.
const GRACE: Duration = Duration::from_secs(2);

/// Serves on a listener until `shutdown` is done, and then what is under way for at most two seconds more.
pub async fn serve(
    listener: TcpListener,
    service: BlockService,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), tonic::transport::Error> {
    let (told, stop) = tokio::sync::oneshot::channel::<()>();
    let server = Server::builder()
        .max_concurrent_streams(STREAMS)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_service(service.into_server())
        .serve_with_incoming_shutdown(connections::incoming(listener), async {
            // An error means that the sender is gone, which says the same.
            let _ = stop.await;
        });
    tokio::pin!(server);
    tokio::select! {
        end = &mut server => return end,
        () = shutdown => {}
    }
    drop(told);
    // Peers that keep their connection open would keep it for ever.
    tokio::time::timeout(GRACE, server).await.unwrap_or(Ok(()))
}
