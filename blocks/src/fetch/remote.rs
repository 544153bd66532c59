//! Blocks from a server.

use super::{Shared, Wanted, assembly::Assembly, report::Reporter};
use crate::{
    limits::{MAX_CHUNK, MESSAGE_SLACK},
    machine::{Failure, FailureKind},
};
use hearth_core::{ApplicationId, messages::worker::Address};
use hearth_proto::v1::{FetchRequest, blocks_client::BlocksClient};
use std::{error::Error, future::Future, sync::atomic::Ordering, time::Duration};

/// Asks for blocks and reports each.
pub(super) async fn ask(
    shared: &Shared,
    application: &ApplicationId,
    wanted: &[Wanted],
    address: &Address,
    blocks: &[usize],
    reporter: Reporter,
) {
    tracing::debug!(%address, blocks = blocks.len(), "asking for blocks");
    let asked = exchange(shared, application, wanted, address, blocks, &reporter).await;
    let failure = match asked {
        Ok(()) => {
            tracing::debug!(%address, blocks = blocks.len(), "got the blocks");
            None
        }
        Err(message) => {
            shared.broken.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%address, blocks = blocks.len(), "a request for blocks broke: {message}");
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
    blocks: &[usize],
    reporter: &Reporter,
) -> Result<(), String> {
    let idle = shared.options.idle_timeout;
    let channel = shared.channels.get(address).map_err(|e| describe(&e))?;
    let mut client = BlocksClient::new(channel).max_decoding_message_size(MAX_CHUNK + MESSAGE_SLACK);
    let request = FetchRequest {
        application: application.to_string(),
        blocks: blocks.iter().map(|i| wanted[*i].id.into()).collect(),
    };
    let mut answer = within(idle, client.fetch(request)).await?.into_inner();
    let mut assembly = Assembly::new(blocks.iter().map(|i| (*i, wanted[*i].size)));
    while let Some(chunk) = within(idle, answer.message()).await? {
        shared.remote.fetch_add(chunk.data.len() as u64, Ordering::Relaxed);
        if let Some((block, outcome)) = assembly.take(chunk)? {
            reporter.block(block, outcome);
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
