//! Batches that a sort can keep one by one.
//!
//! A sort needs memory for a batch twice, and fails where it has not even that. How large a batch is its writer knew, or nobody:
//! a few thousand rows of long texts are many megabytes.

use crate::leaf::passes_rows_on;
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array},
    compute::take_record_batch,
    datatypes::DataType,
};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, stream::RecordBatchStreamAdapter},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{fmt, sync::Arc};

/// The most bytes of a batch that has more than one row.
const PIECE_BYTES: usize = 512 << 10;

/// Passes rows on, in batches that are not too large.
#[derive(Debug)]
pub(super) struct PiecesExec {
    input: Arc<dyn ExecutionPlan>,
}

impl PiecesExec {
    pub(super) const fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input }
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input))
    }
}

impl DisplayAs for PiecesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PiecesExec")
    }
}

impl ExecutionPlan for PiecesExec {
    fn name(&self) -> &'static str {
        "PiecesExec"
    }

    passes_rows_on!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches = self.input.execute(partition, context)?;
        let pieces = batches.map_ok(|batch| stream::iter(pieces(batch))).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), pieces.boxed())))
    }
}

/// The rows of a batch, copied where that makes batches smaller.
fn pieces(batch: RecordBatch) -> Box<dyn Iterator<Item = Result<RecordBatch>> + Send> {
    let rows = batch.num_rows();
    let count = batch.get_array_memory_size().div_ceil(PIECE_BYTES).min(rows);
    if count <= 1 || batch.num_columns() == 0 {
        return Box::new(std::iter::once(Ok(batch)));
    }
    let each = rows.div_ceil(count);
    Box::new((0..rows).step_by(each).map(move |from| copy(&batch, from, each.min(rows - from))))
}

fn copy(batch: &RecordBatch, from: usize, rows: usize) -> Result<RecordBatch> {
    let chosen = UInt64Array::from_iter_values(from as u64..(from + rows) as u64);
    let copy = take_record_batch(batch, &chosen)?;
    let columns = copy.columns().iter().map(own_buffers).collect();
    Ok(RecordBatch::try_new(copy.schema(), columns)?)
}

/// Views refer to the buffers of the whole batch.
fn own_buffers(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{Int64Array, StringArray, StringViewArray},
        compute::concat_batches,
    };

    #[test]
    fn large_batches_become_small_ones_with_the_same_rows() {
        let text = |n: usize| format!("{n} {}", "x".repeat(1000));
        let views: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..5000).map(text)));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..5000).map(text)));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..5000));
        let batch = RecordBatch::try_from_iter([("v", views), ("t", texts), ("n", numbers)]).unwrap();
        let all: Vec<_> = pieces(batch.clone()).map(Result::unwrap).collect();
        assert!(all.len() > 10, "{}", all.len());
        for piece in &all {
            assert!(piece.get_array_memory_size() < 2 * PIECE_BYTES, "{}", piece.get_array_memory_size());
        }
        assert_eq!(concat_batches(&batch.schema(), &all).unwrap(), batch);
    }

    #[test]
    fn small_batches_and_single_rows_stay() {
        let one: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(4 << 20)]));
        let small: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        for column in [one, small] {
            let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
            let all: Vec<_> = pieces(batch.clone()).map(Result::unwrap).collect();
            assert_eq!(all.len(), 1);
            assert!(Arc::ptr_eq(all[0].column(0), batch.column(0)));
        }
    }
}
