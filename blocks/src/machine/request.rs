//! Requests, and the queues they are made from.

use super::RequestId;
use hearth_core::{Now, messages::worker::Address};
use std::collections::{BTreeMap, BTreeSet};

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The files of this machine.
    Files,
    /// A server.
    Server(Address),
}

/// Blocks asked of one source together.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) source: Source,
    /// Those that neither arrived nor failed.
    pub(super) missing: BTreeSet<usize>,
    /// Times it was tried before.
    pub(super) attempt: u32,
    /// It broke, and is to be tried again then. It keeps its place among the requests of its source, so that a server
    /// that is down is not asked for more meanwhile.
    pub(super) retry_at: Option<Now>,
}

/// What is queued and what is under way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    queues: BTreeMap<Source, BTreeSet<usize>>,
    under_way: BTreeMap<RequestId, Request>,
    last: u64,
}

impl Requests {
    pub(super) fn queue(&mut self, source: Source, block: usize) {
        self.queues.entry(source).or_default().insert(block);
    }

    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut Request> {
        // One that waits to be tried again has ended: what still comes of it is late.
        self.under_way.get_mut(&id).filter(|r| r.retry_at.is_none())
    }

    pub(super) fn start(&mut self, request: Request) -> RequestId {
        self.last += 1;
        let id = RequestId(self.last);
        self.under_way.insert(id, request);
        id
    }

    pub(super) fn remove(&mut self, id: RequestId) -> Option<Request> {
        self.under_way.remove(&id)
    }

    /// When the next broken request is to be tried again.
    pub(super) fn deadline(&self) -> Option<Now> {
        self.under_way.values().filter_map(|r| r.retry_at).min()
    }

    /// Broken requests whose time has come.
    pub(super) fn due(&self, now: Now) -> Vec<RequestId> {
        self.under_way.iter().filter(|(_, r)| r.retry_at.is_some_and(|at| at <= now)).map(|(id, _)| *id).collect()
    }

    /// The source with room for a request that holds the earliest queued block.
    pub(super) fn next_source(&self, max_per_source: usize) -> Option<Source> {
        let under_way = |source: &Source| self.under_way.values().filter(|r| r.source == *source).count();
        self.queues
            .iter()
            .filter_map(|(source, blocks)| Some((blocks.first()?, source)))
            .filter(|(_, source)| under_way(source) < max_per_source)
            .min()
            .map(|(_, source)| source.clone())
    }

    /// Takes the first blocks of a queue: at least one, at most `max_blocks`, and no more than `max_bytes` unless the
    /// first alone is.
    pub(super) fn take_batch(
        &mut self,
        source: &Source,
        max_blocks: usize,
        max_bytes: u64,
        size: impl Fn(usize) -> u64,
    ) -> BTreeSet<usize> {
        let mut batch = BTreeSet::new();
        let Some(queue) = self.queues.get_mut(source) else { return batch };
        let mut bytes = 0_u64;
        while let Some(block) = queue.first().copied() {
            let with = bytes.saturating_add(size(block));
            if !batch.is_empty() && (batch.len() >= max_blocks || with > max_bytes) {
                break;
            }
            bytes = with;
            queue.remove(&block);
            batch.insert(block);
        }
        if queue.is_empty() {
            self.queues.remove(source);
        }
        batch
    }

    pub(super) fn clear(&mut self) {
        self.queues.clear();
        self.under_way.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.under_way.is_empty()
    }

    /// Every block in a queue.
    pub(super) fn queued(&self) -> impl Iterator<Item = usize> {
        self.queues.values().flatten().copied()
    }

    /// Every block that a request still lacks.
    pub(super) fn missing(&self) -> impl Iterator<Item = usize> {
        self.under_way.values().flat_map(|r| &r.missing).copied()
    }

    pub(super) fn check(&self, max_per_source: usize) {
        assert!(self.queues.values().all(|q| !q.is_empty()), "an empty queue is removed");
        assert!(self.under_way.values().all(|r| r.retry_at.is_none() || !r.missing.is_empty()));
        let mut per_source = BTreeMap::new();
        for request in self.under_way.values() {
            *per_source.entry(&request.source).or_insert(0) += 1;
        }
        assert!(per_source.values().all(|n| *n <= max_per_source), "too many requests: {per_source:?}");
    }
}
