//! Free slots, and who gets the next one.

use hearth_core::ExecutorId;
use std::collections::VecDeque;

/// The executors with free slots, in the order in which they are asked.
#[derive(Debug)]
pub(crate) struct Offers {
    ring: VecDeque<(ExecutorId, u32)>,
}

impl Offers {
    /// Round robin over `free` (in the order of ids), beginning behind the executor that got the last task, so that many
    /// small sets do not all land on the first executor.
    pub(crate) fn new(free: Vec<(ExecutorId, u32)>, last: Option<ExecutorId>) -> Self {
        let mut ring: VecDeque<_> = free.into_iter().filter(|(_, slots)| *slots > 0).collect();
        let behind = ring.iter().take_while(|(id, _)| last.is_some_and(|last| *id <= last)).count();
        ring.rotate_left(behind);
        Self { ring }
    }

    /// The executor for the next task. The one place that decides it: preferences for machines belong here.
    pub(crate) fn take(&mut self) -> Option<ExecutorId> {
        let (executor, slots) = self.ring.pop_front()?;
        if slots > 1 {
            self.ring.push_back((executor, slots - 1));
        }
        Some(executor)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(free: &[(u32, u32)], last: Option<u32>) -> Vec<u32> {
        let free = free.iter().map(|&(id, slots)| (ExecutorId(id), slots)).collect();
        let mut offers = Offers::new(free, last.map(ExecutorId));
        std::iter::from_fn(|| offers.take()).map(|id| id.0).collect()
    }

    #[test]
    fn slots_go_round_from_behind_the_last() {
        assert_eq!(taken(&[(1, 2), (2, 0), (3, 3)], None), [1, 3, 1, 3, 3]);
        assert_eq!(taken(&[(1, 1), (2, 1), (3, 1)], Some(1)), [2, 3, 1]);
        assert_eq!(taken(&[(1, 1), (3, 1)], Some(2)), [3, 1]);
        assert_eq!(taken(&[(1, 1), (2, 1)], Some(9)), [1, 2]);
        assert!(taken(&[], Some(9)).is_empty());
    }
}
