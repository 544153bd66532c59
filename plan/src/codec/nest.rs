//! Deep plans as messages that are nowhere deep.
//!
//! prost decodes at most 100 messages inside of one another, and each operator or expression is two or three. So every
//! few levels what is below travels as bytes inside of a marker, and is decoded with a fresh count. (prost can also be
//! built without its limit. Then any message from any peer could nest until the stack is gone.)
//!
//! ```text
//! Join( Filter( … 8 levels … Marker( bytes of: Join( Filter( … 8 levels … Marker( … ) ) ) ) ) )
//! ```
//!
//! What is decoded is bounded by [`depth::MAX_PHYSICAL`] levels in all, expressions included, and stacks grow as needed.

use super::{
    nodes::{Kind, Node},
    series,
};
use crate::depth;
use arrow::datatypes::Schema;
use datafusion::{
    common::{Result, internal_datafusion_err, plan_datafusion_err, plan_err},
    physical_expr::PhysicalExpr,
    physical_plan::ExecutionPlan,
};
use datafusion_proto::{
    physical_plan::{
        PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalPlanNodeExt, PhysicalProtoConverterExtension,
        from_proto::parse_physical_expr_with_converter, to_proto::serialize_physical_expr_with_converter,
    },
    protobuf::{
        PhysicalExprNode, PhysicalExtensionExprNode, PhysicalExtensionNode, PhysicalPlanNode,
        physical_expr_node::ExprType, physical_plan_node::PhysicalPlanType,
    },
};
use prost::Message;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
};

/// Operators inside of one another until the next marker, and expressions likewise. An operator is 2 messages, an
/// expression at most 3 (CASE): 40 in all, which leaves 60 for types and values that are nested themselves.
const LEVELS: usize = 8;
/// What one level of encoding or decoding may take of the stack, and how much more there is when that is not left.
const STACK_LEFT: usize = 256 << 10;
const STACK_MORE: usize = 4 << 20;

/// Counts levels, and goes down by one for the time of a call.
#[derive(Default)]
struct Depth(Cell<usize>);

impl Depth {
    /// Calls `inside` with the number of levels around it.
    fn deeper<T>(&self, inside: impl FnOnce(usize) -> Result<T>) -> Result<T> {
        let around = self.0.get();
        if around >= depth::MAX_PHYSICAL {
            let limit = depth::MAX_PHYSICAL;
            return plan_err!("a plan nested too deeply in a task's payload: more than {limit} levels");
        }
        self.0.set(around + 1);
        let done = stacker::maybe_grow(STACK_LEFT, STACK_MORE, || inside(around));
        self.0.set(around);
        done
    }
}

const fn is_marked(around: usize) -> bool {
    around > 0 && around.is_multiple_of(LEVELS)
}

fn marker(bytes: Vec<u8>) -> Vec<u8> {
    Node { kind: Some(Kind::Nested(bytes)) }.encode_to_vec()
}

/// What the marker holds, or the markers inside of one another; None for other extensions.
fn marked<T: Message + Default>(extension: &[u8], inside: impl Fn(&T) -> Option<&[u8]>) -> Result<Option<T>> {
    let mut found = None::<T>;
    loop {
        let extension = match &found {
            None => extension,
            Some(node) => match inside(node) {
                Some(extension) => extension,
                None => return Ok(found),
            },
        };
        match Node::decode(extension).map_err(|e| malformed(&e))?.kind {
            Some(Kind::Nested(bytes)) => found = Some(T::decode(bytes.as_slice()).map_err(|e| malformed(&e))?),
            _ => return Ok(found),
        }
    }
}

fn plan_extension(node: &PhysicalPlanNode) -> Option<&[u8]> {
    match &node.physical_plan_type {
        Some(PhysicalPlanType::Extension(extension)) => Some(&extension.node),
        _ => None,
    }
}

fn expr_extension(node: &PhysicalExprNode) -> Option<&[u8]> {
    match &node.expr_type {
        Some(ExprType::Extension(extension)) => Some(&extension.expr),
        _ => None,
    }
}

fn malformed(error: &prost::DecodeError) -> datafusion::common::DataFusionError {
    plan_datafusion_err!("malformed operator in a task's payload: {error}")
}

fn one_way() -> datafusion::common::DataFusionError {
    internal_datafusion_err!("a plan is either encoded or decoded")
}

