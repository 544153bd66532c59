//! The link to the driver.
//!
//! The driver answers every heartbeat. From its last word on, an executor lives for the driver's timeout, whatever becomes of
//! links meanwhile: a driver that is gone may leave an open link behind.

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
    Registering { link: LinkId },
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
    /// The driver has said nothing for too long.
    Alone,
}

/// The link, its timers, and how long the driver has been silent.
#[derive(Debug)]
pub(super) struct DriverLink {
    state: State,
    /// When the driver is given up, unless it says something.
    give_up_at: Now,
    backoff: Duration,
    heartbeat_interval: Duration,
    driver_timeout: Duration,
    backoff_min: Duration,
    backoff_max: Duration,
}

impl DriverLink {
    /// Dials.
    pub(super) fn start(now: Now, options: &ExecutorOptions, fx: &mut Vec<Effect>) -> Self {
        fx.push(Effect::Dial);
        Self {
            state: State::Dialing,
            give_up_at: now.after(options.driver_timeout),
            backoff: options.backoff_min,
            heartbeat_interval: options.probe(),
            driver_timeout: options.driver_timeout,
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
    pub(super) fn opened(&mut self, link: LinkId) -> bool {
        let dialing = self.state == State::Dialing;
        if dialing {
            self.state = State::Registering { link };
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
        self.pause(now);
    }

    /// The driver said something, and has taken the registration.
    pub(super) fn heard(&mut self, now: Now) {
        if self.registered().is_some() {
            self.give_up_at = now.after(self.driver_timeout);
        }
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
        match self.state {
            State::Dialing | State::Registering { .. } => self.give_up_at,
            State::Pausing { until } => until.min(self.give_up_at),
            State::Registered { heartbeat, .. } => heartbeat.min(self.give_up_at),
        }
    }

    /// What there is to do at the deadline.
    pub(super) fn due(&mut self, now: Now) -> Option<Due> {
        let deadline = self.deadline();
        if now < deadline {
            return None;
        }
        if self.registered().is_some() && now >= deadline.after(self.heartbeat_interval) {
            // This process itself was stopped: what the driver said meanwhile is still to be read.
            self.give_up_at = self.give_up_at.max(now.after(self.heartbeat_interval));
        }
        if now >= self.give_up_at {
            return Some(Due::Alone);
        }
        match self.state {
            State::Registered { link, .. } => {
                self.state = State::Registered { link, heartbeat: now.after(self.heartbeat_interval) };
                Some(Due::Heartbeat(link))
            }
            State::Dialing | State::Registering { .. } => None,
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
