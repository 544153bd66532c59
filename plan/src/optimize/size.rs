//! How large things are, by estimate.

use arrow::datatypes::{DataType, Schema};
use datafusion::physical_plan::{ExecutionPlan, StatisticsArgs, StatisticsContext};

/// What a value without a fixed width is taken for: a view of 16 bytes, and as much again of text.
const VARIABLE_WIDTH: usize = 32;

/// About how many bytes a row takes in memory, at least one.
pub(crate) fn row_width(schema: &Schema) -> usize {
    let width = |t: &DataType| t.primitive_width().unwrap_or(VARIABLE_WIDTH);
    schema.fields().iter().map(|f| width(f.data_type())).sum::<usize>().max(1)
}

/// Rows and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// The size of all that a plan gives; nothing when not even the number of rows is known.
pub(crate) fn estimate(plan: &dyn ExecutionPlan) -> Option<Size> {
    // Statistics that cannot be had are statistics that are missing.
    let statistics = StatisticsContext::new().compute(plan, &StatisticsArgs::new()).ok()?;
    let rows = *statistics.num_rows.get_value()?;
    let by_width = rows.saturating_mul(row_width(&plan.schema()));
    // What is known of bytes may be of the file: compressed, or with columns that are not read. The larger figure is the
    // careful one.
    let bytes = statistics.total_byte_size.get_value().map_or(by_width, |bytes| by_width.max(*bytes));
    Some(Size { rows: rows as u64, bytes: bytes as u64 })
}
