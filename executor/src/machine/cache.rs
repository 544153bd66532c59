//! A cache of bounded weight.

use std::collections::BTreeMap;

/// Keeps values up to a weight. The least recently used go first; what is pinned stays, whatever it weighs.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    weight: u64,
    limit: u64,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: u64,
    used: u64,
}

impl<K: Ord + Copy, V> Cache<K, V> {
    pub(super) const fn new(limit: u64) -> Self {
        Self { entries: BTreeMap::new(), weight: 0, limit, clock: 0 }
    }

    pub(super) fn peek(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|e| &e.value)
    }

    /// Counts as a use.
    pub(super) fn get(&mut self, key: &K) -> Option<&V> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(&entry.value)
    }

    /// Replaces what was there. [`Self::trim`] has to follow.
    pub(super) fn insert(&mut self, key: K, value: V, weight: u64) {
        self.remove(&key);
        self.clock += 1;
        self.weight += weight;
        self.entries.insert(key, Entry { value, weight, used: self.clock });
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.weight -= entry.weight;
        }
    }

    /// Drops what has not been used for the longest time until the rest fits.
    pub(super) fn trim(&mut self, pinned: impl Fn(&K) -> bool) {
        while self.weight > self.limit {
            // A scan: a cache of a few dozen entries is over its limit once in a while.
            let victim = self.entries.iter().filter(|(key, _)| !pinned(key)).min_by_key(|(_, e)| e.used);
            let Some(key) = victim.map(|(key, _)| *key) else { return };
            self.remove(&key);
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.weight = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn check(&self, pinned: impl Fn(&K) -> bool) {
        assert_eq!(self.weight, self.entries.values().map(|e| e.weight).sum::<u64>(), "a cache misjudges its weight");
        assert!(
            self.weight <= self.limit || self.entries.keys().all(pinned),
            "a cache of {} over its limit of {} keeps what nobody uses",
            self.weight,
            self.limit
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_goes_first_and_what_is_pinned_stays() {
        let mut cache = Cache::new(10);
        for (key, weight) in [(1, 4), (2, 4), (3, 2)] {
            cache.insert(key, key * 10, weight);
            cache.trim(|_| false);
        }
        assert_eq!(cache.get(&1), Some(&10), "all three fit");
        cache.insert(4, 40, 4);
        cache.trim(|_| false);
        cache.check(|_| false);
        assert_eq!(
            (cache.peek(&1), cache.peek(&2), cache.peek(&3), cache.peek(&4)),
            (Some(&10), None, Some(&30), Some(&40))
        );
        cache.insert(5, 50, 100);
        cache.trim(|key| *key == 5 || *key == 3);
        assert_eq!(
            (cache.peek(&1), cache.peek(&3), cache.peek(&4), cache.peek(&5)),
            (None, Some(&30), None, Some(&50))
        );
        cache.trim(|_| false);
        cache.check(|_| false);
        assert!(cache.is_empty(), "what is over the limit by itself stays only while it is pinned");
    }

    #[test]
    fn a_replaced_value_is_weighed_once() {
        let mut cache = Cache::new(10);
        cache.insert(1, "a", 8);
        cache.insert(1, "b", 6);
        cache.trim(|_| false);
        cache.check(|_| false);
        assert_eq!(cache.get(&1), Some(&"b"));
        cache.remove(&1);
        cache.check(|_| false);
        assert!(cache.is_empty());
    }
}
