//! Our operators as messages.

use crate::exchange::{ExchangeReaderExec, Properties, ReadMode};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::{
    common::{
        Result, internal_datafusion_err, plan_datafusion_err, plan_err,
        tree_node::{Transformed, TreeNode},
    },
    physical_plan::{ExecutionPlan, recursive_query::RecursiveQueryExec, work_table::WorkTableExec},
};
use datafusion_proto::protobuf;
use prost::Message;
use std::sync::Arc;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub(super) kind: Option<Kind>,
}

/// Tags are never used again for another meaning.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Kind {
    #[prost(message, tag = "1")]
    Exchange(Exchange),
    #[prost(bytes, tag = "2")]
    Tpch(Vec<u8>),
    #[prost(message, tag = "3")]
    Recursive(Recursive),
    #[prost(message, tag = "4")]
    WorkTable(WorkTable),
    /// A plan, or an expression, whose place this is.
    #[prost(bytes, tag = "5")]
    Nested(Vec<u8>),
    #[prost(message, tag = "6")]
    Sample(Sample),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Exchange {
    #[prost(uint32, tag = "1")]
    input: u32,
    /// 1 partition, 2 per map, 3 all.
    #[prost(uint32, tag = "2")]
    mode: u32,
    #[prost(uint32, tag = "3")]
    partitions: u32,
    #[prost(message, optional, tag = "4")]
    schema: Option<protobuf::Schema>,
    #[prost(message, optional, tag = "5")]
    known: Option<Properties>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Recursive {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    schema: Option<protobuf::Schema>,
    #[prost(bool, tag = "3")]
    distinct: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WorkTable {
    #[prost(string, tag = "1")]
    name: String,
    /// Only the columns that are read.
    #[prost(message, optional, tag = "2")]
    schema: Option<protobuf::Schema>,
}

/// A sample of sort keys.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(message, repeated, tag = "1")]
    pub(super) keys: Vec<protobuf::PhysicalSortExprNode>,
    /// How many rows at most.
    #[prost(uint64, tag = "2")]
    pub(super) rows: u64,
}

fn message_of(schema: &SchemaRef) -> Result<protobuf::Schema> {
    Ok(schema.as_ref().try_into()?)
}

fn schema_of(schema: Option<protobuf::Schema>) -> Result<SchemaRef> {
    let schema = schema.ok_or_else(|| plan_datafusion_err!("an operator without its schema in a task's payload"))?;
    Ok(Arc::new(Schema::try_from(&schema)?))
}

pub(super) fn encode_exchange(reader: &ExchangeReaderExec) -> Result<Exchange> {
    let mode = match reader.mode() {
        ReadMode::Partition => 1,
        ReadMode::PerMap => 2,
        ReadMode::All => 3,
    };
    Ok(Exchange {
        input: u32::try_from(reader.input()).map_err(|e| internal_datafusion_err!("{e}"))?,
        mode,
        partitions: reader.partitions(),
        schema: Some(message_of(&reader.schema())?),
        known: Some(reader.known().clone()),
    })
}

pub(super) fn decode_exchange(exchange: Exchange) -> Result<ExchangeReaderExec> {
    let mode = match exchange.mode {
        1 => ReadMode::Partition,
        2 => ReadMode::PerMap,
        3 => ReadMode::All,
        other => return plan_err!("unknown mode {other} of an exchange in a task's payload"),
    };
    let schema = schema_of(exchange.schema)?;
    ExchangeReaderExec::try_new(
        exchange.input as usize,
        mode,
        exchange.partitions,
        schema,
        exchange.known.unwrap_or_default(),
    )
}

pub(super) fn encode_work_table(table: &WorkTableExec) -> Result<WorkTable> {
    Ok(WorkTable { name: table.name().to_owned(), schema: Some(message_of(&table.schema())?) })
}

pub(super) fn decode_work_table(table: WorkTable) -> Result<WorkTableExec> {
    WorkTableExec::new(table.name, schema_of(table.schema)?, None)
}

pub(super) fn encode_recursive(query: &RecursiveQueryExec) -> Result<Recursive> {
    let schema = Some(message_of(&ExecutionPlan::schema(query))?);
    Ok(Recursive { name: query.name().to_owned(), schema, distinct: query.is_distinct() })
}

/// Work tables do not tell which columns of the query they project, only which are left. Names do: the columns of a
/// common table expression have different ones.
pub(super) fn decode_recursive(recursive: Recursive, inputs: &[Arc<dyn ExecutionPlan>]) -> Result<RecursiveQueryExec> {
    let [first, step] = inputs else {
        return plan_err!("a recursive query has 2 terms, and {} came in a task's payload", inputs.len());
    };
    let schema = schema_of(recursive.schema)?;
    let step = Arc::clone(step).transform_down(|plan| {
        let Some(table) = plan.downcast_ref::<WorkTableExec>().filter(|t| t.name() == recursive.name) else {
            return Ok(Transformed::no(plan));
        };
        let columns = table.schema().fields().iter().map(|f| schema.index_of(f.name())).collect::<Result<_, _>>()?;
        let whole = WorkTableExec::new(recursive.name.clone(), Arc::clone(&schema), Some(columns))?;
        Ok(Transformed::yes(Arc::new(whole) as Arc<dyn ExecutionPlan>))
    })?;
    RecursiveQueryExec::try_new(recursive.name.clone(), schema, Arc::clone(first), step.data, recursive.distinct)
}
