//! Old directories: logs are kept after an application's end, but not for ever.

use super::{Effect, executors::Executors};
use hearth_core::Now;
use std::time::Duration;

/// How often is looked, at least and at most: a look walks through all that is kept, and an hour more is no matter.
const EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
/// Looks in one lifetime of a directory: none stays much longer than it should.
const LOOKS: u32 = 24;

/// When to look for old directories.
#[derive(Debug)]
pub(super) struct Cleanup {
    ttl: Duration,
    due: Now,
}

impl Cleanup {
    /// The first look comes a period after the start.
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl, due: Now::default().after(every(ttl)) }
    }

    /// When something is due.
    pub(super) const fn deadline(&self) -> Now {
        self.due
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Now, executors: &Executors, fx: &mut Vec<Effect>) {
        if self.due <= now {
            self.due = now.after(every(self.ttl));
            fx.push(Effect::RemoveOldApplications { keep: executors.kept().clone(), unchanged_for: self.ttl });
        }
    }
}

fn every(ttl: Duration) -> Duration {
    (ttl / LOOKS).clamp(EVERY.0, EVERY.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_has_some_looks_within_bounds() {
        assert_eq!(every(Duration::from_millis(1)), Duration::from_secs(1));
        assert_eq!(every(Duration::from_secs(24 * 60)), Duration::from_secs(60));
        assert_eq!(every(Duration::from_secs(7 * 24 * 3600)), Duration::from_secs(3600));
    }
}
