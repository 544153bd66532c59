//! The link to the master: dialing, registering, heartbeats.

use super::{Effect, backoff, log, worker::Worker};
use hearth_core::{
    Level, LinkId, Now, Refusal, WorkerId,
    messages::worker::{Address, WorkerDown, WorkerRegistration, WorkerUp},
};
use std::time::Duration;

/// How often a refusal as a duplicate is borne. The master finds out within 20 s that an earlier link of this worker is
/// dead; with the delays between them these take longer.
const MAX_DUPLICATES: u32 = 8;
/// What a master may ask for, so that no figure from outside floods a link or keeps a worker silent.
const HEARTBEAT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));

/// What is known of the master.
#[derive(Debug)]
pub(super) struct Master {
    pub(super) state: State,
    /// Tries that failed since a registration that lasted.
    tries: u32,
    /// Refusals as a duplicate, likewise.
    duplicates: u32,
    /// The highest term of a master that took a registration.
    term: u64,
    /// The last chance that an event brought, for failures that bring none.
    jitter: u32,
}

/// The state of the link.
#[derive(Debug)]
pub(super) enum State {
    /// No link is wanted: the block service has not listened yet, or the worker stops.
    Idle,
    /// A try failed; the next comes then.
    Waiting { until: Now },
    /// A try is under way.
    Dialing,
    /// The registration is said.
    Registering { link: LinkId, until: Now },
    /// The registration is taken.
    Registered { link: LinkId, every: Duration, beat_at: Now },
}

impl Master {
    pub(super) fn new(worker: &WorkerId) -> Self {
        // Until the shell has drawn a chance, the name is one: workers that are refused together do not return together.
        let jitter = worker.as_str().bytes().fold(0, |sum, byte| (sum * 31 + u32::from(byte)) % 1001);
        Self { state: State::Idle, tries: 0, duplicates: 0, term: 0, jitter }
    }

    /// The open link, registered or not.
    pub(super) const fn link(&self) -> Option<LinkId> {
        match self.state {
            State::Registering { link, .. } | State::Registered { link, .. } => Some(link),
            State::Idle | State::Waiting { .. } | State::Dialing => None,
        }
    }

    /// When something is due.
    pub(super) const fn deadline(&self) -> Option<Now> {
        match self.state {
            State::Waiting { until } | State::Registering { until, .. } => Some(until),
            State::Registered { beat_at, .. } => Some(beat_at),
            State::Idle | State::Dialing => None,
        }
    }

    /// Panics if it contradicts itself.
    pub(super) fn check(&self) {
        assert!(self.tries <= backoff::TRIES, "the master was dialed {} times", self.tries);
        assert!(self.duplicates <= MAX_DUPLICATES + 1, "{} refusals were borne", self.duplicates);
        if let State::Registered { every, .. } = self.state {
            assert!((HEARTBEAT.0..=HEARTBEAT.1).contains(&every), "a heartbeat every {every:?}");
        }
    }
}

impl Worker {
    /// The link on which this worker is registered.
    pub(super) const fn registered(&self) -> Option<LinkId> {
        match self.master.state {
            State::Registered { link, .. } => Some(link),
            _ => None,
        }
    }

    /// Says something to a master that knows this worker.
    pub(super) fn say(&self, message: WorkerUp, fx: &mut Vec<Effect>) {
        if let Some(link) = self.registered() {
            fx.push(Effect::ToMaster { link, message });
        }
    }

    /// The block service listens: dials, when nobody has yet.
    pub(super) fn dial_first(&mut self, fx: &mut Vec<Effect>) {
        if matches!(self.master.state, State::Idle) && !self.is_stopping() {
            self.dial(fx);
        }
    }

    fn dial(&mut self, fx: &mut Vec<Effect>) {
        self.master.state = State::Dialing;
        fx.push(Effect::Dial);
    }

    /// A link is open: registers.
    pub(super) fn link_opened(&mut self, now: Now, link: LinkId, fx: &mut Vec<Effect>) {
        let (State::Dialing, Some(port)) = (&self.master.state, self.blocks.port()) else {
            return fx.push(Effect::CloseLink { link });
        };
        let mut executors = self.executors.tell();
        executors.extend(self.reports.unsaid().cloned());
        let registration = WorkerRegistration {
            version: self.options.version.clone(),
            worker: self.options.worker.clone(),
            address: Address { host: self.options.host.clone(), port },
            resources: self.options.resources,
            labels: self.options.labels.clone(),
            executors,
            applications: self.executors.not_over(),
        };
        self.master.state = State::Registering { link, until: now.after(self.options.registration_timeout) };
        fx.push(Effect::ToMaster { link, message: WorkerUp::Register(registration) });
    }

    /// A link could not be opened.
    pub(super) fn dial_failed(&mut self, now: Now, reason: &str, jitter: u32, fx: &mut Vec<Effect>) {
        self.master.jitter = jitter;
        if matches!(self.master.state, State::Dialing) {
            self.try_again(now, reason, fx);
        }
    }

