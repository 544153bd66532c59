//! The operators that DataFusion's own plan serialisation does not know, as bytes.
//!
//! | module | what |
//! |---|---|
//! | [`nodes`] | our operators as messages |
//! | [`extension`] | the codec that knows them all; DataFusion can also compose several, but forwards too little to them |
//! | [`nest`] | deep plans as messages that are nowhere deep |
//! | [`series`] | what DataFusion encodes so that it cannot be decoded |
//! | [`flagged`] | window functions with what would be lost of them |
//! | [`functions`] | which functions executors know by name |

mod extension;
mod flagged;
mod functions;
mod nest;
mod nodes;
mod series;

pub(crate) use flagged::Flagged;
pub(crate) use functions::Functions;

use datafusion::{
    common::{DataFusionError, Result},
    execution::TaskContext,
    physical_expr::{LexOrdering, PhysicalSortExpr},
    physical_plan::ExecutionPlan,
};
use datafusion_proto::{
    physical_plan::{PhysicalPlanDecodeContext, PhysicalProtoConverterExtension, from_proto, to_proto},
    protobuf::{PhysicalPlanNode, PhysicalSortExprNode},
};
use extension::Codec;
use std::sync::Arc;

/// A plan as a message.
pub(crate) fn encode(plan: &Arc<dyn ExecutionPlan>) -> Result<PhysicalPlanNode> {
    flagged::refuse_reversed_aggregates(plan)?;
    let codec = Codec::default();
    let encoded = nest::Encoder::default().execution_plan_to_proto(plan, &codec);
    codec.or_refusal(encoded)
}

/// A fresh plan of a message.
pub(crate) fn decode(plan: &PhysicalPlanNode, context: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
    let codec = Codec::default();
    let context = PhysicalPlanDecodeContext::new(context, &codec);
    nest::Decoder::default().proto_to_execution_plan(plan, &context)
}

/// The keys of an ordering as messages.
pub(crate) fn encode_keys(keys: &LexOrdering) -> Result<Vec<PhysicalSortExprNode>> {
    let codec = Codec::default();
    let encoder = nest::Encoder::default();
    let encoded = to_proto::serialize_physical_sort_exprs(keys.iter().cloned(), &codec, &encoder);
    codec.or_refusal(encoded)
}

/// An ordering of messages, over the columns of `schema`.
pub(crate) fn decode_keys(
    keys: &[PhysicalSortExprNode],
    schema: &arrow::datatypes::Schema,
    context: &TaskContext,
) -> Result<LexOrdering> {
    let codec = Codec::default();
    let context = PhysicalPlanDecodeContext::new(context, &codec);
    let keys = from_proto::parse_physical_sort_exprs(keys, &context, schema, &nest::Decoder::default())?;
    ordering(keys)
}

fn ordering(keys: Vec<PhysicalSortExpr>) -> Result<LexOrdering> {
    LexOrdering::new(keys).ok_or_else(|| DataFusionError::Plan("an ordering without keys in a task's payload".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{ExchangeReaderExec, Properties, ReadMode};
    use arrow::datatypes::{DataType, Field, Schema};
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
