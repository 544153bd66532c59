//! The executor's memory, and what of it one task may have.
//!
//! ```text
//!  the pool: half of it in common, half of it by slot
//!  ┌───────────────────────────┬──────┬──────┬──────┬──────┐
//!  │ whoever comes first       │ slot │ slot │ slot │ slot │
//!  └───────────────────────────┴──────┴──────┴──────┴──────┘
//! ```
//!
//! A task always gets what stands by its slots, and beyond that of the common half: what one task takes never makes another
//! one fail that asks for little. (Spark promises each of N tasks a half of an N-th, too; it makes a task wait for it, which
//! nothing here can.)
//!
//! Of what a task may have, its operators that spill get even shares, so that they spill, and what does not spill has what
//! they leave. A thrifty task leaves one share more free: sorting and merging what is about to be spilled takes memory that
//! does not spill. And what does not spill gets at most half of what is left at a time: a merge takes as many files as it has
//! memory for, and is content with two.
//!
//! What holds: no more than the pool is ever given to those who ask. DataFusion's fair pool gives out more, when consumers
//! come one after the other.

use datafusion::{
    common::{Result, resources_datafusion_err},
    execution::memory_pool::{
        GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool,
        human_readable_size,
    },
};
use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// How many of the largest consumers an out-of-memory message names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// The memory of an executor, divided among the tasks that run.
#[derive(Debug)]
pub(super) struct Shares {
    pool: Arc<dyn MemoryPool>,
    /// The same, where it knows who has how much.
    tracked: Option<Arc<TrackConsumersPool<GreedyMemoryPool>>>,
    limit: usize,
    slots: u32,
    tasks: Mutex<Tasks>,
}

/// What the tasks that run hold, by a number of their own.
#[derive(Debug, Default)]
struct Tasks {
    next: u64,
    held: BTreeMap<u64, Held>,
}

/// What one task holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    slots: u32,
    bytes: usize,
    /// Of which may be spilled.
    spillable: usize,
    /// Operators that spill.
    spillers: usize,
    thrifty: bool,
}

impl Shares {
    pub(super) fn new(limit: usize, slots: u32) -> Self {
        let tracked = Arc::new(TrackConsumersPool::new(GreedyMemoryPool::new(limit), NAMED_CONSUMERS));
        let pool = Arc::<TrackConsumersPool<_>>::clone(&tracked);
        Self { pool, tracked: Some(tracked), limit, slots: slots.max(1), tasks: Mutex::default() }
    }

    /// Of a pool that exists already, and divides its memory itself.
    pub(super) fn over(pool: Arc<dyn MemoryPool>) -> Self {
        Self { pool, tracked: None, limit: usize::MAX, slots: 1, tasks: Mutex::default() }
    }

    /// What this task may have beyond what it holds, when the others get what stands by their slots.
    fn free_for(&self, tasks: &Tasks, task: u64) -> usize {
        let others = tasks.held.iter().filter(|(id, _)| **id != task).map(|(_, held)| held);
        let own = tasks.held.get(&task).map_or(0, |held| held.slots);
        let taken = others.clone().fold(own, |sum, held| sum.saturating_add(held.slots));
        // A task that was told to end may still be here when the next one begins.
        let slots = self.slots.max(taken);
        // Of numbers of slots, of which there are some dozens.
        let of = |some: u32| self.limit / 2 / slots as usize * some as usize;
        let promised: usize = others.map(|held| of(held.slots).saturating_sub(held.bytes)).sum();
        self.limit.saturating_sub(self.pool.reserved()).saturating_sub(promised).saturating_sub(of(slots - taken))
    }

    /// How much more the consumer may have.
    fn available(&self, tasks: &Tasks, task: u64, reservation: &MemoryReservation) -> usize {
        let free = self.free_for(tasks, task);
        match tasks.held.get(&task) {
            Some(held) if reservation.consumer().can_spill() => {
                let shares = held.spillers.max(1) + usize::from(held.thrifty);
                let share = (free + held.spillable) / shares;
                share.saturating_sub(reservation.size()).min(free)
            }
            // Merges take what they can get.
            Some(held) if held.thrifty => free / 2,
            _ => free,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pool as one task sees it, or as those do that belong to no task.
#[derive(Debug)]
pub(super) struct TaskMemory {
    shares: Arc<Shares>,
    task: u64,
    peak: AtomicUsize,
}

impl TaskMemory {
    /// Of a task that takes so many slots: none, when it is not of a task.
    pub(super) fn new(shares: &Arc<Shares>, slots: u32, thrifty: bool) -> Self {
        let mut tasks = shares.lock();
        let task = tasks.next;
        tasks.next += 1;
        tasks.held.insert(task, Held { slots, bytes: 0, spillable: 0, spillers: 0, thrifty });
        drop(tasks);
        Self { shares: Arc::clone(shares), task, peak: AtomicUsize::new(0) }
    }

    /// The most bytes that the task held at once so far.
    pub(super) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed) as u64
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        let mut tasks = self.shares.lock();
        let held = tasks.held.get_mut(&self.task).expect("it is there until it is dropped");
        change(held);
        self.peak.fetch_max(held.bytes, Ordering::Relaxed);
    }

    fn grew(&self, reservation: &MemoryReservation, bytes: usize) {
        let spills = reservation.consumer().can_spill();
        self.change(|held| {
            held.bytes += bytes;
            held.spillable += if spills { bytes } else { 0 };
        });
    }
}

impl Drop for TaskMemory {
    fn drop(&mut self) {
        self.shares.lock().held.remove(&self.task);
    }
}

impl fmt::Display for TaskMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} slots", human_readable_size(self.shares.limit), self.shares.slots)
    }
}

