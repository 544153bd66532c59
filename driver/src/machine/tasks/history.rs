//! What went wrong at the partitions of a stage, in all its attempts.
//!
//! It belongs to the stage and not to a task set. A stage begins anew when its inputs do, and a task that ends its executor may
//! take those along each time: if each task set counted for itself, such a job would never end.
//!
//! Failures are counted in a row: an output that is accepted ends the row. That memory was too little for a partition stays
//! known until the job is over.

use super::SetKey;
use hearth_core::{JobId, StageId};
use std::collections::{BTreeMap, BTreeSet};

/// What is remembered of the stages of all jobs that are not over.
#[derive(Debug, Default)]
pub(super) struct Histories(BTreeMap<(JobId, StageId), History>);

/// What is remembered of one stage.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Counted failures since the last output, by partition.
    failures: BTreeMap<u32, u32>,
    /// Crashes of executors that had it for which it is not to blame, likewise.
    losses: BTreeMap<u32, u32>,
    /// Partitions for which memory was too little.
    starved: BTreeSet<u32>,
}

impl Histories {
    /// That of a stage, to add to.
    pub(super) fn of(&mut self, key: SetKey) -> &mut History {
        self.0.entry((key.job, key.stage)).or_default()
    }

    /// Whether a partition is to save memory: it ran out, or two others did. One has more rows than the others; where there
    /// are two, all may have too many.
    pub(super) fn is_thrifty(&self, key: SetKey, partition: u32) -> bool {
        let history = self.0.get(&(key.job, key.stage));
        history.is_some_and(|History { starved, .. }| starved.len() > 1 || starved.contains(&partition))
    }

    /// An output of a partition was accepted.
    pub(super) fn succeeded(&mut self, key: SetKey, partition: u32) {
        if let Some(history) = self.0.get_mut(&(key.job, key.stage)) {
            history.failures.remove(&partition);
            history.losses.remove(&partition);
        }
    }

    /// A job is over, and none of its tasks runs.
    pub(super) fn forget(&mut self, job: JobId) {
        self.0.retain(|(of, _), _| *of != job);
    }

    /// The jobs of which something is remembered.
    pub(super) fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.0.keys().map(|(job, _)| *job)
    }
}

impl History {
    /// Counts a failure; gives how many there were in a row.
    pub(super) fn count_failure(&mut self, partition: u32) -> u32 {
        let failures = self.failures.entry(partition).or_default();
        *failures += 1;
        *failures
    }

    /// Counts the crash of an executor for which the task is not to blame; gives how many there were in a row.
    pub(super) fn count_loss(&mut self, partition: u32) -> u32 {
        let losses = self.losses.entry(partition).or_default();
        *losses += 1;
        *losses
    }

    /// Memory was too little for a partition.
    pub(super) fn starved(&mut self, partition: u32) {
        self.starved.insert(partition);
    }
}
