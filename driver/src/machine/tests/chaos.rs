//! Random jobs under random faults: every job ends, and nothing is left.

use super::{Cluster, stage};
use crate::machine::{DriverOptions, Event, Exclusion, Pools, Speculation};
use hearth_core::{
    Determinism, ExecutorId, ExecutorState, JobId, LinkId, StageNode, TaskId,
    conf::SchedulingMode,
    messages::{
        application::AppDown,
        task::{TaskNews, TaskTarget},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// A small generator of our own: a seed is a test, on every machine and for ever (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())])
    }
}

/// What goes on around the driver.
struct World {
    c: Cluster,
    chance: Chance,
    /// Links of living executors.
    executors: BTreeMap<u32, u64>,
    next_executor: u32,
    next_link: u64,
    /// Launched and not ended, by link.
    open: BTreeSet<(u64, u64)>,
    seen: usize,
    over: BTreeMap<u32, String>,
    /// Results that were stored and wait for their reader: job, partition and task.
    unread: Vec<(u32, u32, u64)>,
    results: BTreeMap<u32, BTreeSet<u32>>,
    /// Partitions of which a stored result was lost, of any job.
    lost: BTreeSet<u32>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let speculation = Speculation { quantile_thousandths: 500, ..Speculation::default() };
        let speculation = chance.one_in(2).then_some(speculation);
        // Short, so that those who are left out come back.
        let second = std::time::Duration::from_secs(1);
        let exclusion = Exclusion { timeout: second, unschedulable_timeout: second, ..Exclusion::default() };
        let exclusion = chance.one_in(3).then_some(exclusion);
        let mode = if chance.one_in(2) { SchedulingMode::Fair } else { SchedulingMode::Fifo };
        let pools = Pools { mode, ..Pools::default() };
        let options = DriverOptions { speculation, exclusion, pools, ..DriverOptions::default() };
        let mut c = super::master::registered(options);
        c.block_service = chance.one_in(2);
        Self {
            c,
            chance,
            executors: BTreeMap::new(),
            next_executor: 1,
            next_link: 1,
            open: BTreeSet::new(),
            seen: 0,
            over: BTreeMap::new(),
            unread: Vec::new(),
            results: BTreeMap::new(),
            lost: BTreeSet::new(),
        }
    }

    fn graph(&mut self) -> Vec<StageNode> {
        let stages = 1 + self.chance.below(5);
        let mut graph: Vec<StageNode> = Vec::new();
        for place in 0..stages {
            // Every stage reads the one before it, so that none is unread; and perhaps another.
            let mut from: Vec<usize> = place.checked_sub(1).into_iter().collect();
            if place > 1 && self.chance.one_in(2) {
                from.push(self.chance.below(place));
            }
            let mut node = stage(1 + self.chance.below(6) as u32, &from);
            if self.chance.one_in(5) {
                node.slots = 1 + self.chance.below(3) as u32;
            }
            if self.chance.one_in(6) {
                node.determinism = Determinism::Indeterminate;
            }
            graph.push(node);
        }
        graph
    }

    fn join(&mut self) {
        let (id, link) = (self.next_executor, self.next_link);
        (self.next_executor, self.next_link) = (id + 1, link + 1);
        self.executors.insert(id, link);
        self.c.register(id, link, 1 + self.chance.below(3) as u32, &[]);
    }

    fn lose(&mut self, id: u32, link: u64) {
        self.executors.remove(&id);
        self.open.retain(|(at, _)| *at != link);
        let message = match self.chance.below(3) {
            0 => AppDown::WorkerRemoved { worker: format!("w{id}").parse().unwrap(), reason: "gone".into() },
            1 => AppDown::ExecutorChanged {
                executor: ExecutorId(id),
                state: ExecutorState::Failed,
                message: "crash".into(),
                exit_code: Some(if self.chance.one_in(3) { 137 } else { 134 }),
            },
            _ => AppDown::ExecutorChanged {
                executor: ExecutorId(id),
                state: ExecutorState::Killed,
                message: "asked for".into(),
                exit_code: None,
            },
        };
        if self.chance.one_in(2) {
            self.c.send(Event::ExecutorLinkClosed { link: LinkId(link) });
            let wait = self.chance.below(3000) as u64;
            self.c.pass(wait);
        }
        self.c.master_says(message);
    }

    /// The link of an executor breaks, and it comes back with what it runs.
    fn flap(&mut self, id: u32, link: u64, cores: u32) {
        self.c.send(Event::ExecutorLinkClosed { link: LinkId(link) });
        let wait = self.chance.below(4000) as u64;
        self.c.pass(wait);
        let new = self.next_link;
        self.next_link += 1;
        let running: Vec<u64> = self.open.iter().filter(|(at, _)| *at == link).map(|(_, task)| *task).collect();
        self.open.retain(|(at, _)| *at != link);
        for task in &running {
            self.open.insert((new, *task));
            self.c.launches.get_mut(&TaskId(*task)).unwrap().0 = LinkId(new);
        }
        self.executors.insert(id, new);
        self.c.register(id, new, cores, &running);
    }

    fn finish_one(&mut self, faults: bool) {
        let open: Vec<(u64, u64)> = self.open.iter().copied().collect();
        let Some((link, task)) = self.chance.pick(&open) else { return };
        self.open.remove(&(link, task));
        let inputs = self.c.launches[&TaskId(task)].1.inputs.clone();
        let maps: Vec<u64> = self
            .c
            .launches
            .iter()
            .filter(|(_, (_, l))| {
                matches!(l.target, TaskTarget::Shuffle { shuffle, .. } if inputs.iter().any(|i| i.shuffle == shuffle))
            })
            .map(|(id, _)| id.0)
            .collect();
        match self.chance.below(if faults { 12 } else { 1 }) {
            1 if self.chance.one_in(2) => self.c.fail(task, "no luck"),
            2 | 3 if !maps.is_empty() => {
                let map = self.chance.pick(&maps).unwrap();
                self.c.fail_fetch(task, map);
            }
            4 => {
                self.c.news(task, TaskNews::Started);
                self.open.insert((link, task));
            }
            _ => self.succeed(task),
        }
    }

    fn succeed(&mut self, task: u64) {
        let is_result = self.c.launches[&TaskId(task)].1.target == TaskTarget::Result;
        match is_result {
            true if self.chance.one_in(3) => {
                let launch = &self.c.launches[&TaskId(task)].1;
                self.unread.push((launch.job.0, launch.partition, task));
                self.c.store(task);
            }
            true => self.c.succeed(task),
            // A rerun may give other rows.
            false => self.c.succeed_with(task, Some(self.chance.below(2) as u64)),
        }
        if self.chance.one_in(4) {
            self.c.succeed(task); // A duplicate.
        }
    }

    /// The reader takes one of the stored results, or finds that it is lost.
    fn read(&mut self, faults: bool) {
        if self.unread.is_empty() {
            return;
        }
        let (job, partition, task) = self.unread.remove(self.chance.below(self.unread.len()));
        let handed_out = self.results.get(&job).is_some_and(|results| results.contains(&partition));
        if !handed_out || self.over.contains_key(&job) {
            return;
        }
        if !faults || self.chance.one_in(2) {
            return self.c.result_taken(job, partition);
        }
        self.c.result_lost(job, partition, task);
        let lines = self.c.take();
        // Nothing follows when another attempt's result was the one that counts.
        if lines.iter().any(|line| line.starts_with("Warn: the result of partition")) {
            self.results.entry(job).or_default().remove(&partition);
        }
        self.hear(lines);
    }

    /// Reads what the driver said.
    fn listen(&mut self) {
        let lines = self.c.take();
        self.hear(lines);
    }

    fn hear(&mut self, lines: Vec<String>) {
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                [link, "kill", task, ..] => {
                    let link = link[1..].parse().unwrap();
                    let task = task[1..].trim_end_matches(':').parse().unwrap();
                    // One that was told to end may be done already, or hear of it later.
                    match self.chance.below(4) {
                        0 => {}
                        1 if self.open.remove(&(link, task)) => self.succeed(task),
                        _ if self.open.remove(&(link, task)) => self.c.killed(task),
                        _ => {}
                    }
                }
                [job, "result", partition] => {
                    let (job, partition) = (job[1..].parse().unwrap(), partition.parse().unwrap());
                    let fresh = self.results.entry(job).or_default().insert(partition);
                    assert!(fresh || self.lost.contains(&partition), "partition {partition} of job {job} came twice");
                    assert!(!self.over.contains_key(&job), "a result after the end");
                }
                ["Warn:", "the", "result", "of", "partition", partition, "was", "lost", ..] => {
                    self.lost.insert(partition.parse().unwrap());
                }
                [job, end @ ("done" | "failed:"), ..] => {
                    let twice = self.over.insert(job[1..].parse().unwrap(), end.into());
                    assert_eq!(twice, None, "job {job} ended twice");
                }
                _ => {}
            }
        }
        let launches: Vec<(u64, u64)> = self.c.launches.iter().skip(self.seen).map(|(t, (l, _))| (l.0, t.0)).collect();
        self.seen = self.c.launches.len();
        self.open.extend(launches);
    }
}

