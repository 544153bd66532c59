//! Free slots, and who gets the next ones.
//!
//! Task sets are served in order, and what does not fit now is waited for: the executor that is nearest to having room is
//! [reserved](Offers::reserve), so that narrow tasks of later sets cannot keep a wide one out for ever.

use crate::machine::executors::Free;
use hearth_core::ExecutorId;
use std::collections::VecDeque;

/// The executors, in the order in which they are asked.
#[derive(Clone, Debug)]
pub(crate) struct Offers {
    ring: VecDeque<Free>,
}

impl Offers {
    /// Round robin over `free` (in the order of ids), beginning behind the executor that got the last task, so that many
    /// small sets do not all land on the first executor.
    pub(crate) fn new(free: Vec<Free>, last: Option<ExecutorId>) -> Self {
        let mut ring = VecDeque::from(free);
        let behind = ring.iter().take_while(|free| last.is_some_and(|last| free.executor <= last)).count();
        ring.rotate_left(behind);
        Self { ring }
    }

    /// The executor for the next task, which takes so many slots. The one place that decides it: preferences for machines
    /// belong here.
    pub(crate) fn take(&mut self, slots: u32, suits: impl Fn(ExecutorId) -> bool) -> Option<ExecutorId> {
        let place = self.ring.iter().position(|free| free.slots >= slots && suits(free.executor))?;
        let mut free = self.ring.remove(place)?;
        free.slots -= slots;
        self.ring.push_back(free);
        Some(free.executor)
    }

    /// A task of so many slots fits nowhere that suits it: keeps the rest away from the executor where it will fit first. It is that with
    /// the most free slots, which nobody but tasks before this one takes away from it: so it only comes nearer.
    pub(crate) fn reserve(&mut self, slots: u32, suits: impl Fn(ExecutorId) -> bool) {
        let fits = self.ring.iter().enumerate().filter(|(_, free)| free.cores >= slots && suits(free.executor));
        let best = fits.max_by_key(|(_, free)| (free.slots, std::cmp::Reverse(free.executor)));
        if let Some((place, _)) = best {
            self.ring.remove(place);
        }
    }

    /// Whether nothing is free.
    pub(crate) fn is_empty(&self) -> bool {
        self.ring.iter().all(|free| free.slots == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Executors as (id, cores, free slots).
    fn offers(free: &[(u32, u32, u32)], last: Option<u32>) -> Offers {
        let free = free.iter().map(|&(id, cores, slots)| Free { executor: ExecutorId(id), cores, slots });
        Offers::new(free.collect(), last.map(ExecutorId))
    }

    fn taken(free: &[(u32, u32)], last: Option<u32>) -> Vec<u32> {
        let free: Vec<_> = free.iter().map(|&(id, slots)| (id, 8, slots)).collect();
        let mut offers = offers(&free, last);
        let taken = std::iter::from_fn(|| offers.take(1, |_| true)).map(|id| id.0).collect();
        assert!(offers.is_empty());
        taken
    }

    #[test]
    fn slots_go_round_from_behind_the_last() {
        assert_eq!(taken(&[(1, 2), (2, 0), (3, 3)], None), [1, 3, 1, 3, 3]);
        assert_eq!(taken(&[(1, 1), (2, 1), (3, 1)], Some(1)), [2, 3, 1]);
        assert_eq!(taken(&[(1, 1), (3, 1)], Some(2)), [3, 1]);
        assert_eq!(taken(&[(1, 1), (2, 1)], Some(9)), [1, 2]);
        assert!(taken(&[], Some(9)).is_empty());
    }

    #[test]
    fn a_wide_task_takes_all_its_slots_from_one_executor() {
        let mut all = offers(&[(1, 2, 1), (2, 4, 3), (3, 4, 4)], None);
        assert_eq!(all.take(3, |_| true), Some(ExecutorId(2)));
        assert_eq!(all.take(3, |_| true), Some(ExecutorId(3)));
        assert_eq!(all.take(2, |_| true), None, "one each is left");
        assert_eq!(all.take(1, |_| true), Some(ExecutorId(1)));
    }

    #[test]
    fn what_a_wide_task_waits_for_is_kept_from_others() {
        let mut all = offers(&[(1, 2, 2), (2, 4, 1), (3, 4, 3)], None);
        assert_eq!(all.take(4, |_| true), None);
        all.reserve(4, |_| true);
        assert_eq!(std::iter::from_fn(|| all.take(1, |_| true)).map(|id| id.0).collect::<Vec<_>>(), [1, 2, 1]);
        all.reserve(9, |_| true);
        assert!(all.is_empty(), "what fits nowhere reserves nothing, and costs nobody anything");
    }
}
