//! A driver in another process: its TaskLink service, link and questions over one connection.

use super::options::KeepAlive;
use crate::machine::ExecutorOptions;
use hearth_core::{
    Payload, PayloadHash, Refusal, ShuffleId,
    client::DriverClient,
    failpoint_link,
    link::{Dial, DialError, LINK_QUEUE, Link, Pending},
    messages::task::{MapStatuses, TaskDown, TaskInput, TaskUp},
    wire,
};
use hearth_proto::v1::{self, task_link_client::TaskLinkClient};
use std::{future::Future, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

/// How long one try to reach the driver may take.
const TRY: Duration = Duration::from_secs(5);
/// How long one answer may take: 16 MiB over a slow network.
const ANSWER: Duration = Duration::from_secs(30);
/// The first pause after a question that did not reach the driver; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The driver's address is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not the address of a driver: {problem}; expected http://HOST:PORT")]
pub struct BadDriverUrl {
    url: String,
    problem: String,
}

/// A driver in another process.
#[derive(Clone, Debug)]
pub struct GrpcDriver {
    client: TaskLinkClient<Channel>,
    url: String,
    /// How long questions are asked again: as long as the executor lives without the driver.
    patience: Duration,
}

impl GrpcDriver {
    /// A driver at `url`. Connects when it is first needed, and again when the connection is lost. Must be called on the
    /// runtime that carries links, never the tasks'.
    pub fn new(url: &str, options: &ExecutorOptions) -> Result<Self, BadDriverUrl> {
        let KeepAlive { interval, timeout } = KeepAlive::of(options);
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|e| BadDriverUrl { url: url.to_owned(), problem: e.to_string() })?
            .connect_timeout(TRY)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(interval)
            .keep_alive_timeout(timeout)
            .keep_alive_while_idle(true);
        let client = TaskLinkClient::new(endpoint.connect_lazy())
            .max_decoding_message_size(wire::MAX_MESSAGE)
            .max_encoding_message_size(wire::MAX_MESSAGE);
        Ok(Self { client, url: url.to_owned(), patience: options.driver_timeout })
    }

    async fn open(&self) -> Result<Link<TaskDown, TaskUp>, DialError> {
        let failed = |problem: String| DialError(format!("the driver at {}: {problem}", self.url));
        let (outgoing, queue) = mpsc::channel(LINK_QUEUE);
        let mut client = self.client.clone();
        let answer = timeout(TRY, client.connect(wire::outgoing::<TaskUp, v1::TaskUp>(queue))).await;
        let stream = match answer {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return Err(failed(describe(&status))),
            Err(_) => return Err(failed(format!("no answer in {} s", TRY.as_secs()))),
        };
        let link = Link { incoming: wire::incoming(stream, self.url.clone()), outgoing };
        Ok(failpoint_link!("executor.say", link))
    }

    /// Asks until there is an answer, or for as long as the executor is patient.
    async fn ask<T, F>(
        &self,
        what: String,
        mut question: impl FnMut(TaskLinkClient<Channel>) -> F,
    ) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let until = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let problem = match timeout(ANSWER, question(self.client.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => match wire::refusal_of(&status) {
                    Some(refusal) => return Err(refusal),
                    None if may_pass(status.code()) => describe(&status),
                    None => return Err(Refusal::Malformed(format!("{what}: {}", describe(&status)))),
                },
                Err(_) => format!("no answer in {} s", ANSWER.as_secs()),
            };
            if Instant::now() + pause > until {
                return Err(Refusal::Gone(format!("{what} (the driver at {}: {problem})", self.url)));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Whether a status without a refusal tells of the connection rather than of the question.
const fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal | Code::Aborted
    )
}

/// The message of a status, with its causes: tonic's own says little more than "transport error".
fn describe(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = if text.is_empty() { more } else { format!("{text}: {more}") };
        }
        cause = error.source();
    }
    if text.is_empty() { status.code().to_string() } else { text }
}

/// What came is not what the question's answer looks like.
fn malformed(problem: &wire::Malformed) -> Status {
    wire::status(&Refusal::Malformed(problem.to_string()))
}

impl Dial<TaskDown, TaskUp> for GrpcDriver {
    fn dial(&self) -> Pending<'_, Result<Link<TaskDown, TaskUp>, DialError>> {
        Box::pin(self.open())
    }

    fn peer(&self) -> String {
        self.url.clone()
    }
}

impl DriverClient for GrpcDriver {
    fn payload(&self, hash: PayloadHash) -> Pending<'_, Result<Payload, Refusal>> {
        Box::pin(self.ask(format!("payload {hash}"), move |mut client| async move {
            let answer = client.get_payload(v1::GetPayloadRequest::from(hash)).await?.into_inner();
            wire::checked_payload(hash, answer).map_err(|e| malformed(&e))
        }))
    }

    fn map_statuses(&self, shuffle: ShuffleId, epoch: u64) -> Pending<'_, Result<MapStatuses, Refusal>> {
        let input = TaskInput { shuffle, epoch };
        Box::pin(self.ask(format!("shuffle {shuffle}"), move |mut client| async move {
            let answer = client.get_map_statuses(v1::GetMapStatusesRequest::from(input)).await?.into_inner();
            MapStatuses::try_from(answer).map_err(|e| malformed(&e))
        }))
    }
}
