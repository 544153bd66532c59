//! Text in few buffers, where an operator keeps all of it.
//!
//! A view array refers to the buffers that its texts lie in, and an operator that picks rows out of it passes all of them on.
//! A join makes one array of its whole build side, and a sort of all its rows: its buffers are those of all batches together. A join over a
//! join multiplies them, until a batch of a few thousand rows carries hundreds of thousands of references, and copying these
//! takes longer than everything else (TPC-H's query 18 at scale 10 took ten times as long). So batches on their way into such
//! an operator are copied into buffers of their own.

use super::specialise::replace_children;
use crate::leaf::passes_rows_on;
use arrow::{
    array::{Array, ArrayRef, AsArray, GenericByteViewArray, RecordBatch},
    compute::concat,
    datatypes::{ByteViewType, DataType, Schema},
};
use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TreeNode},
    },
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec},
        sorts::sort::SortExec,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, TryChunksError},
};
use std::{fmt, sync::Arc};

/// Buffers of an array that may stay: a scan gives texts of one or two pages, and an exchange those of its batch.
const FEW: usize = 4;
/// An array may keep so many times the bytes that its texts take.
const SLACK: usize = 4;

/// Batches that get one buffer together, where a hash join keeps them. The others count such a buffer for each of its batches.
const TOGETHER: usize = 16;

/// Puts a [`CompactViewsExec`] below each operator that keeps all of its first input.
pub(super) fn kept_inputs(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let compacted = plan.transform_up(|node| {
        let children = node.children();
        let Some(first) = children.first().filter(|first| keeps_first(&node) && has_views(&first.schema())) else {
            return Ok(Transformed::no(node));
        };
        let together = if node.is::<HashJoinExec>() { TOGETHER } else { 1 };
        let compact: Arc<dyn ExecutionPlan> = Arc::new(CompactViewsExec { input: Arc::clone(first), together });
        let others = children[1..].iter().map(|other| Arc::clone(other));
        let children = std::iter::once(compact).chain(others).collect();
        Ok(Transformed::yes(replace_children(&node, children)?))
    });
    Ok(compacted?.data)
}

fn keeps_first(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<HashJoinExec>()
        || node.is::<CrossJoinExec>()
        || node.is::<NestedLoopJoinExec>()
        // The first few rows are copied anyway.
        || node.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_none())
}

fn has_views(schema: &Schema) -> bool {
    schema.fields().iter().any(|f| is_view(f.data_type()))
}

/// Passes rows on, their texts in buffers of their own.
#[derive(Debug)]
struct CompactViewsExec {
    input: Arc<dyn ExecutionPlan>,
    /// Batches that get one buffer together.
    together: usize,
}

impl CompactViewsExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self { input, together: self.together })
    }
}

impl DisplayAs for CompactViewsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompactViewsExec")
    }
}

impl ExecutionPlan for CompactViewsExec {
    fn name(&self) -> &'static str {
        "CompactViewsExec"
    }

    passes_rows_on!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches = self.input.execute(partition, context)?.try_chunks(self.together).map(|batches| match batches {
            Ok(batches) => compact(batches),
            Err(TryChunksError(_, error)) => Err(error),
        });
        let batches = batches.map_ok(|batches| stream::iter(batches).map(Ok)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}

/// The same batches; a column of texts that is scattered in one of them is in one buffer for all of them.
fn compact(mut batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    let Some(first) = batches.first() else { return Ok(batches) };
    let mut columns: Vec<_> = batches.iter().map(|batch| batch.columns().to_vec()).collect();
    let mut changed = false;
    for (place, field) in first.schema().fields().iter().enumerate() {
        if !is_view(field.data_type()) || batches.iter().all(|batch| is_compact(batch.column(place))) {
            continue;
        }
        let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(place).as_ref()).collect();
        let all = concat(&parts)?;
        let all: ArrayRef = match all.data_type() {
            DataType::Utf8View => Arc::new(all.as_string_view().gc()),
            _ => Arc::new(all.as_binary_view().gc()),
        };
        let mut begin = 0;
        for (columns, batch) in columns.iter_mut().zip(&batches) {
            columns[place] = all.slice(begin, batch.num_rows());
            begin += batch.num_rows();
        }
        changed = true;
    }
    if changed {
        for (batch, columns) in batches.iter_mut().zip(columns) {
            *batch = RecordBatch::try_new(batch.schema(), columns)?;
        }
    }
    Ok(batches)
}

const fn is_view(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8View | DataType::BinaryView)
}

fn is_compact(column: &ArrayRef) -> bool {
    fn few<T: ByteViewType + ?Sized>(views: &GenericByteViewArray<T>) -> bool {
        let buffers = views.data_buffers();
        let held: usize = buffers.iter().map(|b| b.len()).sum();
        buffers.is_empty() || buffers.len() <= FEW && held <= SLACK * views.total_buffer_bytes_used()
    }
    match column.data_type() {
        DataType::Utf8View => few(column.as_string_view()),
        _ => few(column.as_binary_view()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{array::StringViewArray, compute::take, datatypes::Field};

    fn batch(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_new(Arc::new(Schema::new(vec![Field::new("s", DataType::Utf8View, true)])), vec![column])
            .unwrap()
    }

    fn buffers(batch: &RecordBatch) -> usize {
        batch.column(0).as_string_view().data_buffers().len()
    }

    fn text(n: usize) -> ArrayRef {
        Arc::new(StringViewArray::from_iter([
            Some(format!("a text of more than twelve bytes {n}")),
            None,
            Some("x".into()),
        ]))
    }

    #[test]
    fn many_buffers_become_one_and_rows_stay() {
        let parts: Vec<_> = (0..100).map(text).collect();
        let all = concat(&parts.iter().map(|p| p.as_ref()).collect::<Vec<_>>()).unwrap();
        let rows = arrow::array::UInt32Array::from(vec![297, 1, 2, 0]);
        let taken = batch(take(&all, &rows, None).unwrap());
        assert_eq!(buffers(&taken), 100);
        // One that is compact by itself goes with it.
        let batches = vec![taken.clone(), batch(text(7)), taken.slice(1, 2)];
        let compacted = compact(batches.clone()).unwrap();
        assert_eq!(compacted, batches);
        assert!(compacted.iter().all(|batch| buffers(batch) == 1));
    }

    #[test]
    fn what_is_compact_is_not_copied() {
        for column in [text(1), Arc::new(StringViewArray::from(vec!["short"; 9])) as ArrayRef] {
            let batch = batch(column);
            assert!(Arc::ptr_eq(compact(vec![batch.clone()]).unwrap()[0].column(0), batch.column(0)));
        }
        // A few rows of a large buffer are.
        let large: ArrayRef = Arc::new(StringViewArray::from_iter_values(
            (0..1000).map(|n| format!("a text of more than twelve bytes {n}")),
        ));
        let few = batch(large.slice(0, 2));
        let compacted = compact(vec![few.clone()]).unwrap().remove(0);
        assert_eq!(compacted, few);
        assert!(compacted.get_array_memory_size() < few.get_array_memory_size() / 10);
    }
}
