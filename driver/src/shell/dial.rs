//! Links to the masters of a cluster, by gRPC.

use hearth_core::{
    link::{Dial, DialError, LINK_QUEUE, Link, Pending},
    messages::{
        application::{AppDown, AppUp},
        worker::Address,
    },
    wire,
};
use hearth_proto::v1::{self, application_link_client::ApplicationLinkClient};
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Status, transport::Endpoint};

/// How long one try may take, over all masters.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a quiet connection is asked whether it lives, and how long it may take to say so: a master that vanished
/// without a word is noticed within its own grace for drivers.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Dials the first of these masters that answers.
#[derive(Clone, Debug)]
pub struct GrpcDial {
    masters: Vec<Address>,
}

impl GrpcDial {
    /// A dialer for the masters of `hearth://HOST:PORT[,HOST:PORT]`.
    pub const fn new(masters: Vec<Address>) -> Self {
        Self { masters }
    }

    async fn open(&self) -> Result<Link<AppDown, AppUp>, DialError> {
        let mut trouble = "no address is known".to_owned();
        for master in &self.masters {
            match open_one(master).await {
                Ok(link) => return Ok(link),
                Err(reason) if self.masters.len() == 1 => trouble = reason,
                Err(reason) => trouble = format!("{master}: {reason}"),
            }
        }
        Err(DialError(trouble))
    }
}

impl Dial<AppDown, AppUp> for GrpcDial {
    fn dial(&self) -> Pending<'_, Result<Link<AppDown, AppUp>, DialError>> {
        Box::pin(async move {
            let late = || DialError(format!("no answer within {} s", DIAL_TIMEOUT.as_secs()));
            timeout(DIAL_TIMEOUT, self.open()).await.unwrap_or_else(|_| Err(late()))
        })
    }

    fn peer(&self) -> String {
        self.masters.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

async fn open_one(master: &Address) -> Result<Link<AppDown, AppUp>, String> {
    let endpoint = Endpoint::from_shared(format!("http://{master}")).map_err(|e| e.to_string())?;
    let endpoint = endpoint
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    let channel = endpoint.connect().await.map_err(|e| wire::root_cause(&e))?;
    let mut client = ApplicationLinkClient::new(channel)
        .max_decoding_message_size(wire::MAX_MESSAGE)
        .max_encoding_message_size(wire::MAX_MESSAGE);
    let (outgoing, queue) = mpsc::channel(LINK_QUEUE);
    let answer = client.connect(wire::outgoing::<AppUp, v1::AppUp>(queue)).await;
    let stream = answer.map_err(|status| refused(&status))?;
    let incoming = wire::incoming::<v1::AppDown, AppDown>(stream.into_inner(), format!("master {master}"));
    Ok(Link { incoming, outgoing })
}

/// Why there is no link with whoever answered.
fn refused(status: &Status) -> String {
    let said = status.message();
    match (wire::refusal_of(status), status.code()) {
        (Some(refusal), _) => refusal.to_string(),
        // What comes back is no HTTP/2, or none that makes sense.
        (None, _) if said.starts_with("h2 protocol error") => {
            format!("something else listens there; is it the port of the master's web pages? ({said})")
        }
        (None, Code::Unimplemented) => "something else listens there; is it the port of a worker or a driver?".into(),
        (None, _) => said.to_owned(),
    }
}
