//! Questions to a master, as `hearth status` and `hearth explain` ask them.

use hearth_core::{messages::status::ClusterView, messages::worker::Address, wire};
use hearth_proto::v1::{ExplainRequest, StatusRequest, submission_client::SubmissionClient};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// How long one master is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Rounds over all masters, and the pause between them: a master that restarts is back within a second or two.
const ROUNDS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Why a master did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error("no master answers at {masters} ({cause}); start one with `hearth master`, or give another --master")]
    Unreachable {
        /// The addresses that were tried.
        masters: String,
        /// What happened at the last one.
        cause: String,
    },
    /// It said no.
    #[error("{0}")]
    Refused(#[from] hearth_core::Refusal),
    /// It said something that makes no sense.
    #[error("the master's answer cannot be read: {0}; are client and master of one version?")]
    Malformed(#[from] serde_json::Error),
    /// The call failed on its way.
    #[error("the master at {0} did not answer: {1}")]
    Failed(String, String),
}

/// A connection to a master.
#[derive(Debug)]
pub struct MasterClient {
    inner: SubmissionClient<Channel>,
    address: String,
}

impl MasterClient {
    /// Connects to the first of these masters that answers; goes round a few times.
    pub async fn connect(masters: &[Address]) -> Result<Self, Error> {
        let mut last = Self::try_connect(masters).await;
        for _ in 1..ROUNDS {
            if last.is_ok() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            last = Self::try_connect(masters).await;
        }
        last
    }

    /// Connects to the first of these masters that answers; asks each once.
    pub async fn try_connect(masters: &[Address]) -> Result<Self, Error> {
        let mut cause = "no address given".to_owned();
        for address in masters {
            match Self::dial(address).await {
                Ok(channel) => {
                    let inner = SubmissionClient::new(channel).max_decoding_message_size(wire::MAX_MESSAGE);
                    return Ok(Self { inner, address: address.to_string() });
                }
                Err(error) => cause = wire::root_cause(&error),
            }
        }
        let masters = masters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Err(Error::Unreachable { masters, cause })
    }

    async fn dial(address: &Address) -> Result<Channel, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).tcp_nodelay(true).connect().await
    }

    /// The whole cluster.
    pub async fn status(mut self) -> Result<ClusterView, Error> {
        let answer = self.inner.status(StatusRequest {}).await.map_err(|s| self.failed(&s))?;
        Ok(serde_json::from_str(&answer.into_inner().json)?)
    }

    /// Why something is as it is.
    pub async fn explain(mut self, id: &str) -> Result<String, Error> {
        let answer = self.inner.explain(ExplainRequest { id: id.to_owned() }).await.map_err(|s| self.failed(&s))?;
        Ok(answer.into_inner().text)
    }

    fn failed(&self, status: &tonic::Status) -> Error {
        match wire::refusal_of(status) {
            Some(refusal) => Error::Refused(refusal),
            None => Error::Failed(self.address.clone(), status.message().to_owned()),
        }
    }
}
