//! The planner itself.

use super::{
    BlockWanted, Effect, Event, Failure, FailureKind, PlannerOptions, RequestId,
    request::{Request, Requests, Source},
    window::{Block, BlockState, Window},
};
use hearth_core::{Machine, Now, messages::worker::Address};

/// Plans one fetch.
#[derive(Debug)]
pub struct Planner {
    options: PlannerOptions,
    window: Window,
    requests: Requests,
    /// The consumer waits.
    asked: bool,
    failed: Option<(usize, Failure)>,
    /// The consumer was told the end.
    over: bool,
}

impl Planner {
    /// A planner for these blocks. It does nothing until the consumer asks.
    pub fn new(options: PlannerOptions, wanted: Vec<BlockWanted>) -> Self {
        let window = Window::new(wanted, options.max_in_flight);
        Self { options, window, requests: Requests::default(), asked: false, failed: None, over: false }
    }

    fn admit(&mut self) {
        let Self { window, requests, failed, .. } = self;
        window.admit(|i, block| match source(block) {
            Some(source) => requests.queue(source, i),
            None => {
                failed.get_or_insert_with(|| (i, unserved()));
            }
        });
    }

    /// Does all that can be done now.
    fn proceed(&mut self, fx: &mut Vec<Effect>) {
        self.admit();
        if self.asked && self.failed.is_none() {
            if let Some(block) = self.window.take() {
                self.asked = false;
                fx.push(Effect::Deliver { block });
                self.admit();
            } else if self.window.is_over() {
                self.asked = false;
                self.over = true;
                // Requests whose blocks have all come, but not yet their end.
                self.requests.clear();
                fx.push(Effect::Finish);
                return;
            }
        }
        if self.failed.is_some() {
            // Nothing else of this fetch is of use.
            self.requests.clear();
            if self.asked {
                self.asked = false;
                self.over = true;
                fx.extend(self.failed.take().map(|(block, failure)| Effect::Fail { block, failure }));
            }
            return;
        }
        while let Some(source) = self.requests.next_source(self.options.max_requests_per_address.max(1)) {
            let blocks = &self.window.blocks;
            let size = |i: usize| blocks[i].size;
            let missing =
                self.requests.take_batch(&source, self.options.max_blocks_per_request, self.window.share(), size);
            for i in &missing {
                self.window.blocks[*i].state = BlockState::Asked;
            }
            self.start(Request { source, missing, attempt: 0, retry_at: None }, fx);
        }
    }

    fn start(&mut self, request: Request, fx: &mut Vec<Effect>) {
        let blocks = request.missing.iter().copied().collect();
        let source = request.source.clone();
        let request = self.requests.start(request);
        fx.push(match source {
            Source::Files => Effect::ReadFiles { request, blocks },
            Source::Server(address) => Effect::Request { request, address, blocks },
        });
    }

    fn fail(&mut self, block: usize, failure: Failure) {
        self.failed.get_or_insert((block, failure));
    }

    /// Whether this news is of a block that the request still lacks; then it does not lack it any more.
    fn settle(&mut self, request: RequestId, block: usize) -> bool {
        self.requests.get_mut(request).is_some_and(|r| r.missing.remove(&block))
    }

    fn block_failed(&mut self, i: usize, from_file: bool, failure: Failure) {
        let block = &mut self.window.blocks[i];
        let again = match failure.kind {
            // Somebody serves it who may see what this process does not.
            FailureKind::NotFound | FailureKind::Io if from_file && block.address.is_some() => {
                block.file = false;
                true
            }
            FailureKind::CorruptOnWire => !std::mem::replace(&mut block.refetched, true),
            _ => false,
        };
        match source(block).filter(|_| again) {
            Some(source) => {
                block.state = BlockState::Queued;
                self.requests.queue(source, i);
            }
            None => self.fail(i, failure),
        }
    }

    fn request_ended(&mut self, now: Now, id: RequestId, failure: Option<Failure>) {
        let options = self.options;
        let Some(request) = self.requests.get_mut(id) else { return };
        let Some(first) = request.missing.first().copied() else {
            self.requests.remove(id);
            return;
        };
        let failure = failure.unwrap_or_else(|| Failure {
            kind: FailureKind::Unreachable,
            message: "the answer ended before all its blocks had come".into(),
        });
        match &request.source {
            Source::Server(address) if request.attempt < options.max_retries => {
                let wait =
                    if Address::is_loopback(&address.host) { options.loopback_retry_wait } else { options.retry_wait };
                request.retry_at = Some(now.after(wait));
            }
            Source::Server(_) => {
                let message = format!("{} (tried {} times)", failure.message, request.attempt + 1);
                self.fail(first, Failure { message, ..failure });
            }
            Source::Files => self.fail(first, failure),
        }
    }
}

/// Whom to ask for a block.
fn source(block: &Block) -> Option<Source> {
    if block.file { Some(Source::Files) } else { block.address.clone().map(Source::Server) }
}

fn unserved() -> Failure {
    let message = "its file is not on this machine and nobody serves it".into();
    Failure { kind: FailureKind::Unreachable, message }
}

impl Machine for Planner {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Now, event: Event, fx: &mut Vec<Effect>) {
        if self.over {
            if event == Event::Asked {
                fx.push(Effect::Finish);
            }
            return;
        }
        match event {
            Event::Asked => self.asked = true,
            Event::Arrived { request, block } => {
                if self.settle(request, block) {
                    self.window.blocks[block].state = BlockState::Arrived;
                }
            }
            Event::BlockFailed { request, block, failure } => {
                let from_file = self.requests.get_mut(request).is_some_and(|r| r.source == Source::Files);
                if self.settle(request, block) {
                    self.block_failed(block, from_file, failure);
                }
            }
            Event::RequestEnded { request, failure } => self.request_ended(now, request, failure),
        }
        self.proceed(fx);
    }

    fn deadline(&self) -> Option<Now> {
        self.requests.deadline()
    }

    fn tick(&mut self, now: Now, fx: &mut Vec<Effect>) {
        for id in self.requests.due(now) {
            if let Some(request) = self.requests.remove(id) {
                let attempt = request.attempt + 1;
                self.start(Request { attempt, retry_at: None, ..request }, fx);
            }
        }
    }

    fn check(&self) {
        self.window.check();
        self.requests.check(self.options.max_requests_per_address.max(1));
        if self.over || self.failed.is_some() {
            assert!(self.requests.is_empty(), "after the end nothing is queued or under way");
            return;
        }
        let places = [
            (BlockState::Queued, sorted(self.requests.queued())),
            (BlockState::Asked, sorted(self.requests.missing())),
        ];
        for (state, found) in places {
            let blocks = self.window.blocks.iter().enumerate();
            let expected: Vec<_> = blocks.filter(|(_, b)| b.state == state).map(|(i, _)| i).collect();
            assert_eq!(found, expected, "blocks that are {state:?}");
        }
        assert!(!self.asked || !self.requests.is_empty(), "the consumer waits and nothing is under way");
    }
}

fn sorted(blocks: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut blocks: Vec<_> = blocks.collect();
    blocks.sort_unstable();
    blocks
}
