//! What is to happen, in the order of its time; at the same time in the order in which it was put.

use hearth_core::Now;
use std::{cmp::Reverse, collections::BinaryHeap};

/// A queue. The heap moves small keys only; what is to happen lies still beside it.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<(Now, u64, usize)>>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    count: u64,
}

impl<T> Queue<T> {
    pub(super) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), count: 0 }
    }

    pub(super) fn put(&mut self, at: Now, what: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(what);
        self.count += 1;
        self.heap.push(Reverse((at, self.count, slot)));
    }

    pub(super) fn take(&mut self) -> Option<(Now, T)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        Some((at, self.slots[slot].take().expect("a key has its thing")))
    }
}
