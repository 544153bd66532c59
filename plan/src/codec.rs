//! The operators that DataFusion's own plan serialisation does not know, as bytes.
//!
//! One codec knows them all: DataFusion can also compose several, but what it composes forwards too little.

use crate::{
    exchange::{ExchangeReaderExec, Properties, ReadMode},
    sink::{SinkExec, Spec, Writer},
    tpch::TpchScanExec,
};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::{
    common::{
        DataFusionError, Result, internal_datafusion_err, internal_err, plan_datafusion_err, plan_err,
        tree_node::{Transformed, TreeNode},
    },
    execution::TaskContext,
    physical_plan::{ExecutionPlan, recursive_query::RecursiveQueryExec, work_table::WorkTableExec},
};
use datafusion_proto::{
    physical_plan::{
        DeduplicatingProtoConverter, PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
    },
    protobuf::{self, PhysicalPlanNode},
};
use prost::Message;
use std::sync::{Arc, Mutex};

/// A plan as a message. The converter gives shared expressions one identity, so that they are shared again when decoded.
pub(crate) fn encode(plan: &Arc<dyn ExecutionPlan>) -> Result<PhysicalPlanNode> {
    let codec = Codec::default();
    let encoded = DeduplicatingProtoConverter::default().execution_plan_to_proto(plan, &codec);
    // DataFusion would say it with the whole plan, spelled out field by field.
    match codec.refused.into_inner() {
        Ok(Some(name)) => Err(DataFusionError::NotImplemented(format!("running {name} on executors"))),
        _ => encoded,
    }
}

/// A fresh plan of a message.
pub(crate) fn decode(plan: &PhysicalPlanNode, context: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
    let codec = Codec::default();
    let context = PhysicalPlanDecodeContext::new(context, &codec);
    DeduplicatingProtoConverter::default().proto_to_execution_plan(plan, &context)
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
    kind: Option<Kind>,
}

/// Tags are never used again for another meaning.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Exchange(Exchange),
    #[prost(bytes, tag = "2")]
    Tpch(Vec<u8>),
    #[prost(message, tag = "3")]
    Recursive(Recursive),
    #[prost(message, tag = "4")]
    WorkTable(WorkTable),
    #[prost(message, tag = "5")]
    Sink(Box<Sink>),
}

#[derive(Clone, PartialEq, Message)]
struct Exchange {
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
struct Recursive {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    schema: Option<protobuf::Schema>,
    #[prost(bool, tag = "3")]
    distinct: bool,
}

#[derive(Clone, PartialEq, Message)]
struct WorkTable {
    #[prost(string, tag = "1")]
    name: String,
    /// Only the columns that are read.
    #[prost(message, optional, tag = "2")]
    schema: Option<protobuf::Schema>,
}

#[derive(Clone, PartialEq, Message)]
struct Sink {
    #[prost(message, optional, tag = "1")]
    spec: Option<Spec>,
    #[prost(uint32, tag = "2")]
    first: u32,
    /// The columns that it writes.
    #[prost(message, optional, tag = "7")]
    schema: Option<protobuf::Schema>,
    #[prost(oneof = "Writer", tags = "3, 4, 5, 6")]
    writer: Option<Writer>,
}

/// The codec for everything that DataFusion cannot encode itself.
#[derive(Debug, Default)]
struct Codec {
    /// The first operator that could not be encoded.
    refused: Mutex<Option<String>>,
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let node =
            Node::decode(buf).map_err(|e| plan_datafusion_err!("malformed operator in a task's payload: {e}"))?;
        Ok(match node.kind {
            Some(Kind::Exchange(exchange)) => Arc::new(decode_exchange(exchange)?),
            Some(Kind::Tpch(scan)) => Arc::new(TpchScanExec::try_decode(&scan)?),
            Some(Kind::Recursive(recursive)) => Arc::new(decode_recursive(recursive, inputs)?),
            Some(Kind::WorkTable(table)) => Arc::new(WorkTableExec::new(table.name, schema_of(table.schema)?, None)?),
            Some(Kind::Sink(sink)) => {
                let context = PhysicalPlanDecodeContext::new(context, self);
                let decode = |plan: &PhysicalPlanNode| converter.proto_to_execution_plan(plan, &context);
                Arc::new(decode_sink(*sink, inputs, decode)?)
            }
            None => return plan_err!("unknown operator in a task's payload; driver and executor differ in version"),
        })
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let kind = if let Some(reader) = node.downcast_ref::<ExchangeReaderExec>() {
            Kind::Exchange(encode_exchange(reader)?)
        } else if let Some(scan) = node.downcast_ref::<TpchScanExec>() {
            Kind::Tpch(scan.encode())
        } else if let Some(query) = node.downcast_ref::<RecursiveQueryExec>() {
            let schema = Some(message_of(&ExecutionPlan::schema(query))?);
            Kind::Recursive(Recursive { name: query.name().to_owned(), schema, distinct: query.is_distinct() })
        } else if let Some(table) = node.downcast_ref::<WorkTableExec>() {
            Kind::WorkTable(WorkTable { name: table.name().to_owned(), schema: Some(message_of(&table.schema())?) })
        } else if let Some(sink) = node.downcast_ref::<SinkExec>() {
            Kind::Sink(Box::new(encode_sink(sink, |plan| converter.execution_plan_to_proto(plan, self))?))
        } else {
            if let Ok(mut refused) = self.refused.lock() {
                refused.get_or_insert_with(|| node.name().to_owned());
            }
            return internal_err!("{} cannot be encoded", node.name());
        };
        Node { kind: Some(kind) }.encode(buf).map_err(|e| internal_datafusion_err!("{e}"))
    }
}

