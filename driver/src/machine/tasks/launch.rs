//! Who gets the free slots: pending tasks in the order of their pools, then copies of slow ones.

use super::{RunningTask, SetKey, TaskScheduler, offers::Offers};
use crate::machine::{
    Effect,
    dag::{DagScheduler, Gate},
    executors::Executors,
};
use hearth_core::{
    ExecutorId, Now, TaskId,
    messages::task::{TaskDown, TaskLaunch},
};
use std::collections::BTreeMap;

/// One round of launches.
struct Round<'a> {
    now: Now,
    dag: &'a mut DagScheduler,
    executors: &'a mut Executors,
    /// Bytes of results that may wait for their reader.
    buffer: u64,
    offers: Offers,
    /// One batch an executor.
    batches: BTreeMap<ExecutorId, Vec<TaskLaunch>>,
}

impl TaskScheduler {
    /// Gives free slots to tasks: one batch of launches an executor.
    pub(in crate::machine) fn launch(
        &mut self,
        now: Now,
        dag: &mut DagScheduler,
        executors: &mut Executors,
        buffer: u64,
        fx: &mut Vec<Effect>,
    ) {
        if self.sets.values().all(|set| set.pending.is_empty() && set.slow.is_empty()) {
            return;
        }
        let offers = Offers::new(executors.free_slots(), self.last);
        let mut round = Round { now, dag, executors, buffer, offers, batches: BTreeMap::new() };
        let mut line = self.line();
        while !round.offers.is_empty()
            && let Some((key, limit)) = line.next()
        {
            let slots = self.sets[&key].slots;
            match self.fill(key, limit, &mut round) {
                true => line.started(key, slots),
                false => line.leave(key),
            }
        }
        self.start_copies(&mut round);
        let Round { executors, batches, .. } = round;
        for (executor, batch) in batches {
            executors.tell(executor, TaskDown::Launch(batch), fx);
        }
    }

    /// Starts up to so many tasks of a set. False when no more of it can start now.
    fn fill(&mut self, key: SetKey, limit: usize, round: &mut Round<'_>) -> bool {
        for _ in 0..limit {
            let set = &self.sets[&key];
            let gate = round.dag.gate(key, set.running_count(), round.buffer);
            let Some(next) = self.choose(key, gate, &mut round.offers, round.executors) else { return false };
            self.start(key, next, round);
        }
        true
    }

    /// A partition of a set and an executor for it, whose slots are taken from the offers. Nothing when no task of the set
    /// may start, or none where there is room; what it waits for is then kept away from whoever comes after.
    pub(super) fn choose(
        &self,
        key: SetKey,
        gate: Gate,
        offers: &mut Offers,
        executors: &Executors,
    ) -> Option<(u32, ExecutorId)> {
        let set = &self.sets[&key];
        // Partitions of which some executors may not run just these. All others may run where their set may.
        let picky = set.picky();
        if let Some(partition) = set.next(gate, |partition| !picky.contains(&partition)) {
            let suits = |executor| self.may_run_of(key, executor, executors);
            if let Some(executor) = offers.take(set.slots, suits) {
                return Some((partition, executor));
            }
            offers.reserve(set.slots, suits);
        }
        for &one in &picky {
            let Some(partition) = set.next(gate, |partition| partition == one) else { continue };
            let suits = |executor| self.may_run(key, partition, executor, executors);
            if let Some(executor) = offers.take(set.slots, suits) {
                return Some((partition, executor));
            }
            offers.reserve(set.slots, suits);
        }
        None
    }

    /// Starts copies of slow tasks where there is room.
    fn start_copies(&mut self, round: &mut Round<'_>) {
        for key in self.sets.keys().copied().collect::<Vec<_>>() {
            for partition in self.sets[&key].slow.clone() {
                let set = &self.sets[&key];
                if round.offers.is_empty() || round.dag.gate(key, set.running_count(), round.buffer).room == 0 {
                    break;
                }
                let original = round.executors.worker_of(self.running[&set.running[&partition]].executor);
                // What makes a task slow is its machine, more often than its rows.
                let suits = |executor| {
                    round.executors.worker_of(executor) != original
                        && self.may_run(key, partition, executor, round.executors)
                };
                if let Some(executor) = round.offers.take(set.slots, suits) {
                    self.start(key, (partition, executor), round);
                }
            }
        }
    }

    /// Puts an attempt at a partition onto an executor that has the slots for it.
    fn start(&mut self, key: SetKey, (partition, executor): (u32, ExecutorId), round: &mut Round<'_>) {
        let task = TaskId(self.next_task);
        self.next_task += 1;
        self.last = Some(executor);
        let set = self.sets.get_mut(&key).expect("the caller has it");
        let attempt = set.launched(partition, task);
        let (launched, epoch) = (round.now, round.dag.outputs.epoch());
        let (started, thrifty) = (false, self.histories.is_thrifty(key, partition));
        let running = RunningTask { set: key, partition, executor, launched, started, thrifty, epoch, reap_at: None };
        self.running.insert(task, running);
        round.executors.assign(executor, task, set.slots);
        round.dag.task_launched(key.stage);
        round.batches.entry(executor).or_default().push(TaskLaunch {
            task,
            job: key.job,
            stage: key.stage,
            stage_attempt: key.attempt,
            partition,
            slots: set.slots,
            attempt,
            payload: set.payload,
            inputs: round.dag.inputs(key.stage),
            target: set.target,
            thrifty,
        });
    }
}
