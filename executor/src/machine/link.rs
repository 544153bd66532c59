//! The link to the driver.

use super::{Effect, ExecutorOptions};
use hearth_core::{LinkId, Now};
use std::time::Duration;

/// Where the link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// `Dial` was asked for and is not answered yet.
    Dialing,
    /// Waits before it dials again.
    Pausing { until: Now },
    /// Open; `Register` was sent.
    Registering { link: LinkId, opened: Now },
    /// Open and answered.
    Registered { link: LinkId, heartbeat: Now },
}

/// What the passing of time asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Say that we live.
    Heartbeat(LinkId),
    /// Dial again.
    Dial,
    /// There has been no link for too long.
    Alone,
    /// The driver does not answer the registration.
    Unanswered,
}

/// The link, its timers, and how long there has been none.
#[derive(Debug)]
pub(super) struct DriverLink {
    state: State,
    /// Since when there has been no registered link.
    alone_since: Now,
    backoff: Duration,
    heartbeat_interval: Duration,
    driver_timeout: Duration,
    silence_timeout: Duration,
    backoff_min: Duration,
    backoff_max: Duration,
}

impl DriverLink {
    /// Dials.
    pub(super) fn start(now: Now, options: &ExecutorOptions, fx: &mut Vec<Effect>) -> Self {
        fx.push(Effect::Dial);
        Self {
            state: State::Dialing,
            alone_since: now,
            backoff: options.backoff_min,
            heartbeat_interval: options.heartbeat_interval,
            driver_timeout: options.driver_timeout,
            silence_timeout: options.silence_timeout,
            backoff_min: options.backoff_min,
            backoff_max: options.backoff_max,
        }
    }

    /// The link, once the driver has taken the registration.
    pub(super) const fn registered(&self) -> Option<LinkId> {
        match self.state {
            State::Registered { link, .. } => Some(link),
            _ => None,
        }
    }

    /// Whether this is the link that is open now.
    pub(super) fn is_open(&self, which: LinkId) -> bool {
        match self.state {
            State::Registering { link, .. } | State::Registered { link, .. } => link == which,
            State::Dialing | State::Pausing { .. } => false,
        }
    }

    /// False when no link was being dialed.
    pub(super) fn opened(&mut self, now: Now, link: LinkId) -> bool {
        let dialing = self.state == State::Dialing;
        if dialing {
            self.state = State::Registering { link, opened: now };
        }
        dialing
    }

    /// False when no link was being dialed.
    pub(super) fn dial_failed(&mut self, now: Now) -> bool {
        let dialing = self.state == State::Dialing;
        if dialing {
            self.pause(now);
        }
        dialing
    }

    /// The open link is gone.
    pub(super) fn closed(&mut self, now: Now) {
        if self.registered().is_some() {
            self.alone_since = now;
        }
        self.pause(now);
    }

    /// The driver has taken the registration. False when it had done so before.
    pub(super) fn answered(&mut self, now: Now) -> bool {
        let State::Registering { link, .. } = self.state else { return false };
        self.backoff = self.backoff_min;
        self.state = State::Registered { link, heartbeat: now.after(self.heartbeat_interval) };
        true
    }

    /// When there will be something to do.
    pub(super) fn deadline(&self) -> Now {
        let alone = self.alone_since.after(self.driver_timeout);
        match self.state {
            State::Dialing => alone,
            State::Pausing { until } => until.min(alone),
            State::Registering { opened, .. } => opened.after(self.silence_timeout),
            State::Registered { heartbeat, .. } => heartbeat,
        }
    }

    /// What there is to do at the deadline.
    pub(super) fn due(&mut self, now: Now) -> Option<Due> {
        if now < self.deadline() {
            return None;
        }
        match self.state {
            State::Registering { .. } => Some(Due::Unanswered),
            State::Registered { link, .. } => {
                self.state = State::Registered { link, heartbeat: now.after(self.heartbeat_interval) };
                Some(Due::Heartbeat(link))
            }
            State::Dialing | State::Pausing { .. } if now >= self.alone_since.after(self.driver_timeout) => {
                Some(Due::Alone)
            }
            State::Dialing => None,
            State::Pausing { .. } => {
                self.state = State::Dialing;
                Some(Due::Dial)
            }
        }
    }

    fn pause(&mut self, now: Now) {
        self.state = State::Pausing { until: now.after(self.backoff) };
        self.backoff = (self.backoff * 2).min(self.backoff_max);
    }
}