impl MemoryPool for TaskMemory {
    fn name(&self) -> &str {
        "task"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shares.pool.register(consumer);
        self.change(|held| held.spillers += usize::from(consumer.can_spill()));
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.change(|held| held.spillers -= usize::from(consumer.can_spill()));
        self.shares.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shares.pool.grow(reservation, additional);
        self.grew(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shares.pool.shrink(reservation, shrink);
        let spills = reservation.consumer().can_spill();
        self.change(|held| {
            held.bytes -= shrink;
            held.spillable -= if spills { shrink } else { 0 };
        });
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if additional == 0 {
            return Ok(()); // Even when more is held than there is, because somebody did not ask.
        }
        let tasks = self.shares.lock();
        let available = self.shares.available(&tasks, self.task, reservation);
        if additional <= available {
            // Before anybody else can be told that it is free.
            self.shares.pool.try_grow(reservation, additional)?;
            drop(tasks);
            self.grew(reservation, additional);
            return Ok(());
        }
        drop(tasks);
        let largest = self.shares.tracked.as_ref().map(|pool| pool.report_top(NAMED_CONSUMERS.get()));
        Err(resources_datafusion_err!(
            "{} holds {} and wants {} more, where {} are left for it; the largest consumers are\n{}",
            reservation.consumer().name(),
            human_readable_size(reservation.size()),
            human_readable_size(additional),
            human_readable_size(available),
            largest.unwrap_or_default()
        ))
    }

    fn reserved(&self) -> usize {
        self.shares.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.shares.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task, and a consumer of it that spills or does not.
    fn consumer(task: &Arc<TaskMemory>, spills: bool) -> MemoryReservation {
        let pool: Arc<dyn MemoryPool> = Arc::<TaskMemory>::clone(task);
        MemoryConsumer::new("test").with_can_spill(spills).register(&pool)
    }

    fn tasks<const N: usize>(limit: usize, slots: u32) -> [Arc<TaskMemory>; N] {
        let shares = Arc::new(Shares::new(limit, slots));
        [(); N].map(|()| Arc::new(TaskMemory::new(&shares, 1, false)))
    }

    #[test]
    fn what_a_task_held_is_counted_apart() {
        let tasks = tasks::<2>(1000, 2);
        let (first, second) = (consumer(&tasks[0], false), consumer(&tasks[0], false));
        let other = consumer(&tasks[1], false);
        first.try_grow(300).unwrap();
        second.try_grow(200).unwrap();
        other.try_grow(400).unwrap();
        assert!(first.try_grow(300).is_err(), "the pool is shared");
        first.shrink(250);
        drop(second);
        first.try_grow(100).unwrap();
        assert_eq!(tasks[1].reserved(), 550);
        drop((first, other));
        assert_eq!(tasks[1].reserved(), 0);
        assert_eq!(tasks.map(|task| task.peak()), [500, 400]);
    }

    #[test]
    fn no_task_takes_what_stands_by_the_slots_of_others() {
        let [first, second] = tasks::<2>(800, 4);
        let (greedy, modest) = (consumer(&first, false), consumer(&second, false));
        // Half of it is common, and a hundred stands by each slot, idle ones too.
        greedy.try_grow(500).unwrap();
        let error = greedy.try_grow(1).unwrap_err().to_string();
        assert!(error.contains("test holds 500.0 B and wants 1.0 B more, where 0.0 B are left"), "{error}");
        modest.try_grow(100).unwrap();
        assert!(modest.try_grow(1).is_err());
        drop(greedy);
        modest.try_grow(400).unwrap();
    }

    #[test]
    fn more_tasks_than_slots_share_what_stands_by_the_slots() {
        let all = tasks::<10>(1000, 1);
        let consumers = all.each_ref().map(|task| consumer(task, false));
        consumers[0].try_grow(550).unwrap();
        assert!(consumers[0].try_grow(1).is_err());
        consumers[1..].iter().for_each(|consumer| consumer.try_grow(50).unwrap());
    }

    #[test]
    fn a_task_in_all_slots_has_all() {
        let shares = Arc::new(Shares::new(900, 3));
        let all = Arc::new(TaskMemory::new(&shares, 3, false));
        let of_none = Arc::new(TaskMemory::new(&shares, 0, false));
        consumer(&all, false).try_grow(900).unwrap();
        let common = consumer(&of_none, false);
        common.try_grow(450).unwrap();
        assert!(common.try_grow(1).is_err(), "what belongs to no task has no promise");
    }

    #[test]
    fn operators_that_spill_have_even_shares() {
        let shares = Arc::new(Shares::new(1000, 1));
        let task = Arc::new(TaskMemory::new(&shares, 1, false));
        let (sort, aggregate, build) = (consumer(&task, true), consumer(&task, true), consumer(&task, false));
        sort.try_grow(500).unwrap();
        assert!(sort.try_grow(1).is_err());
        build.try_grow(400).unwrap();
        aggregate.try_grow(100).unwrap();
        // Together they may have 600, but the first one has not spilled yet.
        assert!(aggregate.try_grow(1).is_err());
        sort.free();
        aggregate.try_grow(200).unwrap();
        assert!(aggregate.try_grow(1).is_err());
    }

    #[test]
    fn a_thrifty_task_leaves_room_for_merges() {
        let shares = Arc::new(Shares::new(900, 1));
        let task = Arc::new(TaskMemory::new(&shares, 1, true));
        let (sort, other, merge) = (consumer(&task, true), consumer(&task, true), consumer(&task, false));
        sort.try_grow(300).unwrap();
        other.try_grow(300).unwrap();
        assert!(sort.try_grow(1).is_err());
        merge.try_grow(150).unwrap();
        assert!(merge.try_grow(76).is_err(), "half of what is left");
        other.grow(400);
        merge.try_grow(0).unwrap();
    }
}
