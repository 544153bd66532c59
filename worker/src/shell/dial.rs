//! Links to a master over gRPC.

use hearth_core::{
    link::{Dial, DialError, LINK_QUEUE, Link, Pending},
    messages::worker::{Address, WorkerDown, WorkerUp},
    wire,
};
use hearth_proto::v1::worker_link_client::WorkerLinkClient;
use std::{
    error::Error,
    fmt::Write,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};
use tonic::transport::Endpoint;

/// One try, from the connection to the stream.
const TRY: Duration = Duration::from_secs(5);
/// A peer that is gone without a word is found within twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Dials the masters of a cluster in turn, one a try.
#[derive(Debug)]
pub struct GrpcDial {
    masters: Vec<Address>,
    next: AtomicUsize,
}

impl GrpcDial {
    /// Dials these masters; there must be one.
    pub fn new(masters: Vec<Address>) -> Self {
        assert!(!masters.is_empty(), "a cluster has at least one master");
        Self { masters, next: AtomicUsize::new(0) }
    }

    async fn try_once(master: &Address) -> Result<Link<WorkerDown, WorkerUp>, String> {
        let endpoint = Endpoint::from_shared(format!("http://{master}"))
            .map_err(|error| chain(&error))?
            .connect_timeout(TRY)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let channel = endpoint.connect().await.map_err(|error| chain(&error))?;
        let mut client = WorkerLinkClient::new(channel)
            .max_decoding_message_size(wire::MAX_MESSAGE)
            .max_encoding_message_size(wire::MAX_MESSAGE);
        let (outgoing, queue) = mpsc::channel(LINK_QUEUE);
        let stream = client.connect(wire::outgoing(queue)).await.map_err(|status| status.to_string())?;
        Ok(Link { incoming: wire::incoming(stream.into_inner(), format!("hearth://{master}")), outgoing })
    }
}

impl Dial<WorkerDown, WorkerUp> for GrpcDial {
    fn dial(&self) -> Pending<'_, Result<Link<WorkerDown, WorkerUp>, DialError>> {
        let master = &self.masters[self.next.fetch_add(1, Ordering::Relaxed) % self.masters.len()];
        Box::pin(async move {
            let error = match timeout(TRY, Self::try_once(master)).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(error)) => error,
                Err(_) => format!("no answer within {TRY:?}"),
            };
            Err(DialError(format!("hearth://{master}: {error}")))
        })
    }

    fn peer(&self) -> String {
        let masters: Vec<_> = self.masters.iter().map(ToString::to_string).collect();
        format!("hearth://{}", masters.join(","))
    }
}

/// An error with its causes, each said once: what a transport says alone is no more than that it failed, and some errors
/// say their cause themselves.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            let _ = write!(text, ": {cause_text}"); // Writing to a String cannot fail.
        }
        source = cause.source();
    }
    text
}
