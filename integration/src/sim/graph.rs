//! Jobs: graphs of stages of every shape, and the rows that each must give.
//!
//! A block is one number, made of its stage, its place and everything that its task read, so that a result tells whether
//! every block of every stage was read exactly once, in order, and by the right task. A task of an indeterminate stage
//! gives one of a few variants, and what is made from it says which; results whose rows stem from two variants of one
//! task are wrong, whatever they are.

use super::chance::{Chance, mix};
use hearth_core::{ApplicationState, Determinism, Edge, Exchange, Payload, StageGraph, StageNode};
use hearth_driver::machine::JobFailure;
use std::{collections::BTreeMap, rc::Rc};

/// A task of an indeterminate stage by its stage's place and its partition, and the variant of its rows.
pub(super) type Origin = (u32, u32, u8);

/// Rows that may differ between two runs of an indeterminate task: few, so that a rerun often gives the same again.
const VARIANTS: u64 = 3;

/// What a task wrote: a block a reader, some of them without rows.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) blocks: Vec<Option<u64>>,
    pub(super) origins: Rc<Vec<Origin>>,
}

impl Output {
    /// Tells outputs of other rows apart.
    pub(super) fn checksum(&self) -> u64 {
        self.blocks.iter().fold(0, |sum, block| mix(sum ^ block.unwrap_or(1)))
    }
}

/// What a payload says.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    salt: u64,
    place: u32,
    indeterminate: bool,
    /// Of each input, whether every task reads all of it.
    pub(super) broadcast: Vec<bool>,
    /// The task that always fails.
    poison: Option<(Poison, u32)>,
}

impl Stage {
    fn payload(&self) -> Payload {
        let flag = |yes: bool| if yes { '1' } else { '0' };
        let inputs: String = self.broadcast.iter().map(|b| flag(*b)).collect();
        let poison = match self.poison {
            Some((how, partition)) => format!("{}{partition}", Poison::ALL.iter().position(|p| *p == how).unwrap_or(0)),
            None => "-".into(),
        };
        Payload::new(format!("{} {} {} {inputs} {poison}", self.salt, self.place, flag(self.indeterminate)))
    }

    /// What a payload's bytes mean.
    pub(super) fn parse(payload: &Payload) -> Self {
        let text = std::str::from_utf8(payload.bytes()).expect("our own text");
        let mut words = text.split(' ');
        let mut word = || words.next().expect("five words");
        let (salt, place) = (word().parse().expect("a number"), word().parse().expect("a number"));
        let (indeterminate, inputs, poison) = (word() == "1", word(), word());
        let broadcast = inputs.bytes().map(|b| b == b'1').collect();
        let poison = poison.split_at_checked(1).filter(|(how, _)| *how != "-").map(|(how, partition)| {
            let how: usize = how.parse().expect("a number");
            (Poison::ALL[how], partition.parse().expect("a number"))
        });
        Self { salt, place, indeterminate, broadcast, poison }
    }

    /// How the task of a partition always fails, when it does.
    pub(super) fn poison_of(&self, partition: u32) -> Option<Poison> {
        self.poison.filter(|(_, of)| *of == partition).map(|(how, _)| how)
    }

    /// The variant of the rows that an attempt gives.
    pub(super) const fn variant(&self, attempt: u64) -> Option<u8> {
        if self.indeterminate { Some((mix(attempt ^ self.salt) % VARIANTS) as u8) } else { None }
    }

    /// What a task that read `read` writes for its readers.
    pub(super) fn blocks(&self, partition: u32, readers: u32, read: &Read, variant: Option<u8>) -> Output {
        let seed =
            mix(read.value ^ u64::from(partition).wrapping_mul(0x9e37_79b9) ^ u64::from(variant.unwrap_or(9)) << 40);
        // Which blocks have no rows must not depend on what was read: nobody reads them, and could tell.
        let empty = |reader: u32| mix(self.salt ^ u64::from(partition) << 32 ^ u64::from(reader)).is_multiple_of(8);
        let block = |reader: u32| (!empty(reader)).then(|| mix(seed ^ u64::from(reader)));
        let mut origins = read.origins.clone();
        origins.extend(variant.map(|variant| (self.place, partition, variant)));
        Output { blocks: (0..readers).map(block).collect(), origins: Rc::new(distinct(origins)) }
    }

    /// What a task begins with.
    pub(super) const fn read(&self) -> Read {
        Read { value: self.salt, origins: Vec::new() }
    }
}

/// What a task has read so far.
#[derive(Debug)]
pub(super) struct Read {
    value: u64,
    pub(super) origins: Vec<Origin>,
}

impl Read {
    pub(super) const fn block(&mut self, value: u64) {
        self.value = mix(self.value.rotate_left(7) ^ value);
    }

    /// The row of a result task that read all this.
    pub(super) const fn result(&self, partition: u32) -> u64 {
        mix(self.value ^ partition as u64)
    }
}

pub(super) fn distinct(mut origins: Vec<Origin>) -> Vec<Origin> {
    origins.sort_unstable();
    origins.dedup();
    origins
}

/// A result's bytes: its row, and what it stems from.
pub(super) fn encode(row: u64, origins: &[Origin]) -> Vec<u8> {
    let mut bytes = row.to_le_bytes().to_vec();
    for (place, partition, variant) in origins {
        bytes.extend(place.to_le_bytes());
        bytes.extend(partition.to_le_bytes());
        bytes.push(*variant);
    }
    bytes
}

