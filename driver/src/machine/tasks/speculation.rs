//! Speculation: a copy for a task that runs much longer than those of its set that are done.
//!
//! ```text
//!  running ── too long, looked at every interval ──> slow ── a slot at another worker ──> running, and a copy of it
//!                                                                                            │ the first of both to give an output
//!                                                                                            v
//!                                                                                          done; the other is told to end
//! ```

use super::{
    TaskScheduler,
    task_set::{Life, TaskSet},
};
use crate::machine::{Effect, executors::Executors, options::Speculation};
use hearth_core::{Level, Now};
use std::{collections::BTreeMap, time::Duration};

/// How long the tasks of a set took that succeeded.
#[derive(Debug, Default)]
pub(crate) struct Runtimes {
    /// How many took so many milliseconds.
    counts: BTreeMap<u64, u64>,
    total: u64,
}

impl Runtimes {
    pub(crate) fn add(&mut self, took: Duration) {
        *self.counts.entry(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)).or_default() += 1;
        self.total += 1;
    }

    pub(crate) fn median(&self) -> Duration {
        let mut before = 0;
        let reaches = |(_, count): &(&u64, &u64)| {
            before += **count;
            before * 2 >= self.total
        };
        self.counts.iter().find(reaches).map_or(Duration::ZERO, |(millis, _)| Duration::from_millis(*millis))
    }
}

impl TaskSet {
    /// How long a task of this set may run before it counts as slow; nothing while too few are done to tell.
    pub(super) fn patience(&self, options: &Speculation) -> Option<Duration> {
        let done = self.runtimes.total;
        let all = done + (self.pending.len() + self.running.len()) as u64;
        let enough = done >= (all * u64::from(options.quantile_thousandths) / 1000).max(1);
        (self.life == Life::Live && enough)
            .then(|| (self.runtimes.median() * options.multiplier_thousandths / 1000).max(options.min_runtime))
    }

    /// Whether a task of it may become slow.
    pub(super) fn is_watched(&self, options: &Speculation) -> bool {
        let alone = |partition: &u32| !self.copies.contains_key(partition) && !self.slow.contains(partition);
        self.patience(options).is_some() && self.running.keys().any(alone)
    }
}

impl TaskScheduler {
    /// Looks for slow tasks when it is time to.
    pub(in crate::machine) fn find_slow(&mut self, now: Now, executors: &Executors, fx: &mut Vec<Effect>) {
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.next.is_some_and(|at| at <= now)) else { return };
        watch.next = None;
        for (key, set) in &mut self.sets {
            let Some(patience) = set.patience(&watch.options) else { continue };
            for (partition, task) in &set.running {
                let (known, task) = (set.copies.contains_key(partition), &self.running[task]);
                let took = now.since(task.launched);
                if known || took <= patience || !set.slow.insert(*partition) {
                    continue;
                }
                let host = executors.get(task.executor).map(|e| e.host.as_str()).unwrap_or_default();
                let text = format!(
                    "task {partition} of stage {} ({}) has run for {:.1} s on executor {} at {host}, where others took {:.1} s: \
                     it gets a copy elsewhere (spark.speculation)",
                    key.stage,
                    set.name,
                    took.as_secs_f64(),
                    task.executor,
                    set.runtimes.median().as_secs_f64()
                );
                fx.push(Effect::Log { level: Level::Info, text });
            }
        }
    }

    /// Slow tasks are looked for as long as there may be any.
    pub(in crate::machine) fn watch(&mut self, now: Now) {
        let Some(watch) = &mut self.watch else { return };
        if !self.sets.values().any(|set| set.is_watched(&watch.options)) {
            watch.next = None;
        } else if watch.next.is_none() {
            watch.next = Some(now.after(watch.options.interval));
        }
    }
}

/// When slow tasks are looked for next.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) options: Speculation,
    pub(super) next: Option<Now>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        let mut runtimes = Runtimes::default();
        assert_eq!(runtimes.median(), Duration::ZERO);
        for millis in [9, 1, 5, 5, 1] {
            runtimes.add(Duration::from_millis(millis));
        }
        assert_eq!(runtimes.median(), Duration::from_millis(5));
        runtimes.add(Duration::from_millis(1));
        assert_eq!(runtimes.median(), Duration::from_millis(1), "of an even number the lower one");
    }
}
