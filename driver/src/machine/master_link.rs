//! The application's conversation with the master.
//!
//! ```text
//!  Backoff ──due──> Dialing ──opened──> Registering ──Registered──> Registered ──┐
//!     ^                │ failed             │ closed, silent            │ closed │
//!     ├────────────────┴────────────────────┴──────────────────────────-┘        │ Refused, Ended, gave up, stopped
//!     │                                                                          v
//!     └── (before the first registration: a few tries, then Closed)           Closed
//! ```
//!
//! Before the application is registered somebody waits at a prompt: a few quick tries, then one clear error. Afterwards
//! running jobs need no master, and one that is back must find its applications: tries go on for as long as the
//! application does. Jobs without an executor do not wait for that beyond a grace.

use super::{Effect, failure::JobFailure, options::DriverOptions};
use hearth_core::{
    ApplicationId, ExecutorId, Level, LinkId, Now, Refusal,
    messages::application::{AppUp, ApplicationSpec},
};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody to talk to: executors come by themselves.
    Alone,
    Backoff(Now),
    Dialing,
    Registering {
        link: LinkId,
        until: Now,
    },
    Registered {
        link: LinkId,
        beat_at: Now,
    },
    Closed,
}

/// Our end of the ApplicationLink.
#[derive(Debug)]
pub(super) struct MasterLink {
    state: State,
    address: String,
    spec: ApplicationSpec,
    /// Our id, once a master gave us one.
    application: Option<ApplicationId>,
    /// The highest term heard of.
    term: u64,
    /// Tries that came to nothing since the last success.
    tries: u32,
    /// When the first registration has taken too long, whatever it waits for; set at the first try.
    give_up_at: Option<Now>,
    last_trouble: String,
    dial_tries: u32,
    register_timeout: Duration,
    backoff: (Duration, Duration),
    heartbeat: Duration,
}

impl MasterLink {
    pub(super) fn new(options: &DriverOptions) -> Self {
        Self {
            state: if options.master.is_some() { State::Backoff(Now::default()) } else { State::Alone },
            address: options.master.clone().unwrap_or_default(),
            spec: options.spec.clone(),
            application: None,
            term: 0,
            tries: 0,
            give_up_at: None,
            last_trouble: "it has not answered yet".into(),
            dial_tries: options.master_dial_tries.max(1),
            register_timeout: options.register_timeout,
            backoff: (options.backoff_min, options.backoff_max),
            heartbeat: options.master_heartbeat,
        }
    }

    pub(super) const fn is_registered(&self) -> bool {
        matches!(self.state, State::Registered { .. })
    }

    /// Whether a link is being opened, or the next try is: its shell says how that ends.
    pub(super) const fn is_dialing(&self) -> bool {
        matches!(self.state, State::Dialing)
    }

    /// Whether this is the link that counts.
    pub(super) fn is_current(&self, id: LinkId) -> bool {
        self.link() == Some(id)
    }

    const fn link(&self) -> Option<LinkId> {
        match self.state {
            State::Registering { link, .. } | State::Registered { link, .. } => Some(link),
            _ => None,
        }
    }

    /// Whether the application has a master and no id yet.
    pub(super) fn is_nameless(&self) -> bool {
        self.application.is_none() && !matches!(self.state, State::Alone | State::Closed)
    }

    /// Whether this is our application: one that was here before may have had the same address.
    pub(super) fn is_ours(&self, application: &ApplicationId) -> bool {
        self.application.as_ref().map_or(self.state == State::Alone, |ours| ours == application)
    }

    /// Whether nobody can be asked for executors. A first registration that is under way has a bound of its own.
    pub(super) fn is_away(&self) -> bool {
        !self.is_registered() && (self.application.is_some() || self.state == State::Alone)
    }

