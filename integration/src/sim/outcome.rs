//! What a run did.

use super::faults::Kind;
use std::time::Duration;

/// What a run did, or several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Steps taken.
    pub steps: u64,
    /// Task attempts that were started.
    pub tasks: u64,
    /// Those that chance let fail.
    pub failed: u64,
    /// Those that could not read what they needed.
    pub fetches_failed: u64,
    /// Stored results that could not be read, and were made again.
    pub results_lost: u64,
    /// Times that stages began anew because an output that was made again had other rows.
    pub rollbacks: u64,
    /// Second attempts at tasks that took too long.
    pub copies: u64,
    /// Executors that were started.
    pub executors: u64,
    /// Jobs that failed, each for a reason that the faults justify, and were run again.
    pub failures: u64,
    /// Jobs that failed as they had to.
    pub poisoned: u64,
    /// Executors that a task crashed.
    pub crashes: u64,
    /// Tasks that went on for ever when they were told to end.
    pub stuck: u64,
    /// Executors that could not be started.
    pub spawns_failed: u64,
    /// Task attempts that took longer than they should.
    pub slowed: u64,
    /// Messages that a break of their link swallowed.
    pub messages_lost: u64,
    /// Questions that got no answer in time.
    pub answers_lost: u64,
    /// Faults that fired, by kind.
    pub fired: [u64; Kind::ALL.len()],
    /// How long after the last fault was over the last job ended; of several runs, the longest.
    pub ended_after: Duration,
    /// How long it took on the simulated clock.
    pub simulated: Duration,
    /// The hash of the log: equal for equal logs.
    pub log_hash: u64,
}

impl Outcome {
    /// Faults that fired.
    pub fn faults(&self) -> u64 {
        self.fired.iter().sum()
    }

    /// Counts another run in.
    pub fn add(&mut self, more: &Self) {
        let sums = [
            (&mut self.steps, more.steps),
            (&mut self.tasks, more.tasks),
            (&mut self.failed, more.failed),
            (&mut self.fetches_failed, more.fetches_failed),
            (&mut self.results_lost, more.results_lost),
            (&mut self.rollbacks, more.rollbacks),
            (&mut self.copies, more.copies),
            (&mut self.executors, more.executors),
            (&mut self.failures, more.failures),
            (&mut self.poisoned, more.poisoned),
            (&mut self.crashes, more.crashes),
            (&mut self.stuck, more.stuck),
            (&mut self.spawns_failed, more.spawns_failed),
            (&mut self.slowed, more.slowed),
            (&mut self.messages_lost, more.messages_lost),
            (&mut self.answers_lost, more.answers_lost),
        ];
        sums.into_iter().for_each(|(sum, more)| *sum += more);
        self.fired.iter_mut().zip(more.fired).for_each(|(sum, more)| *sum += more);
        self.ended_after = self.ended_after.max(more.ended_after);
        self.simulated += more.simulated;
        self.log_hash ^= more.log_hash;
    }
}
