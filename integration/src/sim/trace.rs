//! The log of a run. Its hash is kept always, its lines only when somebody wants to read them: texts of every step would
//! take longer than the run.

use super::chance::mix;
use hearth_core::Now;

/// A log.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new(kept: bool) -> Self {
        Self { hash: 0, lines: kept.then(Vec::new) }
    }

    /// A step was taken: when, and how far chance had come, which tells runs apart that differ in anything.
    pub(super) fn step(&mut self, now: Now, chance: u64) {
        let nanos = u64::try_from(now.0.as_nanos()).unwrap_or(u64::MAX);
        self.hash = mix(self.hash ^ nanos).wrapping_add(chance);
    }

    /// A line, when lines are kept.
    pub(super) fn say(&mut self, now: Now, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>10.3} {}", now.0.as_secs_f64(), line()));
        }
    }

    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