/// Encodes one plan.
#[derive(Default)]
pub(super) struct Encoder {
    plans: Depth,
    exprs: Depth,
}

impl PhysicalProtoConverterExtension for Encoder {
    fn execution_plan_to_proto(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> Result<PhysicalPlanNode> {
        self.plans.deeper(|around| {
            let node = PhysicalPlanNode::try_from_physical_plan_with_converter(Arc::clone(plan), codec, self)?;
            let node = series::with_its_column(node)?;
            if !is_marked(around) {
                return Ok(node);
            }
            let extension = PhysicalExtensionNode { node: marker(node.encode_to_vec()), inputs: Vec::new() };
            Ok(PhysicalPlanNode { physical_plan_type: Some(PhysicalPlanType::Extension(extension)) })
        })
    }

    fn physical_expr_to_proto(
        &self,
        expr: &Arc<dyn PhysicalExpr>,
        codec: &dyn PhysicalExtensionCodec,
    ) -> Result<PhysicalExprNode> {
        self.exprs.deeper(|around| {
            let node = serialize_physical_expr_with_converter(expr, codec, self)?;
            if !is_marked(around) {
                return Ok(node);
            }
            let extension = PhysicalExtensionExprNode { expr: marker(node.encode_to_vec()), inputs: Vec::new() };
            Ok(PhysicalExprNode { expr_id: None, expr_type: Some(ExprType::Extension(extension)) })
        })
    }

    fn proto_to_execution_plan(
        &self,
        _: &PhysicalPlanNode,
        _: &PhysicalPlanDecodeContext<'_>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(one_way())
    }

    fn proto_to_physical_expr(
        &self,
        _: &PhysicalExprNode,
        _: &Schema,
        _: &PhysicalPlanDecodeContext<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Err(one_way())
    }
}

/// Decodes one plan. Expressions that were one when they were encoded are one again: a filter that a join fills and a scan
/// reads must not become two.
#[derive(Default)]
pub(super) struct Decoder {
    depth: Depth,
    shared: RefCell<HashMap<u64, Arc<dyn PhysicalExpr>>>,
}

impl Decoder {
    fn share(&self, id: u64, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let first = self.shared.borrow_mut().entry(id).or_insert_with(|| Arc::clone(&expr)).clone();
        if Arc::ptr_eq(&first, &expr) {
            return Ok(expr);
        }
        // Not simply the first: its columns may be others where it occurs again. Its state is the same.
        let children = expr.children().into_iter().cloned().collect();
        first.with_new_children(children)
    }
}

impl PhysicalProtoConverterExtension for Decoder {
    fn proto_to_execution_plan(
        &self,
        proto: &PhysicalPlanNode,
        context: &PhysicalPlanDecodeContext<'_>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let inner = plan_extension(proto).map_or(Ok(None), |extension| marked(extension, plan_extension))?;
        let proto = inner.as_ref().unwrap_or(proto);
        self.depth.deeper(|_| self.default_proto_to_execution_plan(proto, context))
    }

    fn proto_to_physical_expr(
        &self,
        proto: &PhysicalExprNode,
        schema: &Schema,
        context: &PhysicalPlanDecodeContext<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = expr_extension(proto).map_or(Ok(None), |extension| marked(extension, expr_extension))?;
        let proto = inner.as_ref().unwrap_or(proto);
        self.depth.deeper(|around| {
            // A chain of one operator travels flat, and becomes as deep as it is long.
            if let Some(ExprType::BinaryExpr(chain)) = &proto.expr_type
                && around + chain.operands.len() > depth::MAX_PHYSICAL + 1
            {
                return plan_err!("a chain of {} operands in a task's payload", chain.operands.len());
            }
            let expr = parse_physical_expr_with_converter(proto, schema, context, self)?;
            match proto.expr_id {
                Some(id) => self.share(id, expr),
                None => Ok(expr),
            }
        })
    }

    fn execution_plan_to_proto(
        &self,
        _: &Arc<dyn ExecutionPlan>,
        _: &dyn PhysicalExtensionCodec,
    ) -> Result<PhysicalPlanNode> {
        Err(one_way())
    }

    fn physical_expr_to_proto(
        &self,
        _: &Arc<dyn PhysicalExpr>,
        _: &dyn PhysicalExtensionCodec,
    ) -> Result<PhysicalExprNode> {
        Err(one_way())
    }
}
