//! Series of which no column is read, as in `select count(*) from generate_series(1, 9)`.
//!
//! DataFusion encodes a series with the columns that are read of it, and decodes one that gives just those; with none, its
//! batches do not fit its schema. So it is encoded with its column, and a projection onto nothing.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::Result;
use datafusion_proto::protobuf::{
    GenerateSeriesNode, PhysicalPlanNode, ProjectionExecNode, generate_series_node::Args,
    physical_plan_node::PhysicalPlanType,
};

/// The same plan, so that it can be decoded.
pub(super) fn with_its_column(mut node: PhysicalPlanNode) -> Result<PhysicalPlanNode> {
    let Some(PhysicalPlanType::GenerateSeries(series)) = &mut node.physical_plan_type else { return Ok(node) };
    if series.schema.as_ref().is_none_or(|schema| !schema.columns.is_empty()) {
        return Ok(node);
    }
    let column = Field::new("value", type_of(series), false);
    series.schema = Some((&Schema::new(vec![column])).try_into()?);
    let nothing = ProjectionExecNode { input: Some(Box::new(node)), expr: Vec::new(), expr_name: Vec::new() };
    Ok(PhysicalPlanNode { physical_plan_type: Some(PhysicalPlanType::Projection(Box::new(nothing))) })
}

fn type_of(series: &GenerateSeriesNode) -> DataType {
    match &series.args {
        Some(Args::TimestampArgs(args)) => {
            DataType::Timestamp(TimeUnit::Nanosecond, args.tz.as_deref().map(Into::into))
        }
        Some(Args::DateArgs(_)) => DataType::Timestamp(TimeUnit::Nanosecond, None),
        Some(Args::Int64Args(_) | Args::ContainsNull(_)) | None => DataType::Int64,
    }
}
