//! Which reduce partition each row goes to.

use crate::exchange::RangeRouter;
use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
};
use datafusion::{common::Result, physical_plan::repartition::BatchPartitioner};

/// Routes the rows of one task.
pub(super) enum Router {
    /// All to the only one.
    One,
    /// DataFusion's own, with its own seed: operators that look into the hash agree with it.
    Hash(BatchPartitioner),
    /// Row by row in turn. (DataFusion deals batch by batch, and so by how rows happened to be cut into batches: a task
    /// that runs again would deal otherwise.)
    RoundRobin {
        /// The partition of the next row.
        next: u32,
        /// How many there are.
        partitions: u32,
    },
    /// By sampled bounds.
    Range(RangeRouter),
}

impl Router {
    /// Gives each partition its rows, in their order.
    pub(super) fn route(
        &mut self,
        batch: RecordBatch,
        mut give: impl FnMut(usize, RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let chosen: Vec<u32> = match self {
            Self::One => return give(0, batch),
            Self::Hash(partitioner) => return partitioner.partition(batch, give),
            Self::RoundRobin { next, partitions } => (0..batch.num_rows())
                .map(|_| {
                    let chosen = *next;
                    *next = (chosen + 1) % *partitions;
                    chosen
                })
                .collect(),
            Self::Range(router) => router.partitions(&batch)?,
        };
        split(&batch, &chosen)?.into_iter().try_for_each(|(partition, rows)| give(partition as usize, rows))
    }
}

/// The rows of each partition that has any.
fn split(batch: &RecordBatch, chosen: &[u32]) -> Result<Vec<(u32, RecordBatch)>> {
    // Of a batch's rows, of which there are fewer than 4 billion.
    let mut order: Vec<u32> = (0..chosen.len() as u32).collect();
    order.sort_by_key(|row| chosen[*row as usize]);
    let order = UInt32Array::from(order);
    // One copy of all rows; what each partition gets is a slice of it.
    let together = match batch.num_columns() {
        // Rows without columns are all alike.
        0 => batch.clone(),
        _ => take_record_batch(batch, &order)?,
    };
    let mut from = 0;
    let groups = order.values().chunk_by(|a, b| chosen[*a as usize] == chosen[*b as usize]);
    let slice = |group: &[u32]| {
        let rows = together.slice(from, group.len());
        from += group.len();
        (chosen[group[0] as usize], rows)
    };
    Ok(groups.map(slice).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{AsArray, Int32Array, RecordBatchOptions},
        datatypes::{Int32Type, Schema},
    };
    use std::sync::Arc;

    fn routed(router: &mut Router, batches: &[Vec<i32>]) -> Vec<Vec<i32>> {
        let mut all = vec![Vec::new(); 3];
        for rows in batches {
            let batch = RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(rows.clone())) as _)]).unwrap();
            let give = |partition: usize, rows: RecordBatch| {
                all[partition].extend(rows.column(0).as_primitive::<Int32Type>().values());
                Ok(())
            };
            router.route(batch, give).unwrap();
        }
        all
    }

    #[test]
    fn rows_are_dealt_in_turn_however_they_are_cut_into_batches() {
        let deal = |batches: &[Vec<i32>]| routed(&mut Router::RoundRobin { next: 1, partitions: 3 }, batches);
        let dealt = deal(&[vec![0, 1, 2, 3, 4, 5, 6]]);
        assert_eq!(dealt, [vec![2, 5], vec![0, 3, 6], vec![1, 4]]);
        assert_eq!(deal(&[vec![0, 1], vec![], vec![2, 3, 4], vec![5, 6]]), dealt);
    }

    #[test]
    fn rows_without_columns_are_rows() {
        let options = RecordBatchOptions::new().with_row_count(Some(5));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        let mut counts = [0; 3];
        let give = |partition: usize, rows: RecordBatch| {
            counts[partition] += rows.num_rows();
            Ok(())
        };
        Router::RoundRobin { next: 0, partitions: 3 }.route(batch, give).unwrap();
        assert_eq!(counts, [2, 2, 1]);
    }
}
