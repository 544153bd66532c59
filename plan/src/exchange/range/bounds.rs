//! Where one partition ends and the next begins.

use super::super::BlockDecoder;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use bytes::Bytes;
use hearth_core::messages::task::TaskFailure;

/// The first key of each partition but the first, ascending. There may be fewer than partitions: the others stay empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bounds(Vec<Box<[u8]>>);

/// Samples while they arrive.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<(Box<[u8]>, u64)>);

impl Samples {
    /// Adds what one task sampled.
    pub(crate) fn add(&mut self, block: Bytes) -> Result<(), TaskFailure> {
        for batch in BlockDecoder::new(block, None) {
            self.add_batch(&batch?).ok_or_else(|| TaskFailure::Query("a block of a sample that is none".into()))?;
        }
        Ok(())
    }

    fn add_batch(&mut self, batch: &RecordBatch) -> Option<()> {
        let [keys, weights] = batch.columns() else { return None };
        let (keys, weights) = (keys.as_binary_opt::<i32>()?, weights.as_primitive_opt::<UInt64Type>()?);
        if keys.null_count() + weights.null_count() > 0 {
            return None;
        }
        self.0.extend((0..keys.len()).map(|i| (keys.value(i).into(), weights.value(i))));
        Some(())
    }

    /// Bounds between `partitions` partitions that hold about as many rows each, as far as keys allow it.
    pub(crate) fn bounds(mut self, partitions: u32) -> Bounds {
        self.0.sort_unstable();
        let mut left: u128 = self.0.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let (mut parts, mut here, mut bounds) = (u128::from(partitions), 0_u128, Vec::new());
        for same in self.0.chunk_by(|a, b| a.0 == b.0) {
            let weight: u128 = same.iter().map(|(_, weight)| u128::from(*weight)).sum();
            // A key that would make the partition larger than it should be, by more than it would be too small without,
            // begins the next one. What is left is shared anew each time, so that a heavy key has a partition for
            // itself and the others still share the rest evenly.
            if here > 0 && parts > 1 && (2 * here + weight) * parts > 2 * left {
                bounds.push(same[0].0.clone());
                left -= here;
                parts -= 1;
                here = 0;
            }
            here += weight;
        }
        Bounds(bounds)
    }
}

impl Bounds {
    /// The partition of a key.
    pub(super) fn partition_of(&self, key: &[u8]) -> usize {
        self.0.partition_point(|bound| **bound <= *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How heavy each partition becomes, of keys with weights.
    fn shares(keys: &[(u8, u64)], partitions: u32) -> Vec<u64> {
        let samples = Samples(keys.iter().map(|(key, weight)| ([*key].into(), *weight)).collect());
        let bounds = samples.bounds(partitions);
        assert!(bounds.0.is_sorted_by(|a, b| a < b) && bounds.0.len() < partitions as usize);
        let mut shares = vec![0; partitions as usize];
        keys.iter().for_each(|(key, weight)| shares[bounds.partition_of(&[*key])] += weight);
        shares
    }

    #[test]
    fn even_keys_are_shared_evenly() {
        let keys: Vec<_> = (0..100).map(|k| (k, 3)).collect();
        assert_eq!(shares(&keys, 4), [75; 4]);
        assert_eq!(shares(&keys, 1), [300]);
        assert_eq!(shares(&keys, 7).iter().sum::<u64>(), 300);
        assert!(shares(&keys, 7).iter().all(|s| (36..=48).contains(s)), "{:?}", shares(&keys, 7));
    }

    #[test]
    fn a_heavy_key_is_alone_and_the_rest_is_shared() {
        let mut keys: Vec<_> = (0..40).map(|k| (k, 1)).collect();
        keys[20].1 = 1000;
        assert_eq!(shares(&keys, 3), [20, 1000, 19]);
        let shares = shares(&keys, 5);
        assert_eq!(shares.iter().max(), Some(&1000));
    }

    #[test]
    fn few_keys_leave_partitions_empty() {
        assert_eq!(shares(&[(7, 100)], 4), [100, 0, 0, 0]);
        assert_eq!(shares(&[], 4), [0; 4]);
        assert_eq!(shares(&[(1, 5), (2, 5)], 4), [5, 5, 0, 0]);
    }

    #[test]
    fn the_order_of_samples_does_not_matter() {
        let sample = |keys: &[u8]| Samples(keys.iter().map(|k| ([*k].into(), 1)).collect()).bounds(3);
        assert_eq!(sample(&[1, 2, 3, 4, 5, 6]), sample(&[6, 2, 4, 5, 1, 3]));
    }
}