/// The row and the origins of a result.
pub(super) fn decode(bytes: &[u8]) -> (u64, Vec<Origin>) {
    let word = |b: &[u8]| u32::from_le_bytes(b.try_into().expect("four bytes"));
    let (row, rest) = bytes.split_at(8);
    let origins = rest.chunks(9).map(|c| (word(&c[..4]), word(&c[4..8]), c[8])).collect();
    (u64::from_le_bytes(row.try_into().expect("eight bytes")), origins)
}

/// The rows of a job, straight from its graph: what a run without faults gives when its indeterminate tasks give these
/// variants.
pub(super) fn expected(graph: &StageGraph, variants: &BTreeMap<(u32, u32), u8>) -> Vec<u64> {
    let mut outputs: Vec<Vec<Output>> = Vec::new();
    for (place, node) in (0..).zip(&graph.stages) {
        let stage = Stage::parse(&node.payload);
        let mut written = Vec::new();
        let mut rows = Vec::new();
        for partition in 0..node.tasks {
            let mut read = stage.read();
            for (edge, broadcast) in node.inputs.iter().zip(&stage.broadcast) {
                for output in &outputs[edge.from] {
                    let blocks =
                        if *broadcast { &output.blocks[..] } else { &output.blocks[partition as usize..][..1] };
                    blocks.iter().flatten().for_each(|value| read.block(*value));
                }
            }
            rows.push(read.result(partition));
            // A variant that no result names was read by nobody.
            let variant = stage.indeterminate.then(|| variants.get(&(place, partition)).copied().unwrap_or(0));
            written.push(stage.blocks(partition, node.output_partitions, &read, variant));
        }
        if outputs.len() == graph.result() {
            return rows;
        }
        outputs.push(written);
    }
    unreachable!("a graph has a result stage")
}

/// How a task is poisonous: it always fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// The query's own fault.
    Query,
    /// Something that might pass, and does not.
    Transient,
    /// It crashes its executor.
    Crash,
}

impl Poison {
    const ALL: [Self; 3] = [Self::Query, Self::Transient, Self::Crash];

    /// Whether a job with such a task fails like this.
    pub(super) fn explains(self, failure: &JobFailure) -> bool {
        match failure {
            JobFailure::Query(_) => self == Self::Query,
            JobFailure::TaskFailed { .. } | JobFailure::Unschedulable { .. } => self != Self::Query,
            // Its executors take outputs with them.
            JobFailure::TaskLost { .. }
            | JobFailure::StageFailed { .. }
            | JobFailure::Indeterminate { .. }
            | JobFailure::ResultLost { .. }
            | JobFailure::Ended { state: ApplicationState::Failed, .. } => self == Self::Crash,
            _ => false,
        }
    }
}

/// A job.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its stages.
    pub graph: StageGraph,
    /// What is wrong with one of its tasks.
    pub poison: Option<Poison>,
}

impl Wanted {
    /// A job of a random graph; one in a few has a poisonous task.
    pub(super) fn random(chance: &mut Chance, tasks: u32, slots: u32) -> Self {
        let mut graph = random(chance, tasks, slots);
        let poison = chance.once_in(12).then(|| Poison::ALL[chance.index(2)]);
        if let Some(poison) = poison {
            let last = graph.result();
            let node = &mut graph.stages[chance.index(last)];
            let partition = chance.number(0, node.tasks - 1);
            let stage = Stage { poison: Some((poison, partition)), ..Stage::parse(&node.payload) };
            node.payload = stage.payload();
        }
        Self { graph, poison }
    }
}

/// A graph of about so many tasks, none of which takes more than so many slots: chains, diamonds, joins and broadcasts.
fn random(chance: &mut Chance, tasks: u32, slots: u32) -> StageGraph {
    let stages = chance.number(2, 5).min(tasks / 8).max(1) as usize;
    let mean = tasks / u32::try_from(stages).expect("a handful");
    let counts: Vec<u32> = (0..stages).map(|_| chance.number(1, 2 * mean - 1)).collect();
    let result = stages - 1;
    let mut inputs: Vec<Vec<Edge>> = vec![Vec::new(); stages];
    let mut readers = vec![1; stages];
    for (from, blocks) in readers.iter_mut().enumerate().take(result) {
        let first = from + 1 + chance.index(result - from - 1);
        let everywhere = chance.once_in(6);
        *blocks = if everywhere { chance.number(1, 3) } else { counts[first] };
        let exchange = if everywhere { Exchange::Broadcast } else { Exchange::Hash };
        inputs[first].push(Edge { from, exchange });
        let second = from + 1 + chance.index(result - from - 1);
        if second != first && chance.once_in(2) {
            let same = !everywhere && counts[second] == *blocks;
            inputs[second].push(Edge { from, exchange: if same { Exchange::Hash } else { Exchange::Broadcast } });
        }
    }
    let vague = chance.once_in(3).then(|| chance.index(result)).filter(|place| *place < result);
    let nodes = inputs.into_iter().enumerate().map(|(place, inputs)| {
        let indeterminate = vague == Some(place);
        let broadcast = inputs.iter().map(|edge| edge.exchange == Exchange::Broadcast).collect();
        let (salt, place_word) = (chance.bits(), u32::try_from(place).expect("few"));
        let stage = Stage { salt, place: place_word, indeterminate, broadcast, poison: None };
        let steady = if chance.once_in(3) { Determinism::Unordered } else { Determinism::Determinate };
        StageNode {
            name: format!("stage {place}"),
            tasks: counts[place],
            slots: if slots > 1 && chance.once_in(6) { chance.number(2, slots) } else { 1 },
            inputs,
            output_partitions: readers[place],
            payload: stage.payload(),
            determinism: if indeterminate { Determinism::Indeterminate } else { steady },
        }
    });
    let graph = StageGraph { stages: nodes.collect() };
    graph.validate().expect("a good graph");
    graph
}
