//! The stage graph: what every front end makes of a program, and all that the schedulers know of it.
//!
//! A graph lists its stages so that parents stand before children; the last one is the result stage, every other is a
//! shuffle map stage whose output exactly the edges that name it read. What a stage computes is an opaque payload.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// How rows travel from one stage to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Exchange {
    /// By the hash of key expressions.
    Hash,
    /// In turn; only where a user asked for it.
    RoundRobin,
    /// By sampled bounds.
    Range,
    /// All to one task.
    Single,
    /// All to every task.
    Broadcast,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Hash => "hash",
            Self::RoundRobin => "round-robin",
            Self::Range => "range",
            Self::Single => "single",
            Self::Broadcast => "broadcast",
        })
    }
}

/// What is known of the rows a stage's task gives when it runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Determinism {
    /// The same rows in the same order.
    Determinate,
    /// The same rows in any order.
    Unordered,
    /// Perhaps other rows.
    Indeterminate,
}

/// The content hash of a payload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadHash(pub [u8; 32]);

impl fmt::Display for PayloadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for PayloadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// What the tasks of one stage compute. It travels to an executor once.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    hash: PayloadHash,
    bytes: Bytes,
}

impl Payload {
    /// A payload of these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { hash: PayloadHash(Sha256::digest(&bytes).into()), bytes }
    }

    /// The content hash.
    pub const fn hash(&self) -> PayloadHash {
        self.hash
    }

    /// The content.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({:?}, {} bytes)", self.hash, self.bytes.len())
    }
}

/// One incoming edge of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The parent's place in [`StageGraph::stages`].
    pub from: usize,
    /// How its rows travel.
    pub exchange: Exchange,
}

/// One stage of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageNode {
    /// What a progress bar and `EXPLAIN` call it, such as `scan lineitem, partial aggregate`.
    pub name: String,
    /// How many tasks it has; task `p` computes partition `p`.
    pub tasks: u32,
    /// How many slots of its executor each task takes: as many threads as it computes with. More than 1 where one task
    /// covers what several would do, with exchanges inside its process.
    pub slots: u32,
    /// Where its input comes from, in the order in which the payload numbers its inputs.
    pub inputs: Vec<Edge>,
    /// How many blocks each of its tasks writes (the reduce partitions); 1 for a result stage.
    pub output_partitions: u32,
    /// What its tasks compute.
    pub payload: Payload,
    /// What is known of a rerun.
    pub determinism: Determinism,
}

/// A job's stages. Parents stand before children; the last is the result stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageGraph {
    /// The stages.
    pub stages: Vec<StageNode>,
}

/// Why a graph cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadGraph {
    /// No stages at all.
    #[error("a stage graph needs at least one stage")]
    Empty,
    /// More than the schedulers are willing to hold.
    #[error("a stage graph of {0} stages is over the limit of {MAX_STAGES}")]
    TooManyStages(usize),
    /// A stage has no tasks, no output partitions, or too many.
    #[error("stage {0} ({1}) has {2} tasks and {3} output partitions; each must be 1 to {MAX_PARTITIONS}")]
    Partitions(usize, String, u32, u32),
    /// A task that no executor could ever take.
    #[error("a task of stage {0} ({1}) takes {2} slots; it must be 1 to {MAX_SLOTS}")]
    Slots(usize, String, u32),
    /// A stage reads from itself or from a later one.
    #[error("stage {0} reads from stage {1}, which does not stand before it")]
    Order(usize, usize),
    /// A stage that nobody reads.
    #[error("nothing reads the output of stage {0}")]
    Unread(usize),
}

/// Stages a graph may have: far above any plan a person writes, far below what would hurt the scheduler.
pub const MAX_STAGES: usize = 10_000;
/// Tasks a stage may have, and blocks a task may write.
pub const MAX_PARTITIONS: u32 = 1_000_000;
/// Slots that a task may take: the cores of the largest machine that is believed in.
pub const MAX_SLOTS: u32 = 1 << 16;

impl StageGraph {
    /// The place of the result stage.
    pub const fn result(&self) -> usize {
        self.stages.len() - 1
    }

    /// Checks what the schedulers rely on.
    pub fn validate(&self) -> Result<(), BadGraph> {
        if self.stages.is_empty() {
            return Err(BadGraph::Empty);
        }
        if self.stages.len() > MAX_STAGES {
            return Err(BadGraph::TooManyStages(self.stages.len()));
        }
        let mut read = vec![false; self.stages.len()];
        for (i, stage) in self.stages.iter().enumerate() {
            let legal = 1..=MAX_PARTITIONS;
            if !legal.contains(&stage.tasks) || !legal.contains(&stage.output_partitions) {
                return Err(BadGraph::Partitions(i, stage.name.clone(), stage.tasks, stage.output_partitions));
            }
            if !(1..=MAX_SLOTS).contains(&stage.slots) {
                return Err(BadGraph::Slots(i, stage.name.clone(), stage.slots));
            }
            for edge in &stage.inputs {
                if edge.from >= i {
                    return Err(BadGraph::Order(i, edge.from));
                }
                read[edge.from] = true;
            }
        }
        match read[..self.result()].iter().position(|r| !r) {
            Some(i) => Err(BadGraph::Unread(i)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(tasks: u32, from: &[usize]) -> StageNode {
        StageNode {
            name: "test".into(),
            tasks,
            slots: 1,
            inputs: from.iter().map(|&from| Edge { from, exchange: Exchange::Hash }).collect(),
            output_partitions: 1,
            payload: Payload::new(vec![1, 2, 3]),
            determinism: Determinism::Determinate,
        }
    }

    #[test]
    fn graphs_that_cannot_run_are_refused() {
        let check = |stages: Vec<StageNode>| StageGraph { stages }.validate();
        assert_eq!(check(vec![]), Err(BadGraph::Empty));
        assert_eq!(check(vec![stage(1, &[0])]), Err(BadGraph::Order(0, 0)));
        assert_eq!(check(vec![stage(1, &[]), stage(1, &[])]), Err(BadGraph::Unread(0)));
        assert_eq!(check(vec![stage(0, &[])]), Err(BadGraph::Partitions(0, "test".into(), 0, 1)));
        let wide = StageNode { slots: MAX_SLOTS + 1, ..stage(1, &[]) };
        assert_eq!(check(vec![wide]), Err(BadGraph::Slots(0, "test".into(), MAX_SLOTS + 1)));
        assert_eq!(check(vec![stage(2, &[]), stage(1, &[0])]), Ok(()));
    }

    #[test]
    fn a_payload_is_named_by_its_content() {
        // Independent source: `printf abc | sha256sum`.
        let hash = Payload::new(&b"abc"[..]).hash().to_string();
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
