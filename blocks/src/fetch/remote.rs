//! Blocks from a server.

use super::{
    Shared, Wanted,
    assembly::{Assembly, Expected},
    report::Reporter,
    spans::Span,
};
use crate::{
    limits::{MAX_CHUNK, MESSAGE_SLACK},
    machine::{Failure, FailureKind},
};
use hearth_core::{ApplicationId, failpoint, failpoint_bytes, messages::worker::Address};
use hearth_proto::v1::{self, FetchRequest, blocks_client::BlocksClient};
use std::{error::Error, future::Future, sync::atomic::Ordering, time::Duration};

/// Asks for spans and reports each.
pub(super) async fn ask(
    shared: &Shared,
    application: &ApplicationId,
    wanted: &[Wanted],
    address: &Address,
    spans: &[(usize, Span)],
    reporter: Reporter,
) {
    tracing::debug!(%address, spans = spans.len(), "asking for blocks");
    let asked = exchange(shared, application, wanted, address, spans, &reporter).await;
    let failure = match asked {
        Ok(()) => {
            tracing::debug!(%address, spans = spans.len(), "got the blocks");
            None
        }
        Err(message) => {
            shared.broken.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%address, spans = spans.len(), "a request for blocks broke: {message}");
            Some(Failure { kind: FailureKind::Unreachable, message })
        }
    };
    reporter.end(failure);
}

async fn exchange(
    shared: &Shared,
    application: &ApplicationId,
    wanted: &[Wanted],
    address: &Address,
    spans: &[(usize, Span)],
    reporter: &Reporter,
) -> Result<(), String> {
    let idle = shared.options.idle_timeout;
    let channel = shared.channels.get(address).map_err(|e| describe(&e))?;
    let mut client = BlocksClient::new(channel).max_decoding_message_size(MAX_CHUNK + MESSAGE_SLACK);
    let asked = |(_, span): &(usize, Span)| v1::Span {
        block: Some(wanted[span.block].id.into()),
        offset: span.offset,
        length: span.len,
    };
    let request = FetchRequest { application: application.to_string(), spans: spans.iter().map(asked).collect() };
    let mut answer = within(idle, client.fetch(request)).await?.into_inner();
    let expected =
        |(place, span): &(usize, Span)| Expected { place: *place, size: wanted[span.block].size, len: span.len };
    let mut assembly = Assembly::new(spans.iter().map(expected));
    while let Some(mut chunk) = within(idle, answer.message()).await? {
        failpoint!("fetch.chunk", address = address, all = shared.remote.load(Ordering::Relaxed); error => return Err(error.to_string()));
        chunk.data = failpoint_bytes!("fetch.bytes", chunk.data, address = address);
        shared.remote.fetch_add(chunk.data.len() as u64, Ordering::Relaxed);
        if let Some((place, outcome)) = assembly.take(chunk)? {
            if let Err(Failure { kind: kind @ (FailureKind::CorruptOnDisk | FailureKind::CorruptOnWire), message }) =
                &outcome
            {
                tracing::warn!(%address, "a block that came is {kind}: {message}");
            }
            reporter.block(place, outcome);
        }
    }
    if assembly.is_over() { Ok(()) } else { Err("the answer ended before all its blocks had come".into()) }
}

async fn within<T>(idle: Duration, answer: impl Future<Output = Result<T, tonic::Status>>) -> Result<T, String> {
    match tokio::time::timeout(idle, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(status)) => Err(describe_status(&status)),
        Err(_) => Err(format!("it said nothing for {} s", idle.as_secs_f64())),
    }
}

/// What the server said, or what broke beneath it.
fn describe_status(status: &tonic::Status) -> String {
    match status.source() {
        Some(source) => describe(source),
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// An error with its causes; libraries' outer words ("transport error") say little.
fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
