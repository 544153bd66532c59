//! A task that could not write goes to another machine, while there is one: the disks of the first are as full, or as broken,
//! for its next attempt.

use super::{SetKey, TaskScheduler};
use crate::machine::executors::Executors;
use hearth_core::{ExecutorId, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

/// On which machines which tasks of a set could not write.
#[derive(Debug, Default)]
pub(crate) struct FullDisks(BTreeMap<u32, BTreeSet<WorkerId>>);

impl FullDisks {
    pub(super) fn add(&mut self, partition: u32, worker: WorkerId) {
        self.0.entry(partition).or_default().insert(worker);
    }

    /// The partitions that could not write somewhere: few, as four failures of one end its job.
    pub(super) fn partitions(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }
}

impl TaskScheduler {
    /// Whether a task that could not write on an executor's machine can go elsewhere.
    pub(super) fn writes_elsewhere(
        &self,
        key: SetKey,
        partition: u32,
        executor: ExecutorId,
        executors: &Executors,
    ) -> bool {
        let set = &self.sets[&key];
        let Some(full) = set.full_disks.0.get(&partition) else { return false };
        let is_full = |id| executors.worker_of(id).is_some_and(|worker| full.contains(worker));
        let serves =
            |id: &ExecutorId| executors.get(*id).is_some_and(|other| other.cores >= set.slots && other.serves());
        is_full(executor)
            && executors
                .ids()
                .iter()
                .any(|id| serves(id) && !is_full(*id) && self.is_allowed(key, partition, *id, executors))
    }
}
