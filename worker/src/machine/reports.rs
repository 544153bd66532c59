//! Reports of executors that are over, until the master must have them.
//!
//! Links have no acknowledgements. A report is said on the link at once, or after the next registration, and again after
//! each later registration, unless the link on which it was said lived on for so long that it must have arrived. Final
//! states absorb, so saying it twice changes nothing.
//!
//! An executor whose end was never said is still listed at the registration that comes before the report: a master that
//! misses it there would give it up as lost, and not hear how it ended.

use super::executors::Key;
use hearth_core::{
    ExecutorState, Now, Resources,
    messages::worker::{LiveExecutor, WorkerUp},
};
use std::{collections::VecDeque, time::Duration};

/// How long a link must live on for what was said on it to have arrived: a dead peer is found within 20 s.
const ARRIVED: Duration = Duration::from_secs(60);
/// Reports kept. More come only when a minute sees a thousand executors end; the oldest then go, and the list of live
/// executors at the next registration tells the master as much.
const MAX_KEPT: usize = 1024;

/// The end of one executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) executor: Key,
    pub(super) state: ExecutorState,
    pub(super) message: String,
    pub(super) exit_code: Option<i32>,
}

impl Report {
    pub(super) fn message(&self) -> WorkerUp {
        WorkerUp::ExecutorChanged {
            application: self.executor.0.clone(),
            executor: self.executor.1,
            state: self.state,
            message: self.message.clone(),
            exit_code: self.exit_code,
        }
    }
}

#[derive(Debug)]
struct Kept {
    report: Report,
    /// When it was said on the link of today.
    said: Option<Now>,
    /// What the executor was, until its end is said for the first time.
    was: Option<LiveExecutor>,
}

/// Reports that may not have arrived, oldest first.
#[derive(Debug, Default)]
pub(super) struct Reports(VecDeque<Kept>);

impl Reports {
    /// Keeps one that was said at once.
    pub(super) fn keep_said(&mut self, now: Now, report: Report) {
        self.keep(Kept { report, said: Some(now), was: None });
    }

    /// Keeps one that there was no link for.
    pub(super) fn keep_unsaid(&mut self, report: Report, was: LiveExecutor) {
        self.keep(Kept { report, said: None, was: Some(was) });
    }

    fn keep(&mut self, kept: Kept) {
        if self.0.len() == MAX_KEPT {
            self.0.pop_front();
        }
        self.0.push_back(kept);
    }

    /// The executors whose end was never said, as they were.
    pub(super) fn unsaid(&self) -> impl Iterator<Item = &LiveExecutor> {
        self.0.iter().filter_map(|kept| kept.was.as_ref())
    }

    /// The report of this executor, when it is kept.
    pub(super) fn of(&self, executor: &Key) -> Option<&Report> {
        self.0.iter().map(|kept| &kept.report).find(|report| report.executor == *executor)
    }

    /// All of them, to be said now.
    pub(super) fn say_all(&mut self, now: Now) -> impl Iterator<Item = WorkerUp> {
        self.0.iter_mut().map(move |kept| {
            kept.said = Some(now);
            kept.was = None;
            kept.report.message()
        })
    }

    /// The link on which they were said is gone.
    pub(super) fn link_lost(&mut self) {
        self.0.iter_mut().for_each(|kept| kept.said = None);
    }

    /// The link lives: forgets what must have arrived.
    pub(super) fn link_lives(&mut self, now: Now) {
        self.0.retain(|kept| kept.said.is_none_or(|at| now.since(at) < ARRIVED));
    }

    /// Panics if they contradict themselves.
    pub(super) fn check(&self, registered: bool, free: &Resources, is_live: impl Fn(&Key) -> bool) {
        assert!(self.0.len() <= MAX_KEPT, "{} reports are kept", self.0.len());
        assert!(!registered || self.unsaid().next().is_none(), "a master was not told of an end");
        let held = self.unsaid().fold(Resources::default(), |sum, executor| sum.plus(&executor.resources));
        assert!(free.fits(&held), "a registration would list more than the worker has: {held} beside {free}");
        for Kept { report, .. } in &self.0 {
            assert!(report.state.is_final(), "a report of {:?} is not final", report.executor);
            assert!(!is_live(&report.executor), "{:?} is live and reported", report.executor);
        }
    }
}