fn message_of(schema: &SchemaRef) -> Result<protobuf::Schema> {
    Ok(schema.as_ref().try_into()?)
}

fn schema_of(schema: Option<protobuf::Schema>) -> Result<SchemaRef> {
    let schema = schema.ok_or_else(|| plan_datafusion_err!("an operator without its schema in a task's payload"))?;
    Ok(Arc::new(Schema::try_from(&schema)?))
}

fn encode_exchange(reader: &ExchangeReaderExec) -> Result<Exchange> {
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

fn decode_exchange(exchange: Exchange) -> Result<ExchangeReaderExec> {
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

fn encode_sink(
    sink: &SinkExec,
    encode: impl FnOnce(&Arc<dyn ExecutionPlan>) -> Result<PhysicalPlanNode>,
) -> Result<Sink> {
    let first = u32::try_from(sink.first()).map_err(|e| internal_datafusion_err!("{e}"))?;
    let spec = Some(Spec::clone(sink.spec()));
    let schema = Some(message_of(&sink.columns()?)?);
    Ok(Sink { spec, first, schema, writer: Some(sink.encode_writer(encode)?) })
}

fn decode_sink(
    sink: Sink,
    inputs: &[Arc<dyn ExecutionPlan>],
    decode: impl FnOnce(&PhysicalPlanNode) -> Result<Arc<dyn ExecutionPlan>>,
) -> Result<SinkExec> {
    let [input] = inputs else {
        return plan_err!("a sink has one input, and {} came in a task's payload", inputs.len());
    };
    let spec = sink.spec.ok_or_else(|| plan_datafusion_err!("a sink that does not say where in a task's payload"))?;
    let writer = sink.writer.ok_or_else(|| plan_datafusion_err!("a sink without its format in a task's payload"))?;
    let made = writer.sink(&schema_of(sink.schema)?, &spec, decode)?;
    SinkExec::try_new(Arc::clone(input), (made, Some(writer)), Arc::new(spec), sink.first as usize)
}

/// Work tables do not tell which columns of the query they project, only which are left. Names do: the columns of a
/// common table expression have different ones.
fn decode_recursive(recursive: Recursive, inputs: &[Arc<dyn ExecutionPlan>]) -> Result<RecursiveQueryExec> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};
    use datafusion::physical_plan::{coalesce_partitions::CoalescePartitionsExec, streaming::StreamingTableExec};

    #[test]
    fn an_operator_that_cannot_travel_is_named() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let streaming = StreamingTableExec::try_new(schema, vec![], None, [], false, None).unwrap();
        let plan: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(Arc::new(streaming)));
        let error = encode(&plan).unwrap_err();
        let DataFusionError::NotImplemented(message) = &error else { panic!("{error:?}") };
        assert_eq!(message, "running StreamingTableExec on executors");
    }

    #[test]
    fn what_is_known_of_an_exchange_travels_with_it() {
        use crate::exchange::{Equal, Key, Ordering};
        let field = |name| Field::new(name, DataType::Int64, true);
        let schema = Arc::new(Schema::new(vec![field("a"), field("b"), field("c")]));
        let known = Properties {
            orderings: vec![Ordering { keys: vec![Key { column: 2, descending: true, nulls_first: false }] }],
            equal: vec![Equal { columns: vec![0, 2] }],
            constant: vec![1],
        };
        let reader = ExchangeReaderExec::try_new(3, ReadMode::PerMap, 7, schema, known).unwrap();
        let plan: Arc<dyn ExecutionPlan> = Arc::new(reader.clone());
        let again = decode(&encode(&plan).unwrap(), &TaskContext::default()).unwrap();
        let again = again.downcast_ref::<ExchangeReaderExec>().unwrap();
        assert_eq!((again.input(), again.mode(), again.partitions()), (3, ReadMode::PerMap, 7));
        assert_eq!((again.known(), again.schema()), (reader.known(), reader.schema()));
        let of_plan = Properties::of(&again.properties().eq_properties);
        assert_eq!(Properties::of(&reader.properties().eq_properties), of_plan);
        assert_eq!((of_plan.orderings.len(), of_plan.equal.len(), of_plan.constant), (1, 1, vec![1]));
    }

    #[test]
    fn a_place_outside_of_the_schema_is_an_error() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let known = Properties { constant: vec![1], ..Properties::default() };
        assert!(ExchangeReaderExec::try_new(0, ReadMode::All, 1, schema, known).is_err());
    }
}
