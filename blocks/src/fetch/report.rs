//! What a request's task tells the stream that wants its blocks.

use crate::machine::{Event, Failure, FailureKind, RequestId};
use bytes::Bytes;
use tokio::sync::mpsc;

/// News of a request.
#[derive(Debug)]
pub(super) enum Report {
    /// A span of a block, whole and verified.
    Arrived { request: RequestId, block: usize, bytes: Bytes },
    /// Anything else.
    Other(Event),
}

/// The queue of reports. Unbounded, because a full one would hold up a connection that other fetches share; what it can
/// hold is bounded by what the planner asked for: a report for each block in flight and one for each request.
pub(super) type Reports = mpsc::UnboundedSender<Report>;

/// Reports on one request; its end at the latest when it is dropped.
#[derive(Debug)]
pub(super) struct Reporter {
    request: RequestId,
    reports: Reports,
    ended: bool,
}

impl Reporter {
    pub(super) const fn new(request: RequestId, reports: Reports) -> Self {
        Self { request, reports, ended: false }
    }

    /// Whether anybody listens still.
    pub(super) fn is_wanted(&self) -> bool {
        !self.reports.is_closed()
    }

    pub(super) fn block(&self, block: usize, outcome: Result<Bytes, Failure>) {
        let request = self.request;
        self.send(match outcome {
            Ok(bytes) => Report::Arrived { request, block, bytes },
            Err(failure) => Report::Other(Event::BlockFailed { request, block, failure }),
        });
    }

    pub(super) fn end(mut self, failure: Option<Failure>) {
        self.ended = true;
        self.send(Report::Other(Event::RequestEnded { request: self.request, failure }));
    }

    fn send(&self, report: Report) {
        // A stream that was dropped wants no news.
        let _ = self.reports.send(report);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if !self.ended {
            let failure = Failure { kind: FailureKind::Io, message: "the request's task died".into() };
            self.send(Report::Other(Event::RequestEnded { request: self.request, failure: Some(failure) }));
        }
    }
}
