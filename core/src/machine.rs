//! The machine contract: what every piece of control in Hearth looks like.
//!
//! A machine is deterministic: the same events at the same times give the same effects. It has no sockets, clock,
//! randomness or `async`; identifiers, seeds and wall-clock stamps enter inside events. Its shell turns the world into
//! events and effects into deeds; [`crate::run`] is the loop between the two.

use std::{fmt, time::Duration};

/// Time since this node started. The shell owns the clock; it never jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now(pub Duration);

impl Now {
    /// A point in time `millis` milliseconds after the node's start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The time `delay` after this one.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Wall-clock time, for people only: names and log lines, never a timeout. Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct WallTime(pub u64);

impl WallTime {
    /// The time as `20261121093000` (UTC), as ids carry it.
    pub fn compact(self) -> String {
        let (y, mo, d, h, mi, s) = self.civil();
        format!("{y:04}{mo:02}{d:02}{h:02}{mi:02}{s:02}")
    }

    /// Year, month, day, hour, minute, second in UTC (days-to-civil after Howard Hinnant's public-domain note).
    fn civil(self) -> (i64, u64, u64, u64, u64, u64) {
        let secs = self.0 / 1000;
        let days = i64::try_from(secs / 86_400).unwrap_or(0) + 719_468;
        let era = days.div_euclid(146_097);
        let doe = days.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        let rest = secs % 86_400;
        (year, month.unsigned_abs(), day.unsigned_abs(), rest / 3600, rest / 60 % 60, rest % 60)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (y, mo, d, h, mi, s) = self.civil();
        write!(f, "{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{:03}Z", self.0 % 1000)
    }
}

/// A deterministic state machine.
pub trait Machine {
    /// What happened (past tense).
    type Event;
    /// What to do about it (imperative).
    type Effect: fmt::Debug + PartialEq;

    /// Takes one event. Refuses, never panics, on bad input from outside.
    fn handle(&mut self, now: Now, event: Self::Event, fx: &mut Vec<Self::Effect>);

    /// When [`Machine::tick`] wants to be called next. Changes only in `handle` or `tick`.
    fn deadline(&self) -> Option<Now>;

    /// Takes the passing of time. Called at or after the deadline; afterwards the deadline lies in the future.
    fn tick(&mut self, now: Now, fx: &mut Vec<Self::Effect>);

    /// Panics if the state contradicts itself. Run after every step under test.
    fn check(&self);
}

/// An effect that may have to be durable before anything that follows it is done.
pub trait Durable {
    /// What is written to the journal.
    type Record;
    /// The record, when this effect is a `Persist`.
    fn record(&self) -> Option<&Self::Record>;
}

/// The name of a question that waits for an answer: the shell chose it, the machine gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyId(pub u64);

/// How much a log line matters. Machines log by an effect, so that the simulation's logs are theirs too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a bug.
    Debug,
    /// What happened.
    Info,
    /// What an operator should look at.
    Warn,
    /// What somebody must mend.
    Error,
}

/// Steps a machine and checks it: what tests and the simulation use in place of the loop.
pub fn step<M: Machine>(machine: &mut M, now: Now, event: M::Event) -> Vec<M::Effect> {
    let mut fx = Vec::new();
    machine.handle(now, event, &mut fx);
    machine.check();
    fx
}

/// Lets time pass up to `now`, tick by tick, and checks the machine after each.
pub fn advance<M: Machine>(machine: &mut M, now: Now) -> Vec<M::Effect> {
    let mut fx = Vec::new();
    while let Some(at) = machine.deadline().filter(|at| *at <= now) {
        machine.tick(at.max(now), &mut fx);
        machine.check();
        assert!(machine.deadline().is_none_or(|next| next > now), "a tick must move the deadline past now");
    }
    fx
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_reads_as_people_write_it() {
        // Independent source: `date -u -d @1795253400`.
        assert_eq!(WallTime(1_795_253_400_000).compact(), "20261121093000");
        assert_eq!(WallTime(951_782_400_123).to_string(), "2000-02-29T00:00:00.123Z");
        assert_eq!(WallTime(0).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
