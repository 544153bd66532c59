//! How executors of one application ended: the last few, for explanations.

use hearth_core::{ExecutorId, ExecutorState, WorkerId};
use std::collections::VecDeque;

/// Ends that are remembered: enough to see a pattern, few enough to read.
const REMEMBERED: usize = 10;
/// Characters kept of what was said about one.
const CHARS: usize = 2000;

/// An executor that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) executor: ExecutorId,
    pub(super) worker: WorkerId,
    pub(super) state: ExecutorState,
    pub(super) message: String,
}

/// The last ends, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends(VecDeque<Ended>);

impl Ends {
    /// Remembers how an executor ended.
    pub(super) fn remember(&mut self, mut end: Ended) {
        if let Some((cut, _)) = end.message.char_indices().nth(CHARS) {
            end.message.truncate(cut);
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(end);
    }

    /// How this executor ended, when that is remembered.
    pub(super) fn of(&self, executor: ExecutorId) -> Option<&Ended> {
        self.0.iter().rev().find(|end| end.executor == executor)
    }

    /// All that are remembered.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Ended> {
        self.0.iter()
    }

    /// Panics if too many are.
    pub(super) fn check(&self) {
        assert!(self.0.len() <= REMEMBERED, "{} ends are remembered", self.0.len());
    }
}
