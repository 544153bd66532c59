//! Which rows a task gave, in one number that does not depend on their order.
//!
//! An attempt that gives other rows than the one before gives another number, and so does one that gives the same rows to
//! other blocks. Rows are hashed, and the hashes of a block are summed up.

use arrow::array::RecordBatch;
use datafusion::common::{
    Result,
    hash_utils::{RandomState, create_hashes},
};

/// A seed of its own: rows of one block agree in the hash by which they were dealt.
const SEED: u64 = 0x6a09_e667_f3bc_c908;

/// The sum of the hashes of the rows of each block, and their number.
#[derive(Debug)]
pub(super) struct Checksum {
    blocks: Vec<(u64, u64)>,
    hashes: Vec<u64>,
}

impl Checksum {
    pub(super) fn new(blocks: u32) -> Self {
        Self { blocks: vec![(0, 0); blocks as usize], hashes: Vec::new() }
    }

    /// Counts rows of one block. Fails where they have a type that cannot be hashed.
    pub(super) fn add(&mut self, block: usize, rows: &RecordBatch) -> Result<()> {
        let (sum, count) = &mut self.blocks[block];
        *count += rows.num_rows() as u64;
        self.hashes.clear();
        self.hashes.resize(rows.num_rows(), 0);
        if rows.num_columns() > 0 {
            create_hashes(rows.columns(), &RandomState::with_seed(SEED), &mut self.hashes)?;
        }
        // Hashes of hashes: those of two columns are combined in a way that keeps some structure.
        *sum = self.hashes.iter().fold(*sum, |sum, hash| sum.wrapping_add(mix(*hash)));
        Ok(())
    }

    pub(super) fn finish(&self) -> u64 {
        let block = |all: u64, (sum, count): &(u64, u64)| mix(mix(all.wrapping_add(*sum)).wrapping_add(*count));
        self.blocks.iter().fold(SEED, block)
    }
}

/// The finalizer of SplitMix64: every bit of the input counts for every bit of the output.
const fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, RecordBatchOptions, StringArray};
    use arrow::datatypes::Schema;
    use std::sync::Arc;

    fn rows(rows: &[(i64, &str)]) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(rows.iter().map(|row| row.0));
        let texts = StringArray::from_iter_values(rows.iter().map(|row| row.1));
        RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("t", Arc::new(texts) as _)]).unwrap()
    }

    fn of(blocks: &[&[&[(i64, &str)]]]) -> u64 {
        let mut checksum = Checksum::new(u32::try_from(blocks.len()).unwrap());
        for (block, batches) in blocks.iter().enumerate() {
            batches.iter().for_each(|batch| checksum.add(block, &rows(batch)).unwrap());
        }
        checksum.finish()
    }

    #[test]
    fn order_and_batches_do_not_count() {
        let once = of(&[&[&[(1, "a"), (2, "b"), (3, "c")]], &[&[(4, "d")]]]);
        assert_eq!(of(&[&[&[(3, "c")], &[(1, "a"), (2, "b")]], &[&[], &[(4, "d")]]]), once);
    }

    #[test]
    fn rows_blocks_and_repetitions_count() {
        let all: [u64; 7] = [
            of(&[&[&[(1, "a"), (2, "b")]], &[&[]]]),
            of(&[&[&[(1, "b"), (2, "a")]], &[&[]]]),
            of(&[&[&[(1, "a")]], &[&[(2, "b")]]]),
            of(&[&[&[]], &[&[(1, "a"), (2, "b")]]]),
            of(&[&[&[(1, "a"), (2, "b"), (2, "b")]], &[&[]]]),
            of(&[&[&[(1, "a"), (1, "a"), (2, "b")]], &[&[]]]),
            of(&[&[&[]], &[&[]]]),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let rows = |count| {
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap()
        };
        let of = |count| {
            let mut checksum = Checksum::new(1);
            checksum.add(0, &rows(count)).unwrap();
            checksum.finish()
        };
        assert_ne!(of(5), of(6));
        assert_eq!(of(5), of(5));
    }
}
