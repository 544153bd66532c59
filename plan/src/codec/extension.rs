//! The codec for everything that DataFusion cannot encode itself.

use super::{
    Flagged,
    functions::Functions,
    nodes::{self, Kind, Node},
    ordering,
};
use crate::{
    exchange::{ExchangeReaderExec, RangeSampleExec},
    sink::SinkExec,
    tpch::TpchScanExec,
};
use datafusion::{
    common::{DataFusionError, Result, internal_datafusion_err, plan_datafusion_err, plan_err},
    execution::TaskContext,
    logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF},
    physical_expr::PhysicalExpr,
    physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx,
    physical_plan::{ExecutionPlan, recursive_query::RecursiveQueryExec, work_table::WorkTableExec},
};
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension, from_proto, to_proto,
};
use prost::Message;
use std::sync::{Arc, Mutex};

/// Knows our operators, and refuses what executors would not know.
#[derive(Debug, Default)]
pub(super) struct Codec {
    /// The first thing that could not be encoded.
    refused: Mutex<Option<String>>,
}

impl Codec {
    /// The result of an encoding, or what was refused in it: DataFusion would say it with the whole plan, spelled out
    /// field by field.
    pub(super) fn or_refusal<T>(self, encoded: Result<T>) -> Result<T> {
        match self.refused.into_inner() {
            Ok(Some(what)) => Err(DataFusionError::NotImplemented(what)),
            _ => encoded,
        }
    }

    fn refuse(&self, what: String) -> DataFusionError {
        let error = internal_datafusion_err!("{what} is refused");
        if let Ok(mut refused) = self.refused.lock() {
            refused.get_or_insert(what);
        }
        error
    }

    fn known(&self, kind: &str, name: &str, is_known: bool) -> Result<()> {
        if is_known {
            return Ok(());
        }
        Err(self.refuse(format!(
            "running the {kind} {name} on executors, which do not have it (it was registered with this session only; \
             CREATE FUNCTION … RETURN makes functions that run everywhere)"
        )))
    }
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
            Some(Kind::Exchange(exchange)) => Arc::new(nodes::decode_exchange(exchange)?),
            Some(Kind::Tpch(scan)) => Arc::new(TpchScanExec::try_decode(&scan)?),
            Some(Kind::Recursive(recursive)) => Arc::new(nodes::decode_recursive(recursive, inputs)?),
            Some(Kind::WorkTable(table)) => Arc::new(nodes::decode_work_table(table)?),
            Some(Kind::Sample(sample)) => {
                let [input] = inputs else { return plan_err!("a sample of {} inputs", inputs.len()) };
                let context = PhysicalPlanDecodeContext::new(context, self);
                let schema = input.schema();
                let keys = from_proto::parse_physical_sort_exprs(&sample.keys, &context, &schema, converter)?;
                Arc::new(RangeSampleExec::try_new(Arc::clone(input), ordering(keys)?, sample.rows as usize)?)
            }
            Some(Kind::Sink(sink)) => {
                let context = PhysicalPlanDecodeContext::new(context, self);
                Arc::new(nodes::decode_sink(*sink, inputs, |plan| converter.proto_to_execution_plan(plan, &context))?)
            }
            Some(Kind::Nested(_)) => return plan_err!("a nested operator where there can be none"),
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
            Kind::Exchange(nodes::encode_exchange(reader)?)
        } else if let Some(scan) = node.downcast_ref::<TpchScanExec>() {
            Kind::Tpch(scan.encode())
        } else if let Some(query) = node.downcast_ref::<RecursiveQueryExec>() {
            Kind::Recursive(nodes::encode_recursive(query)?)
        } else if let Some(table) = node.downcast_ref::<WorkTableExec>() {
            Kind::WorkTable(nodes::encode_work_table(table)?)
        } else if let Some(sample) = node.downcast_ref::<RangeSampleExec>() {
            let keys = to_proto::serialize_physical_sort_exprs(sample.keys().iter().cloned(), self, converter)?;
            Kind::Sample(nodes::Sample { keys, rows: sample.rows() as u64 })
        } else if let Some(sink) = node.downcast_ref::<SinkExec>() {
            let encode = |plan: &Arc<dyn ExecutionPlan>| converter.execution_plan_to_proto(plan, self);
            Kind::Sink(Box::new(nodes::encode_sink(sink, encode)?))
        } else {
            return Err(self.refuse(format!("running {} on executors", node.name())));
        };
        Node { kind: Some(kind) }.encode(buf).map_err(|e| internal_datafusion_err!("{e}"))
    }

    fn try_encode_expr(&self, node: &Arc<dyn PhysicalExpr>, _: &mut Vec<u8>, _: &PhysicalExprEncodeCtx) -> Result<()> {
        Err(self.refuse(format!("running the expression {node} on executors")))
    }

    fn try_encode_udf(&self, function: &ScalarUDF, _: &mut Vec<u8>) -> Result<()> {
        self.known("function", function.name(), Functions::built_in().has_scalar(function))
    }

    fn try_encode_higher_order_function(&self, function: &HigherOrderUDF, _: &mut Vec<u8>) -> Result<()> {
        self.known("function", function.name(), Functions::built_in().has_higher_order(function))
    }

    fn try_encode_udaf(&self, function: &AggregateUDF, _: &mut Vec<u8>) -> Result<()> {
        self.known("aggregate function", function.name(), Functions::built_in().has_aggregate(function))
    }

    /// The bytes beside the name are flags.
    fn try_decode_udwf(&self, name: &str, buf: &[u8]) -> Result<Arc<WindowUDF>> {
        let inner = Functions::built_in().window.get(name).cloned();
        match inner.and_then(|inner| Flagged::decode(inner, buf)) {
            Some(flagged) => Ok(Arc::new(WindowUDF::new_from_impl(flagged))),
            None => plan_err!("unknown window function {name} in a task's payload"),
        }
    }

    fn try_encode_udwf(&self, function: &WindowUDF, buf: &mut Vec<u8>) -> Result<()> {
        let mut function = function;
        if let Some(flagged) = function.inner().downcast_ref::<Flagged>() {
            flagged.encode(buf);
            function = flagged.inner();
        }
        self.known("window function", function.name(), Functions::built_in().has_window(function))
    }
}