fn live_through(seed: u64) -> BTreeMap<u32, String> {
    let mut w = World::new(seed);
    w.join();
    let mut sizes = BTreeMap::new();
    for turn in 0..120 {
        let executors: Vec<(u32, u64)> = w.executors.iter().map(|(id, link)| (*id, *link)).collect();
        match w.chance.below(12) {
            0 if sizes.len() < 3 => {
                let job = sizes.len() as u32 + 1;
                let graph = w.graph();
                sizes.insert(job, graph.last().unwrap().tasks as usize);
                let pool = if w.chance.one_in(2) { "a" } else { "b" };
                w.c.submit_to(pool, job, graph);
            }
            1 if executors.len() < 4 => w.join(),
            2 if turn > 20 => {
                if let Some((id, link)) = w.chance.pick(&executors) {
                    w.lose(id, link);
                }
            }
            3 => {
                if let Some((id, link)) = w.chance.pick(&executors) {
                    w.flap(id, link, 3);
                }
            }
            4 => {
                let millis = w.chance.below(300) as u64;
                w.c.pass(millis);
            }
            5 if w.chance.one_in(10) => {
                let job = JobId(1 + w.chance.below(3) as u32);
                w.c.send(Event::JobCancelled { job, reason: "chance".into() });
            }
            6 => w.read(true),
            _ => w.finish_one(true),
        }
        w.listen();
    }
    // The faults are over: with an executor, everything ends in bounded time.
    w.join();
    for _ in 0..2000 {
        if w.over.len() == sizes.len() && w.open.is_empty() {
            break;
        }
        w.c.pass(50);
        w.listen();
        w.finish_one(false);
        w.listen();
        w.read(false);
        w.listen();
    }
    assert_eq!(w.over.len(), sizes.len(), "seed {seed}: jobs hang: {:?}", w.c.driver);
    for (job, size) in sizes {
        let complete = w.results.get(&job).map_or(0, BTreeSet::len) == size;
        assert!(w.over[&job] == "failed:" || complete, "seed {seed}: job {job} is done without all of its results");
        w.c.release(job);
    }
    w.listen();
    w.c.driver.assert_empty();
    w.over
}

#[test]
fn every_job_ends() {
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..400 {
        for end in live_through(seed).into_values() {
            *ends.entry(end).or_default() += 1;
        }
    }
    // A test of faults must not drown in them, nor miss them.
    assert!(ends["done"] > 300 && ends["failed:"] > 50, "{ends:?}");
}
