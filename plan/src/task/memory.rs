//! The executor's memory pool as one task sees it.

use datafusion::{
    common::Result,
    execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Passes everything on to the pool that all tasks share, and keeps count of what this one holds.
#[derive(Debug)]
pub(super) struct TaskMemory {
    shared: Arc<dyn MemoryPool>,
    held: AtomicUsize,
    peak: AtomicUsize,
}

impl TaskMemory {
    pub(super) fn new(shared: &Arc<dyn MemoryPool>) -> Self {
        Self { shared: Arc::clone(shared), held: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// The most bytes that the task held at once so far.
    pub(super) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed) as u64
    }

    fn grew(&self, bytes: usize) {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(held, Ordering::Relaxed);
    }
}

impl fmt::Display for TaskMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of one task", self.shared)
    }
}

impl MemoryPool for TaskMemory {
    fn name(&self) -> &str {
        self.shared.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shared.grow(reservation, additional);
        self.grew(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shared.shrink(reservation, shrink);
        self.held.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.shared.try_grow(reservation, additional)?;
        self.grew(additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.shared.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.shared.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    #[test]
    fn what_a_task_held_is_counted_apart() {
        let shared: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1000));
        let tasks = [TaskMemory::new(&shared), TaskMemory::new(&shared)].map(Arc::new);
        let reserve = |task: &Arc<TaskMemory>| {
            let pool: Arc<dyn MemoryPool> = Arc::<TaskMemory>::clone(task);
            MemoryConsumer::new("test").register(&pool)
        };
        let (first, second) = (reserve(&tasks[0]), reserve(&tasks[0]));
        let other = reserve(&tasks[1]);
        first.try_grow(300).unwrap();
        second.try_grow(200).unwrap();
        other.try_grow(400).unwrap();
        assert!(first.try_grow(300).is_err(), "the pool is shared");
        first.shrink(250);
        drop(second);
        first.try_grow(100).unwrap();
        assert_eq!(shared.reserved(), 550);
        drop((first, other));
        assert_eq!(shared.reserved(), 0);
        assert_eq!(tasks.map(|task| (task.peak(), task.held.load(Ordering::Relaxed))), [(500, 0), (400, 0)]);
    }
}
