//! The stream of blocks: turns reports into events, and effects into tasks.

use super::{
    FetchError, Shared, Wanted, local, remote,
    report::{Report, Reporter, Reports},
    spans::{self, Span},
};
use crate::machine::{Effect, Event, Failure, Planner};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use hearth_core::{ApplicationId, Machine, Now};
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::task::AbortOnDropHandle;

/// Verified bytes of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockPiece {
    /// The block's place in the list of those wanted.
    pub index: usize,
    /// What follows those that came before; nothing for an empty block.
    pub bytes: Bytes,
    /// Whether the block ends with them.
    pub last: bool,
}

/// Blocks in the order wanted, each in one or more pieces.
pub type BlockStream = BoxStream<'static, Result<BlockPiece, FetchError>>;

pub(super) fn fetch(shared: Arc<Shared>, application: ApplicationId, wanted: Arc<[Wanted]>) -> BlockStream {
    let options = shared.options.planner();
    let spans = spans::of(&wanted, options.max_in_flight);
    let planner = Planner::new(options, spans.iter().map(|s| shared.plan(&wanted[s.block], s)).collect());
    let (reports, incoming) = mpsc::unbounded_channel();
    let fetching = Fetching {
        shared,
        application,
        wanted,
        spans,
        planner,
        started: Instant::now(),
        reports,
        incoming,
        arrived: BTreeMap::new(),
        tasks: JoinSet::new(),
        fx: Vec::new(),
    };
    Box::pin(stream::unfold(fetching, |mut fetching| async move {
        let next = fetching.next().await?;
        Some((next, fetching))
    }))
}

/// One fetch under way.
struct Fetching {
    shared: Arc<Shared>,
    application: ApplicationId,
    wanted: Arc<[Wanted]>,
    /// The planner's list.
    spans: Vec<Span>,
    planner: Planner,
    started: Instant,
    reports: Reports,
    incoming: mpsc::UnboundedReceiver<Report>,
    /// Spans that wait for those before them.
    arrived: BTreeMap<usize, Bytes>,
    tasks: JoinSet<()>,
    fx: Vec<Effect>,
}

/// What a consumer is told.
type Told = Option<Result<BlockPiece, FetchError>>;

impl Fetching {
    async fn next(&mut self) -> Told {
        // All news first: ended requests make room for others, even when the next block is already here.
        while let Ok(report) = self.incoming.try_recv() {
            self.take(report);
        }
        self.planner.handle(self.now(), Event::Asked, &mut self.fx);
        loop {
            if let Some(told) = self.perform() {
                return told;
            }
            let timer = self.timer();
            tokio::select! {
                // Never none: this side keeps a sender.
                Some(report) = self.incoming.recv() => self.take(report),
                () = timer => {
                    let now = self.now();
                    if self.planner.deadline().is_some_and(|at| at <= now) {
                        self.planner.tick(now, &mut self.fx);
                    }
                }
            }
        }
    }

    fn now(&self) -> Now {
        Now(self.started.elapsed())
    }

    /// Waits for the planner's deadline. On the I/O runtime: the consumer's may have no timer.
    fn timer(&self) -> impl Future<Output = ()> + Send + use<> {
        let wake = self.planner.deadline().map(|at| {
            let delay = at.since(self.now());
            let sleep = async move { tokio::time::sleep(delay).await };
            AbortOnDropHandle::new(self.shared.io.spawn(sleep))
        });
        async move {
            match wake {
                // An error means that the runtime is going down, and this with it.
                Some(wake) => drop(wake.await),
                None => std::future::pending().await,
            }
        }
    }

    fn take(&mut self, report: Report) {
        let event = match report {
            Report::Arrived { request, block, bytes } => {
                self.arrived.insert(block, bytes);
                Event::Arrived { request, block }
            }
            Report::Other(event) => event,
        };
        self.planner.handle(self.now(), event, &mut self.fx);
    }

    /// Performs all effects; gives what the consumer is to be told, if anything.
    fn perform(&mut self) -> Option<Told> {
        while self.tasks.try_join_next().is_some() {}
        let mut told = None;
        for effect in std::mem::take(&mut self.fx) {
            match effect {
                Effect::ReadFiles { request, blocks } => {
                    let reporter = Reporter::new(request, self.reports.clone());
                    let spans = self.named(blocks);
                    let (shared, wanted) = (self.shared.clone(), self.wanted.clone());
                    let read = move || local::read(&shared, &wanted, &spans, reporter);
                    self.tasks.spawn_blocking_on(read, &self.shared.io);
                }
                Effect::Request { request, address, blocks } => {
                    let reporter = Reporter::new(request, self.reports.clone());
                    let spans = self.named(blocks);
                    let (shared, wanted) = (self.shared.clone(), self.wanted.clone());
                    let application = self.application.clone();
                    let ask = async move {
                        remote::ask(&shared, &application, &wanted, &address, &spans, reporter).await;
                    };
                    self.tasks.spawn_on(ask, &self.shared.io);
                }
                Effect::Deliver { block } => {
                    let bytes = self.arrived.remove(&block).unwrap_or_default();
                    let span = self.spans[block];
                    assert_eq!(bytes.len() as u64, span.len, "a delivered span has arrived whole");
                    let last = span.range().end == self.wanted[span.block].range.end;
                    told = Some(Some(Ok(BlockPiece { index: span.block, bytes, last })));
                }
                Effect::Fail { block, failure } => {
                    told = Some(Some(Err(self.error(block, failure))));
                    self.end();
                }
                Effect::Finish => {
                    told = Some(None);
                    self.end();
                }
            }
        }
        told
    }

    /// Nothing that is under way is wanted any more.
    fn end(&mut self) {
        self.tasks.abort_all();
        self.arrived.clear();
    }

    /// The spans at these places of the list.
    fn named(&self, places: Vec<usize>) -> Vec<(usize, Span)> {
        places.into_iter().map(|place| (place, self.spans[place])).collect()
    }

    fn error(&self, place: usize, Failure { kind, message }: Failure) -> FetchError {
        let index = self.spans[place].block;
        let Wanted { location, id, .. } = &self.wanted[index];
        FetchError { index, location: Box::new(location.clone()), id: *id, kind, message }
    }
}
