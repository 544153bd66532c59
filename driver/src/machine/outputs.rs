//! MapOutputTracker: which map task's output lies where.
//!
//! The epoch counts losses. A reader that holds statuses of an epoch may use them for any task whose input asks for that
//! epoch or an older one; a shuffle that lost an output asks for the epoch of that loss, so that nobody reads from a list
//! that still names it.

use super::Answer;
use hearth_core::{
    Mutant, Refusal, ShuffleId, TaskId,
    messages::task::{BlockLocation, MapStatus, MapStatuses, TaskInput},
};
use std::collections::BTreeMap;

/// Partitions whose outputs are gone, by shuffle.
pub(super) type Lost = BTreeMap<ShuffleId, Vec<u32>>;

/// Where the outputs of all shuffles are.
#[derive(Debug, Default)]
pub(super) struct MapOutputTracker {
    epoch: u64,
    shuffles: BTreeMap<ShuffleId, Shuffle>,
}

#[derive(Debug)]
struct Shuffle {
    outputs: Vec<Option<MapStatus>>,
    /// Of outputs that were lost: the checksum of the one that readers may have seen.
    seen: BTreeMap<u32, Option<u64>>,
    available: usize,
    /// The epoch of its last loss.
    epoch: u64,
    /// Some reader takes all of it in each task.
    everywhere: bool,
}

impl Shuffle {
    fn take(&mut self, partition: u32) {
        if let Some(status) = self.outputs[partition as usize].take() {
            self.available -= 1;
            self.seen.entry(partition).or_insert(status.checksum);
        }
    }
}

/// What a new output means for those who may have read the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remade {
    /// It is the first, or the same.
    Same,
    /// It has other rows, or nobody can tell.
    Other,
}

impl MapOutputTracker {
    /// `everywhere`: some reader takes all of it in each of its tasks.
    pub(super) fn add(&mut self, shuffle: ShuffleId, tasks: u32, everywhere: bool) {
        let outputs = vec![None; tasks as usize];
        self.shuffles
            .insert(shuffle, Shuffle { outputs, seen: BTreeMap::new(), available: 0, epoch: self.epoch, everywhere });
    }

    pub(super) fn remove(&mut self, shuffle: ShuffleId) {
        self.shuffles.remove(&shuffle);
    }

    /// Takes an output. Nothing when there is one for that partition already, or no such partition.
    pub(super) fn register(&mut self, shuffle: ShuffleId, status: MapStatus) -> Option<Remade> {
        let shuffle = self.shuffles.get_mut(&shuffle)?;
        let slot = shuffle.outputs.get_mut(status.partition as usize).filter(|slot| slot.is_none())?;
        shuffle.available += 1;
        let remade = match shuffle.seen.remove(&status.partition) {
            Some(_) if Mutant::ChecksumIgnored.is_on() => Remade::Same,
            Some(seen) if seen.is_none() || seen != status.checksum => Remade::Other,
            _ => Remade::Same,
        };
        *slot = Some(status);
        Some(remade)
    }

    /// Drops one output, when it still is the one that this task wrote.
    pub(super) fn unregister(&mut self, shuffle: ShuffleId, partition: u32, task: TaskId) -> Lost {
        let slot = self.shuffles.get_mut(&shuffle);
        let Some(slot) = slot.filter(|s| {
            s.outputs.get(partition as usize).is_some_and(|o| o.as_ref().is_some_and(|status| status.task == task))
        }) else {
            return Lost::new();
        };
        self.epoch += 1;
        slot.epoch = self.epoch;
        slot.take(partition);
        Lost::from([(shuffle, vec![partition])])
    }

    /// Drops every output whose location is gone.
    pub(super) fn unregister_where(&mut self, gone: impl Fn(&BlockLocation) -> bool) -> Lost {
        let mut lost = Lost::new();
        for (id, shuffle) in &mut self.shuffles {
            let is_gone = |output: &Option<MapStatus>| output.as_ref().is_some_and(|status| gone(&status.location));
            let partitions: Vec<u32> =
                (0u32..).zip(&shuffle.outputs).filter(|(_, output)| is_gone(output)).map(|(p, _)| p).collect();
            if partitions.is_empty() {
                continue;
            }
            partitions.iter().for_each(|&partition| shuffle.take(partition));
            shuffle.epoch = self.epoch + 1;
            lost.insert(*id, partitions);
        }
        self.epoch += u64::from(!lost.is_empty());
        lost
    }

