//! Rows to the partitions of their keys.

use super::{Bounds, Keys};
use arrow::array::RecordBatch;
use datafusion::common::Result;

/// Routes rows by bounds.
#[derive(Debug)]
pub(crate) struct RangeRouter {
    keys: Keys,
    bounds: Bounds,
}

impl RangeRouter {
    pub(crate) const fn new(keys: Keys, bounds: Bounds) -> Self {
        Self { keys, bounds }
    }

    /// The partition of each row.
    pub(crate) fn partitions(&self, batch: &RecordBatch) -> Result<Vec<u32>> {
        let rows = self.keys.rows(&self.keys.columns(batch)?)?;
        // No more bounds than partitions, which are counted in a u32.
        Ok(rows.iter().map(|key| self.bounds.partition_of(key.as_ref()) as u32).collect())
    }
}