    /// A link ended.
    pub(super) fn link_closed(&mut self, now: Now, link: LinkId, reason: &str, jitter: u32, fx: &mut Vec<Effect>) {
        self.master.jitter = jitter;
        if self.master.link() == Some(link) {
            self.try_again(now, reason, fx);
        }
    }

    /// The master said something.
    pub(super) fn master_said(&mut self, now: Now, link: LinkId, message: WorkerDown, fx: &mut Vec<Effect>) {
        if self.master.link() != Some(link) {
            return; // Late news of a link that is closed.
        }
        match (&self.master.state, message) {
            (State::Registering { .. }, WorkerDown::Registered { term, heartbeat_millis }) => {
                self.taken(now, link, term, heartbeat_millis, fx);
            }
            (_, WorkerDown::Refused { refusal, term }) => self.refused(now, refusal, term, fx),
            (_, WorkerDown::Reregister) => self.break_link(now, "the master has dropped this worker", fx),
            (State::Registered { .. }, WorkerDown::LaunchExecutor(launch)) => self.launch(now, launch, fx),
            (State::Registered { .. }, WorkerDown::KillExecutor { application, executor, reason }) => {
                self.kill(now, &(application, executor), &reason, fx);
            }
            (State::Registered { .. }, WorkerDown::ApplicationFinished { application }) => {
                self.finish(now, application, fx);
            }
            (_, message) => {
                log(fx, Level::Warn, format!("the master said something out of order, which is ignored: {message:?}"));
            }
        }
    }

    fn taken(&mut self, now: Now, link: LinkId, term: u64, heartbeat_millis: u64, fx: &mut Vec<Effect>) {
        if self.is_stale(now, term, fx) {
            return;
        }
        self.master.term = term;
        let every = Duration::from_millis(heartbeat_millis).clamp(HEARTBEAT.0, HEARTBEAT.1);
        self.master.state = State::Registered { link, every, beat_at: now.after(every) };
        log(fx, Level::Info, format!("registered as {} with a master of term {term}", self.options.worker));
        self.say_running(fx);
        fx.extend(self.reports.say_all(now).map(|message| Effect::ToMaster { link, message }));
    }

    /// Whether a master was replaced; then nothing that it says counts.
    fn is_stale(&mut self, now: Now, term: u64, fx: &mut Vec<Effect>) -> bool {
        let newest = self.master.term;
        if term < newest {
            let reason = format!("its term {term} is over: this worker knows a master of term {newest}");
            self.break_link(now, &reason, fx);
        }
        term < newest
    }

    fn refused(&mut self, now: Now, refusal: Refusal, term: u64, fx: &mut Vec<Effect>) {
        if self.is_stale(now, term, fx) {
            return;
        }
        let hopeless = match refusal {
            Refusal::VersionMismatch { .. } => true,
            Refusal::DuplicateWorker { .. } => {
                self.master.duplicates += 1;
                self.master.duplicates > MAX_DUPLICATES
            }
            _ => false,
        };
        let reason = format!("the master refuses this worker: {refusal}");
        if hopeless {
            return self.give_up(now, reason, fx);
        }
        self.break_link(now, &reason, fx);
    }

    /// Closes the link from here, and tries again.
    fn break_link(&mut self, now: Now, reason: &str, fx: &mut Vec<Effect>) {
        if let Some(link) = self.master.link() {
            fx.push(Effect::CloseLink { link });
        }
        self.try_again(now, reason, fx);
    }

    /// There is no link any more: waits for the next try, or gives up.
    fn try_again(&mut self, now: Now, reason: &str, fx: &mut Vec<Effect>) {
        self.reports.link_lost();
        self.master.state = State::Idle;
        if self.is_stopping() {
            return;
        }
        let Some(delay) = backoff::before_dial(self.master.tries, self.master.jitter) else {
            return self.give_up(now, format!("no master after {} tries; the last: {reason}", backoff::TRIES), fx);
        };
        self.master.tries += 1;
        self.master.state = State::Waiting { until: now.after(delay) };
        let (tries, all) = (self.master.tries, backoff::TRIES);
        log(fx, Level::Warn, format!("no link to the master: {reason}; try {tries} of {all} in {delay:?}"));
    }

    /// Does what is due on the link.
    pub(super) fn tick_link(&mut self, now: Now, fx: &mut Vec<Effect>) {
        if self.master.deadline().is_none_or(|at| at > now) {
            return;
        }
        match &mut self.master.state {
            State::Waiting { .. } => self.dial(fx),
            State::Registering { .. } => {
                let reason = format!("it did not answer within {:?}", self.options.registration_timeout);
                self.break_link(now, &reason, fx);
            }
            State::Registered { link, every, beat_at } => {
                fx.push(Effect::ToMaster { link: *link, message: WorkerUp::Heartbeat });
                *beat_at = now.after(*every);
                // Only now: a master that takes registrations and drops them must not be dialed without end.
                self.master.tries = 0;
                self.master.duplicates = 0;
                self.reports.link_lives(now);
            }
            State::Idle | State::Dialing => {}
        }
    }
}
