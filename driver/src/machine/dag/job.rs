//! A job: its stages, and the results that its reader has not taken yet.

use super::Gate;
use crate::machine::options::INLINE_LIMIT;
use hearth_core::{
    JobId, Mutant, StageId, TaskId,
    messages::task::{BlockLocation, ResultBlock},
};
use std::collections::BTreeMap;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Partitions are missing, or stored where they may yet be lost: what they are made of stays.
    Open,
    /// It is over; tasks of it still run.
    Closing,
    /// Only its stored results are left, until its reader releases them.
    Kept,
}

/// One job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) pool: String,
    /// In the graph's order: parents before children, the result stage last.
    pub(crate) stages: Vec<StageId>,
    pub(crate) phase: Phase,
    /// Nobody will read its results (any more).
    pub(crate) released: bool,
    /// Attempts whose results are stored at executors.
    pub(crate) stored: Vec<TaskId>,
    /// Of those, the ones that count and were not taken, by partition, with where they are.
    untaken: BTreeMap<u32, (TaskId, BlockLocation)>,
    /// How often the result of a partition was lost that is not taken. Each for itself: a disk may take many with it.
    losses: BTreeMap<u32, u32>,
    delivered: Vec<bool>,
    done: u32,
    /// Which partitions were taken: one that is made again all the same is nobody's.
    taken: Vec<bool>,
    /// Inline bytes that were handed out and not taken, by partition.
    waiting: BTreeMap<u32, u64>,
    waiting_bytes: u64,
    /// The partition that its reader wants next.
    wanted: u32,
}

impl Job {
    pub(crate) fn new(id: JobId, stages: Vec<StageId>, partitions: u32, pool: String) -> Self {
        Self {
            id,
            pool,
            stages,
            phase: Phase::Open,
            released: false,
            stored: Vec::new(),
            untaken: BTreeMap::new(),
            losses: BTreeMap::new(),
            delivered: vec![false; partitions as usize],
            done: 0,
            taken: vec![false; partitions as usize],
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            wanted: 0,
        }
    }

    pub(crate) fn result_stage(&self) -> StageId {
        *self.stages.last().expect("a valid graph has a result stage")
    }

    /// Whether this partition's result is news; remembers it.
    pub(crate) fn deliver(&mut self, partition: u32, task: TaskId, block: &ResultBlock) -> bool {
        let slot = self.delivered.get_mut(partition as usize);
        let Some(slot) = slot.filter(|slot| !**slot || Mutant::ResultAcceptedTwice.is_on()) else { return false };
        *slot = true;
        self.done += 1;
        let taken = self.taken[partition as usize];
        match block {
            ResultBlock::Inline(_) if taken => {}
            ResultBlock::Inline(bytes) => {
                let bytes = bytes.len() as u64;
                self.waiting.insert(partition, bytes);
                self.waiting_bytes += bytes;
            }
            ResultBlock::Stored { location, .. } => {
                self.stored.push(task);
                if !taken {
                    self.untaken.insert(partition, (task, location.clone()));
                }
            }
        }
        true
    }

    /// The reader took this partition; it wants the next one.
    pub(crate) fn taken(&mut self, partition: u32) {
        self.waiting_bytes -= self.waiting.remove(&partition).unwrap_or(0);
        self.untaken.remove(&partition);
        self.losses.remove(&partition);
        self.wanted = self.wanted.max(partition.saturating_add(1));
        if let Some(taken) = self.taken.get_mut(partition as usize) {
            *taken = true;
        }
    }

    /// The stored results that were not taken and are gone.
    pub(crate) fn lost_where(&self, gone: impl Fn(&BlockLocation) -> bool) -> Vec<(u32, TaskId)> {
        let lost = self.untaken.iter().filter(|(_, (_, at))| gone(at));
        lost.map(|(partition, (task, _))| (*partition, *task)).collect()
    }

    /// The reader cannot have the result that this attempt stored. Gives how often that happened with this partition; nothing
    /// when it is not the one that counts.
    pub(crate) fn lose(&mut self, partition: u32, task: TaskId) -> Option<u32> {
        self.untaken.get(&partition).filter(|(stored, _)| *stored == task)?;
        self.untaken.remove(&partition);
        self.delivered[partition as usize] = false;
        self.done -= 1;
        let losses = self.losses.entry(partition).or_default();
        *losses += 1;
        Some(*losses)
    }

    /// Whether the partition that its reader wants next is there.
    pub(crate) fn is_next_there(&self) -> bool {
        self.waiting.contains_key(&self.wanted) || self.untaken.contains_key(&self.wanted)
    }

    /// Whether all is there that anybody will want: nothing of it can be lost any more.
    pub(crate) fn is_safe(&self) -> bool {
        self.is_complete() && (self.released || self.untaken.is_empty())
    }

    pub(crate) const fn done(&self) -> u32 {
        self.done
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.done as usize == self.delivered.len()
    }

    pub(crate) fn missing(&self) -> Vec<u32> {
        (0u32..).zip(&self.delivered).filter(|(_, delivered)| !**delivered).map(|(p, _)| p).collect()
    }

    /// How many result tasks may start while `running` run: what waits for the reader stays within `limit` bytes. The
    /// partition that the reader wants may always start, else a full buffer would wait for it for ever.
    pub(crate) fn gate(&self, running: usize, limit: u64) -> Gate {
        let room = limit.saturating_sub(self.waiting_bytes) / INLINE_LIMIT;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        Gate { room: room.saturating_sub(running), always: Some(self.wanted) }
    }

    pub(crate) fn check(&self) {
        let done = self.delivered.iter().filter(|delivered| **delivered).count();
        assert_eq!(done, self.done as usize, "job {} miscounts its results", self.id);
        assert_eq!(self.waiting.values().sum::<u64>(), self.waiting_bytes, "job {} miscounts its bytes", self.id);
        let counts = |(p, (task, _)): (&u32, &(TaskId, BlockLocation))| {
            self.delivered[*p as usize] && !self.taken[*p as usize] && self.stored.contains(task)
        };
        assert!(self.untaken.iter().all(counts), "job {} waits for a result that is not there", self.id);
        assert!(self.phase != Phase::Kept || !self.released, "job {} keeps what nobody wants", self.id);
    }
}
