//! The worker as a whole: what each event goes to, and how it stops.

use super::{
    Effect, Event, WorkerOptions, blocks::Blocks, children::End, cleanup::Cleanup, executors::Executors, link, log,
    reports::Reports,
};
use hearth_core::{Level, Machine, Now, messages::worker::WorkerUp};

/// The worker's machine.
#[derive(Debug)]
pub struct Worker {
    pub(super) options: WorkerOptions,
    pub(super) master: link::Master,
    pub(super) blocks: Blocks,
    pub(super) executors: Executors,
    pub(super) reports: Reports,
    cleanup: Cleanup,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Executors end, then the block service, then the worker exits with this code.
    Stopping {
        code: i32,
    },
    /// `Exit` was said.
    Over,
}

impl Worker {
    /// A worker at its node's start. Its first deadline is due at once.
    pub fn new(options: WorkerOptions) -> Self {
        Self {
            master: link::Master::new(&options.worker),
            blocks: Blocks::new(options.port),
            executors: Executors::default(),
            reports: Reports::default(),
            cleanup: Cleanup::new(options.app_data_ttl),
            phase: Phase::Serving,
            options,
        }
    }

    /// Whether anything is left of any application, as far as the worker knows.
    pub fn keeps_anything(&self) -> bool {
        !self.executors.is_empty() || !self.executors.kept().is_empty()
    }

    /// Panics unless nothing is left of any application: for tests, after the last one.
    pub fn assert_empty(&self) {
        self.executors.assert_empty();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.phase != Phase::Serving
    }

    /// Stops, because it cannot go on.
    pub(super) fn give_up(&mut self, now: Now, why: String, fx: &mut Vec<Effect>) {
        log(fx, Level::Error, format!("{why}; giving up"));
        self.stop(now, why, 1, fx);
    }

    fn stop(&mut self, now: Now, reason: String, code: i32, fx: &mut Vec<Effect>) {
        if self.is_stopping() {
            return;
        }
        self.phase = Phase::Stopping { code };
        self.executors.kill_all(now, &format!("the worker stops: {reason}"), self.options.kill_grace, fx);
        if self.registered().is_some() {
            self.say(WorkerUp::Leaving { reason }, fx);
        } else {
            self.close_link(fx);
        }
        self.stop_further(now, fx);
    }

    /// Takes the next step of stopping, once the last one is done.
    pub(super) fn stop_further(&mut self, now: Now, fx: &mut Vec<Effect>) {
        let Phase::Stopping { code } = self.phase else { return };
        if !self.executors.is_empty() {
            return;
        }
        self.blocks.end(now, self.options.kill_grace, fx);
        if self.blocks.is_over() {
            self.close_link(fx);
            self.phase = Phase::Over;
            fx.push(Effect::Exit { code });
        }
    }

    fn close_link(&mut self, fx: &mut Vec<Effect>) {
        if let Some(link) = self.master.link() {
            fx.push(Effect::CloseLink { link });
        }
        self.master.state = link::State::Idle;
    }

    fn stop_asked(&mut self, now: Now, reason: String, fx: &mut Vec<Effect>) {
        if self.is_stopping() {
            log(fx, Level::Info, format!("asked to stop again ({reason}): the children get no more time"));
            self.executors.hasten(fx);
            self.blocks.hasten(fx);
        } else {
            log(fx, Level::Info, format!("stopping: {reason}"));
            self.stop(now, reason, 0, fx);
        }
    }
}

impl Machine for Worker {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Now, event: Event, fx: &mut Vec<Effect>) {
        if self.phase == Phase::Over {
            return;
        }
        match event {
            Event::LinkOpened { link } => self.link_opened(now, link, fx),
            Event::DialFailed { reason, jitter } => self.dial_failed(now, &reason, jitter, fx),
            Event::LinkClosed { link, reason, jitter } => self.link_closed(now, link, &reason, jitter, fx),
            Event::MasterSaid { link, message } => self.master_said(now, link, message, fx),
            Event::ChildStarted { child, pid, port } => self.child_started(now, child, pid, port, fx),
            Event::SpawnFailed { child, message } => self.child_over(now, child, End::NeverStarted(message), fx),
            Event::ChildExited { child, exit_code, cause, tail } => {
                self.child_over(now, child, End::Exited { exit_code, cause, tail }, fx);
            }
            Event::StopAsked { reason } => self.stop_asked(now, reason, fx),
        }
    }

    fn deadline(&self) -> Option<Now> {
        let cleanup = (!self.is_stopping()).then(|| self.cleanup.deadline());
        let due = [self.blocks.deadline(), self.executors.deadline(), self.master.deadline(), cleanup];
        due.into_iter().flatten().min()
    }

    fn tick(&mut self, now: Now, fx: &mut Vec<Effect>) {
        self.blocks.tick(now, fx);
        self.executors.tick(now, fx);
        self.tick_link(now, fx);
        if !self.is_stopping() {
            self.cleanup.tick(now, &self.executors, fx);
        }
    }

    fn check(&self) {
        self.master.check();
        self.blocks.check(self.options.block_service_deaths);
        self.executors.check(&self.options.resources);
        self.reports.check(self.registered().is_some(), &self.free(), |key| self.executors.is_live(key));
        let wants_master = !matches!(self.master.state, link::State::Idle);
        assert!(!wants_master || self.blocks.port().is_some(), "a worker without a block service looks for a master");
        assert!(self.is_stopping() || wants_master || self.blocks.port().is_none(), "a worker looks for no master");
        match self.phase {
            Phase::Serving => assert!(!self.blocks.is_over(), "a worker without a block service serves"),
            Phase::Stopping { .. } => {
                assert!(self.executors.all_ending(), "an executor does not know that the worker stops");
                let left = !self.executors.is_empty() || !self.blocks.is_over();
                assert!(left, "a worker without children does not exit");
            }
            Phase::Over => {
                assert!(self.executors.is_empty() && self.blocks.is_over(), "a worker has exited before its children");
                assert_eq!(self.deadline(), None, "a worker that has exited wants something");
            }
        }
    }
}
