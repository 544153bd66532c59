//! The machine's block service: started before anything else, and again on the same port when it dies.

use super::{Child, Effect, backoff, life::Life, log};
use hearth_core::{Level, Now};
use std::time::Duration;

/// The block service.
#[derive(Debug)]
pub(super) struct Blocks {
    state: State,
    /// Where it listens, once it has; until then the port that was asked for.
    port: u16,
    /// Whether it has ever listened.
    known: bool,
    /// Deaths in a row.
    deaths: u32,
}

#[derive(Debug)]
enum State {
    /// It is to be started.
    Due { at: Now },
    /// It was spawned; since when it listens.
    Alive { life: Life, since: Option<Now> },
    /// It is not to be started again.
    Over,
}

/// The worker cannot go on without it: why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hopeless(pub(super) String);

impl Blocks {
    /// To be started at once.
    pub(super) fn new(port: u16) -> Self {
        Self { state: State::Due { at: Now::default() }, port, known: false, deaths: 0 }
    }

    /// Its port, once it has listened.
    pub(super) fn port(&self) -> Option<u16> {
        self.known.then_some(self.port)
    }

    /// Whether it is over for good.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// It listens.
    pub(super) fn started(
        &mut self,
        now: Now,
        port: u16,
        grace: Duration,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Hopeless> {
        let State::Alive { life, since } = &mut self.state else { return Ok(()) };
        life.start(now, &Child::BlockService, grace, fx);
        *since = Some(now);
        if self.known && port != self.port {
            return Err(Hopeless(format!("the block service came back on port {port} instead of {}", self.port)));
        }
        self.known = true;
        self.port = port;
        log(fx, Level::Info, format!("the block service listens on port {port}"));
        Ok(())
    }

    /// It is gone, or could not be started.
    pub(super) fn died(
        &mut self,
        now: Now,
        why: &str,
        limit: u32,
        settled: Duration,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Hopeless> {
        let State::Alive { life, since } = &self.state else { return Ok(()) };
        if life.is_ending() {
            self.state = State::Over;
            return Ok(());
        }
        if !self.known {
            self.state = State::Over;
            return Err(Hopeless(self.never_started(why)));
        }
        if since.is_some_and(|at| now.since(at) >= settled) {
            self.deaths = 0;
        }
        self.deaths += 1;
        if self.deaths > limit {
            self.state = State::Over;
            return Err(Hopeless(format!(
                "the block service died {} times in a row; the last time: {why}",
                self.deaths
            )));
        }
        let delay = backoff::before_respawn(self.deaths);
        log(
            fx,
            Level::Error,
            format!("the block service is gone ({why}); it is started again on port {} in {delay:?}", self.port),
        );
        self.state = State::Due { at: now.after(delay) };
        Ok(())
    }

    fn never_started(&self, why: &str) -> String {
        match self.port {
            0 => format!("the block service cannot be started: {why}"),
            port => format!(
                "the block service cannot be started on port {port}: {why}; if another process has the port, choose \
                 another with --port"
            ),
        }
    }

    /// Ends it for good.
    pub(super) fn end(&mut self, now: Now, grace: Duration, fx: &mut Vec<Effect>) {
        match &mut self.state {
            State::Due { .. } => self.state = State::Over,
            State::Alive { life, .. } => life.end(now, &Child::BlockService, grace, fx),
            State::Over => {}
        }
    }

    /// Gives it no more time, when it is ending.
    pub(super) fn hasten(&mut self, fx: &mut Vec<Effect>) {
        if let State::Alive { life, .. } = &mut self.state {
            life.hasten(&Child::BlockService, fx);
        }
    }

    /// When something is due.
    pub(super) const fn deadline(&self) -> Option<Now> {
        match &self.state {
            State::Due { at } => Some(*at),
            State::Alive { life, .. } => life.deadline(),
            State::Over => None,
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Now, fx: &mut Vec<Effect>) {
        match &mut self.state {
            State::Due { at } if *at <= now => {
                self.state = State::Alive { life: Life::default(), since: None };
                fx.push(Effect::SpawnBlockService { port: self.port });
            }
            State::Alive { life, .. } => life.tick(now, &Child::BlockService, fx),
            State::Due { .. } | State::Over => {}
        }
    }

    /// Panics if it contradicts itself.
    pub(super) fn check(&self, limit: u32) {
        assert!(self.deaths <= limit + 1, "a block service that died {} times was started again", self.deaths);
        if let State::Alive { life, since } = &self.state {
            life.check();
            assert_eq!(life.has_started(), since.is_some(), "a block service that runs has a start");
            assert!(self.known || since.is_none(), "a block service that runs has a known port");
        }
    }
}
