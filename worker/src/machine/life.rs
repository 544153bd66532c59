//! How one child is started and ended.

use super::{Child, Effect};
use hearth_core::Now;
use std::time::Duration;

/// A child that was spawned and is not over.
#[derive(Debug, Default)]
pub(super) struct Life {
    started: bool,
    ending: Option<Ending>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// As soon as it has started: before that there is nothing to send a signal to.
    OnceStarted,
    /// SIGTERM is sent, SIGKILL follows.
    Soft { hard_at: Now },
    /// SIGKILL is sent.
    Hard,
}

impl Life {
    /// Whether it runs; else it is being started.
    pub(super) const fn has_started(&self) -> bool {
        self.started
    }

    /// Whether it was asked to end.
    pub(super) const fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// It runs.
    pub(super) fn start(&mut self, now: Now, child: &Child, grace: Duration, fx: &mut Vec<Effect>) {
        self.started = true;
        if self.ending == Some(Ending::OnceStarted) {
            self.soft(now, child, grace, fx);
        }
    }

    /// Asks it to end, once.
    pub(super) fn end(&mut self, now: Now, child: &Child, grace: Duration, fx: &mut Vec<Effect>) {
        match self.ending {
            None if self.started => self.soft(now, child, grace, fx),
            None => self.ending = Some(Ending::OnceStarted),
            Some(_) => {}
        }
    }

    /// Gives it no more time.
    pub(super) fn hasten(&mut self, child: &Child, fx: &mut Vec<Effect>) {
        if matches!(self.ending, Some(Ending::Soft { .. })) {
            self.ending = Some(Ending::Hard);
            fx.push(Effect::Kill { child: child.clone(), hard: true });
        }
    }

    /// When its time is up.
    pub(super) const fn deadline(&self) -> Option<Now> {
        match self.ending {
            Some(Ending::Soft { hard_at }) => Some(hard_at),
            _ => None,
        }
    }

    /// Ends it when its time is up.
    pub(super) fn tick(&mut self, now: Now, child: &Child, fx: &mut Vec<Effect>) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.hasten(child, fx);
        }
    }

    /// Panics if it contradicts itself.
    pub(super) fn check(&self) {
        match self.ending {
            Some(Ending::OnceStarted) => assert!(!self.started, "a child that runs waits for a signal"),
            Some(_) => assert!(self.started, "a signal was sent to a child that does not run"),
            None => {}
        }
    }

    fn soft(&mut self, now: Now, child: &Child, grace: Duration, fx: &mut Vec<Effect>) {
        self.ending = Some(Ending::Soft { hard_at: now.after(grace) });
        fx.push(Effect::Kill { child: child.clone(), hard: false });
    }
}