    /// The master does not take us (back).
    pub(super) fn refused(
        &mut self,
        now: Now,
        refusal: Refusal,
        term: u64,
        fx: &mut Vec<Effect>,
    ) -> Option<JobFailure> {
        if self.is_stale(now, term, fx) {
            return None;
        }
        let address = self.address.clone();
        Some(match refusal {
            Refusal::UnknownApplication(application) if self.application.as_ref() == Some(&application) => {
                JobFailure::Forgotten { address, application }
            }
            refusal => JobFailure::Refused { address, refusal },
        })
    }

    /// Whether a master was replaced; then nothing that it says counts.
    fn is_stale(&mut self, now: Now, term: u64, fx: &mut Vec<Effect>) -> bool {
        if term >= self.term {
            return false;
        }
        let text = format!(
            "the master at {} has term {term}, older than {}: it was replaced; not listening to it",
            self.address, self.term
        );
        fx.push(Effect::Log { level: Level::Warn, text: text.clone() });
        if let Some(link) = self.link() {
            fx.push(Effect::CloseMasterLink { link });
        }
        self.last_trouble = text;
        self.tries += 1;
        self.state = State::Backoff(now.after(self.backoff.1));
        true
    }

    /// What people are told when nobody can be asked for executors.
    pub(super) fn trouble(&self) -> String {
        match self.state {
            State::Alone => "there is no master to ask for more".into(),
            _ => format!("the master at {} cannot be reached: {}", self.address, self.last_trouble),
        }
    }

    pub(super) fn opened(&mut self, now: Now, link: LinkId, executors: Vec<ExecutorId>, fx: &mut Vec<Effect>) {
        if self.state != State::Dialing {
            fx.push(Effect::CloseMasterLink { link });
            return;
        }
        self.state = State::Registering { link, until: now.after(self.register_timeout) };
        let spec = self.spec.clone();
        let message = match &self.application {
            None => AppUp::Register(spec),
            Some(application) => AppUp::Reconnect { application: application.clone(), executors, spec },
        };
        fx.push(Effect::ToMaster { link, message });
    }

    /// A link could not be opened. The failure, when that was the last try.
    pub(super) fn dial_failed(
        &mut self,
        now: Now,
        reason: String,
        jitter: u32,
        fx: &mut Vec<Effect>,
    ) -> Option<JobFailure> {
        if self.state != State::Dialing {
            return None;
        }
        self.failed(now, reason, jitter, fx)
    }

    /// A link ended. The failure, when that was the last try.
    pub(super) fn link_closed(
        &mut self,
        now: Now,
        link: LinkId,
        jitter: u32,
        fx: &mut Vec<Effect>,
    ) -> Option<JobFailure> {
        if !self.is_current(link) {
            return None;
        }
        self.failed(now, "it closed the connection".into(), jitter, fx)
    }

    fn failed(&mut self, now: Now, reason: String, jitter: u32, fx: &mut Vec<Effect>) -> Option<JobFailure> {
        self.tries += 1;
        if self.application.is_none() && self.tries >= self.dial_tries {
            return Some(self.give_up(reason));
        }
        let pause = self.pause(jitter);
        self.state = State::Backoff(now.after(pause));
        let text = format!("no master at {}: {reason}; trying again in {} ms", self.address, pause.as_millis());
        // The first trouble is news, so is every minute or so of it; the rest would only repeat it.
        let level = if self.tries % 8 == 1 { Level::Warn } else { Level::Debug };
        fx.push(Effect::Log { level, text });
        self.last_trouble = reason;
        None
    }

    /// Between half of the step and all of it; steps double from the least to the longest.
    fn pause(&self, jitter: u32) -> Duration {
        let (least, longest) = self.backoff;
        let doublings = self.tries.saturating_sub(1).min(16);
        let step = least.saturating_mul(1 << doublings).min(longest);
        step / 2 + step / 2 * jitter.min(1000) / 1000
    }

    fn give_up(&mut self, reason: String) -> JobFailure {
        self.state = State::Closed;
        self.give_up_at = None;
        JobFailure::MasterUnreachable { address: self.address.clone(), tries: self.tries, reason }
    }

