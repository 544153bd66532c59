//! Pools: how the jobs of an application share its slots (`spark.scheduler.mode`).
//!
//! In mode FIFO the first job takes what it can use, then the second one. In mode FAIR slots go one by one to the pool that
//! has least for its weight, after those that have less than their minimum; inside a pool jobs are served in the pool's own
//! mode. A job without a pool is in `default`. The rules are those of Spark's fair scheduler, but that each slot is given by
//! itself, where Spark gives all that are free to the first.

use super::{
    SetKey, TaskScheduler,
    task_set::{Life, TaskSet},
};
use crate::machine::options::Pool;
use hearth_core::conf::SchedulingMode;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
};

/// In which order sets get slots, in one round.
pub(super) enum Line {
    Fifo(VecDeque<SetKey>),
    Fair(Vec<Standing>),
}

/// What counts of a pool when its turn is decided.
#[derive(Debug)]
pub(super) struct Standing {
    name: String,
    pool: Pool,
    /// Slots that its tasks hold.
    slots: u64,
    /// Its sets that can use a slot, with the slots that their tasks hold.
    ready: BTreeMap<SetKey, u64>,
}

impl TaskScheduler {
    /// Everybody who may use a slot, in order.
    pub(super) fn line(&self) -> Line {
        let is_ready = |set: &TaskSet| set.life == Life::Live && !set.pending.is_empty();
        match self.pools.mode {
            SchedulingMode::Fifo => {
                let ready = self.sets.iter().filter(|(_, set)| is_ready(set));
                Line::Fifo(ready.map(|(key, _)| *key).collect())
            }
            SchedulingMode::Fair => {
                let mut standings: BTreeMap<&str, Standing> = BTreeMap::new();
                for (key, set) in &self.sets {
                    let pool = standings.entry(&set.pool).or_insert_with(|| Standing {
                        name: set.pool.clone(),
                        pool: self.pools.named.get(&set.pool).copied().unwrap_or_default(),
                        slots: 0,
                        ready: BTreeMap::new(),
                    });
                    let slots = (set.running_count() + set.strays.len()) as u64 * u64::from(set.slots);
                    pool.slots += slots;
                    if is_ready(set) {
                        pool.ready.insert(*key, slots);
                    }
                }
                Line::Fair(standings.into_values().collect())
            }
        }
    }
}

impl Line {
    /// The set whose turn it is, and how many tasks of it may start before that is asked again.
    pub(super) fn next(&self) -> Option<(SetKey, usize)> {
        match self {
            Self::Fifo(ready) => Some((*ready.front()?, usize::MAX)),
            Self::Fair(pools) => {
                let first = pools.iter().filter(|pool| !pool.ready.is_empty()).min_by(|a, b| a.compare(b))?;
                Some((first.next()?, 1))
            }
        }
    }

    /// A task of this set started; it holds so many slots.
    pub(super) fn started(&mut self, key: SetKey, slots: u32) {
        let Self::Fair(pools) = self else { return };
        for pool in pools {
            if let Some(held) = pool.ready.get_mut(&key) {
                *held += u64::from(slots);
                pool.slots += u64::from(slots);
            }
        }
    }

    /// No more of this set can start.
    pub(super) fn leave(&mut self, key: SetKey) {
        match self {
            Self::Fifo(ready) => ready.retain(|other| *other != key),
            Self::Fair(pools) => pools.iter_mut().for_each(|pool| {
                pool.ready.remove(&key);
            }),
        }
    }
}

impl Standing {
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
            .then_with(|| self.name.cmp(&other.name))
    }

    /// Whether it has less than its minimum.
    fn needs(&self) -> bool {
        self.slots < u64::from(self.pool.min_share)
    }

    /// Which of its sets is next.
    fn next(&self) -> Option<SetKey> {
        match self.pool.mode {
            SchedulingMode::Fifo => self.ready.keys().next().copied(),
            SchedulingMode::Fair => self.ready.iter().map(|(key, slots)| (*slots, *key)).min().map(|(_, key)| key),
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self { mode: SchedulingMode::Fifo, weight: 1, min_share: 0 }
    }
}
