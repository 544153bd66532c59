//! Pools: how the jobs of an application share its slots (`spark.scheduler.mode`).
//!
//! In mode FIFO the first job takes what it can use, then the second one. In mode FAIR slots go one by one to the pool that
//! has least for its weight, after those that have less than their minimum; inside a pool jobs are served in the pool's own
//! mode. A job without a pool is in `default`. The rules are those of Spark's fair scheduler, but that each slot is given by
//! itself, where Spark gives all that are free to the first.

use super::{SetKey, TaskScheduler, task_set::Life};
use crate::machine::options::{Pool, Pools};
use hearth_core::conf::SchedulingMode;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// What counts of a pool when its turn is decided.
#[derive(Debug)]
struct Standing<'a> {
    name: &'a str,
    pool: Pool,
    /// Slots that its tasks hold.
    slots: u64,
    /// Its sets that can use a slot, with the slots that their tasks hold.
    ready: Vec<(SetKey, u64)>,
}

impl TaskScheduler {
    /// The set whose turn it is, but for these, and how many tasks of it may start before that is asked again.
    pub(super) fn turn(&self, over: &BTreeSet<SetKey>) -> Option<(SetKey, usize)> {
        let mut ready = self
            .sets
            .iter()
            .filter(|(key, set)| set.life == Life::Live && !set.pending.is_empty() && !over.contains(key));
        match self.pools.mode {
            SchedulingMode::Fifo => ready.next().map(|(key, _)| (*key, usize::MAX)),
            SchedulingMode::Fair => {
                let ready: BTreeSet<SetKey> = ready.map(|(key, _)| *key).collect();
                let standings = self.standings(&ready);
                let first = standings.iter().filter(|pool| !pool.ready.is_empty()).min_by(|a, b| a.compare(b))?;
                Some((first.next()?, 1))
            }
        }
    }

    fn standings(&self, ready: &BTreeSet<SetKey>) -> Vec<Standing<'_>> {
        let mut standings: BTreeMap<&str, Standing<'_>> = BTreeMap::new();
        for (key, set) in &self.sets {
            let pool = standings.entry(&set.pool).or_insert_with(|| Standing {
                name: &set.pool,
                pool: self.pools.named.get(&set.pool).copied().unwrap_or_default(),
                slots: 0,
                ready: Vec::new(),
            });
            let slots = (set.running_count() + set.strays.len()) as u64 * u64::from(set.slots);
            pool.slots += slots;
            if ready.contains(key) {
                pool.ready.push((*key, slots));
            }
        }
        standings.into_values().collect()
    }
}

impl Standing<'_> {
    /// Who comes first has less for what is due to it.
    fn compare(&self, other: &Self) -> Ordering {
        let (needs, other_needs) = (self.needs(), other.needs());
        let share = |pool: &Self| match needs {
            true => u64::from(pool.pool.min_share.max(1)),
            false => u64::from(pool.pool.weight.max(1)),
        };
        let by_need = other_needs.cmp(&needs);
        by_need
            .then_with(|| (self.slots * share(other)).cmp(&(other.slots * share(self))))
            .then_with(|| self.name.cmp(other.name))
    }

    /// Whether it has less than its minimum.
    fn needs(&self) -> bool {
        self.slots < u64::from(self.pool.min_share)
    }

    /// Which of its sets is next.
    fn next(&self) -> Option<SetKey> {
        match self.pool.mode {
            SchedulingMode::Fifo => self.ready.iter().map(|(key, _)| *key).min(),
            SchedulingMode::Fair => self.ready.iter().map(|(key, slots)| (*slots, *key)).min().map(|(_, key)| key),
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self { mode: SchedulingMode::Fifo, weight: 1, min_share: 0 }
    }
}

impl Default for Pools {
    fn default() -> Self {
        Self { mode: SchedulingMode::Fifo, named: BTreeMap::new() }
    }
}