    /// Drops all outputs of a shuffle, whose readers begin anew too.
    pub(super) fn clear(&mut self, shuffle: ShuffleId) {
        if let Some(shuffle) = self.shuffles.get_mut(&shuffle) {
            shuffle.seen.clear();
            self.epoch += 1;
            shuffle.epoch = self.epoch;
            shuffle.outputs.fill(None);
            shuffle.available = 0;
        }
    }

    pub(super) fn is_complete(&self, shuffle: ShuffleId) -> bool {
        self.shuffles.get(&shuffle).is_some_and(|s| s.available == s.outputs.len())
    }

    pub(super) fn available(&self, shuffle: ShuffleId) -> u32 {
        self.shuffles.get(&shuffle).map_or(0, |s| u32::try_from(s.available).unwrap_or(u32::MAX))
    }

    pub(super) fn missing(&self, shuffle: ShuffleId) -> Vec<u32> {
        let Some(shuffle) = self.shuffles.get(&shuffle) else { return Vec::new() };
        (0u32..).zip(&shuffle.outputs).filter(|(_, output)| output.is_none()).map(|(p, _)| p).collect()
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether a shuffle that was complete as of `epoch` lost an output since.
    pub(super) fn lost_since(&self, shuffle: ShuffleId, epoch: u64) -> bool {
        self.shuffles.get(&shuffle).is_none_or(|s| s.epoch > epoch)
    }

    /// What a task is told of a shuffle that it reads.
    pub(super) fn input(&self, shuffle: ShuffleId) -> TaskInput {
        TaskInput { shuffle, epoch: self.shuffles.get(&shuffle).map_or(0, |s| s.epoch) }
    }

    /// The answer to an executor that wants all outputs, not older than `epoch`. `peers` are the executors that may read them.
    pub(super) fn answer(&self, shuffle: ShuffleId, epoch: u64, peers: impl FnOnce() -> Vec<BlockLocation>) -> Answer {
        if epoch > self.epoch {
            let text = format!("epoch {epoch} of shuffle {shuffle} is ahead of the driver's {}", self.epoch);
            return Answer::Refused(Refusal::Malformed(text));
        }
        match self.shuffles.get(&shuffle) {
            Some(s) if s.available == s.outputs.len() => Answer::MapStatuses(MapStatuses {
                shuffle,
                epoch: self.epoch,
                statuses: s.outputs.iter().flatten().cloned().collect(),
                peers: if s.everywhere { peers() } else { Vec::new() },
            }),
            Some(s) => {
                let missing = s.outputs.len() - s.available;
                let of = s.outputs.len();
                Answer::Refused(Refusal::Gone(format!("shuffle {shuffle} ({missing} of its {of} outputs)")))
            }
            None => Answer::Refused(Refusal::Gone(format!("shuffle {shuffle}"))),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shuffles.is_empty()
    }

    pub(super) fn check(&self) {
        for (id, shuffle) in &self.shuffles {
            let available = shuffle.outputs.iter().flatten().count();
            assert_eq!(available, shuffle.available, "shuffle {id} miscounts its outputs");
            assert!(shuffle.epoch <= self.epoch, "shuffle {id} is ahead of the tracker");
            for partition in shuffle.seen.keys() {
                let is_missing = shuffle.outputs.get(*partition as usize).is_some_and(Option::is_none);
                assert!(is_missing, "shuffle {id} waits for partition {partition}, which is there");
            }
            for (partition, status) in (0u32..).zip(&shuffle.outputs) {
                assert!(status.as_ref().is_none_or(|s| s.partition == partition), "shuffle {id} is out of order");
            }
        }
    }
}