    /// The master took us. The failure, when it took us for somebody else.
    pub(super) fn registered(
        &mut self,
        now: Now,
        application: ApplicationId,
        term: u64,
        fx: &mut Vec<Effect>,
    ) -> Option<JobFailure> {
        let State::Registering { link, .. } = self.state else { return None };
        if self.is_stale(now, term, fx) {
            return None;
        }
        if let Some(ours) = self.application.as_ref().filter(|ours| **ours != application) {
            let reason = format!("the master at {} knows it as {application} and not as {ours} any more", self.address);
            return Some(JobFailure::Ended { state: hearth_core::ApplicationState::Failed, reason });
        }
        let text = format!("registered with the master at {} as {application}", self.address);
        fx.push(Effect::Log { level: Level::Info, text });
        self.term = term;
        self.tries = 0;
        self.give_up_at = None;
        if self.application.is_none() {
            fx.push(Effect::Named(application.clone()));
        }
        self.application = Some(application);
        self.state = State::Registered { link, beat_at: now.after(self.heartbeat) };
        None
    }

    /// Says something to the master, when there is one that listens.
    pub(super) fn tell(&self, message: AppUp, fx: &mut Vec<Effect>) {
        if let State::Registered { link, .. } = self.state {
            fx.push(Effect::ToMaster { link, message });
        }
    }

    /// No more of this; says goodbye when there is something to say and somebody who listens.
    pub(super) fn close(&mut self, goodbye: Option<AppUp>, fx: &mut Vec<Effect>) {
        if let Some(link) = self.link() {
            if let Some(message) = goodbye {
                fx.push(Effect::ToMaster { link, message });
            }
            fx.push(Effect::CloseMasterLink { link });
        }
        self.state = State::Closed;
        self.give_up_at = None;
    }

    pub(super) fn deadline(&self) -> Option<Now> {
        let due = match self.state {
            State::Backoff(at) => Some(at),
            State::Registering { until, .. } => Some(until),
            State::Registered { beat_at, .. } => Some(beat_at),
            State::Alone | State::Dialing | State::Closed => None,
        };
        due.into_iter().chain(self.give_up_at).min()
    }

    pub(super) fn tick(&mut self, now: Now, fx: &mut Vec<Effect>) -> Option<JobFailure> {
        if self.give_up_at.is_some_and(|at| at <= now) {
            if let Some(link) = self.link() {
                fx.push(Effect::CloseMasterLink { link });
            }
            // The try that is under way counts.
            self.tries += u32::from(matches!(self.state, State::Dialing | State::Registering { .. }));
            let reason = self.last_trouble.clone();
            return Some(self.give_up(reason));
        }
        match self.state {
            State::Backoff(at) if at <= now => {
                self.state = State::Dialing;
                if self.application.is_none() {
                    self.give_up_at.get_or_insert(now.after(self.register_timeout));
                }
                fx.push(Effect::DialMaster);
            }
            State::Registering { link, until } if until <= now => {
                fx.push(Effect::CloseMasterLink { link });
                return self.failed(now, "it did not answer the registration".into(), 1000, fx);
            }
            State::Registered { link, beat_at } if beat_at <= now => {
                self.state = State::Registered { link, beat_at: now.after(self.heartbeat) };
                fx.push(Effect::ToMaster { link, message: AppUp::Heartbeat });
            }
            _ => {}
        }
        None
    }

    pub(super) fn check(&self) {
        assert!(!self.is_registered() || self.application.is_some(), "registered without an id");
        let waits = self.application.is_none() && matches!(self.state, State::Dialing | State::Registering { .. });
        assert!(!waits || self.give_up_at.is_some(), "nothing bounds the first registration");
        assert!(self.application.is_none() || self.give_up_at.is_none(), "a registered application is not given up");
    }
}
