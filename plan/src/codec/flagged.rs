//! A window function with its flags, as a function of its own.

use arrow::{
    compute::SortOptions,
    datatypes::{DataType, FieldRef},
};
use datafusion::{
    common::{
        Result, not_impl_err,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Documentation, LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF, WindowUDFImpl,
        function::{ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs},
    },
    physical_expr::{
        PhysicalExpr,
        window::{PlainAggregateWindowExpr, SlidingAggregateWindowExpr},
    },
    physical_plan::{
        ExecutionPlan,
        windows::{BoundedWindowAggExec, WindowAggExec},
    },
};
use std::sync::Arc;

/// A window function, and what DataFusion keeps beside it and does not encode: that NULLs are ignored, and that rows come in
/// the reverse of the order that was asked for, since another function has sorted them so. It has its function's name:
/// where it travels, only its codec says what it is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flagged {
    inner: Arc<WindowUDF>,
    flags: Flags,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Flags {
    ignores_nulls: bool,
    reversed: bool,
}

impl Flagged {
    pub(crate) fn new(inner: Arc<WindowUDF>, ignores_nulls: bool) -> Self {
        Self { inner, flags: Flags { ignores_nulls, reversed: false } }
    }

    pub(super) const fn inner(&self) -> &Arc<WindowUDF> {
        &self.inner
    }

    /// The flags as bytes beside the function's name.
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend([u8::from(self.flags.ignores_nulls), u8::from(self.flags.reversed)]);
    }

    /// `inner` with the flags of such bytes.
    pub(super) fn decode(inner: Arc<WindowUDF>, buf: &[u8]) -> Option<Self> {
        match *buf {
            [ignores_nulls @ 0..=1, reversed @ 0..=1] => {
                Some(Self { inner, flags: Flags { ignores_nulls: ignores_nulls == 1, reversed: reversed == 1 } })
            }
            _ => None,
        }
    }
}

impl WindowUDFImpl for Flagged {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn expressions(&self, args: ExpressionArgs<'_>) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.expressions(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        let (exprs, fields) = (args.input_exprs(), args.input_fields());
        let Flags { ignores_nulls, reversed } = self.flags;
        self.inner.partition_evaluator_factory(PartitionEvaluatorArgs::new(exprs, fields, reversed, ignores_nulls))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.field(args)
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.inner.sort_options()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        match self.inner.reverse_expr() {
            ReversedUDWF::Reversed(inner) => {
                let flags = Flags { reversed: !self.flags.reversed, ..self.flags };
                ReversedUDWF::Reversed(Arc::new(WindowUDF::new_from_impl(Self { inner, flags })))
            }
            // Its own reverse is this one.
            other => other,
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.inner.inner().limit_effect(args)
    }
}

/// Refuses aggregates over a window that get their rows in the reverse of the order that was asked for, and for which that
/// counts: it would be lost, and they are no functions that could be given flags.
pub(super) fn refuse_reversed_aggregates(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    plan.apply(|node| {
        let bounded = node.downcast_ref::<BoundedWindowAggExec>().map(BoundedWindowAggExec::window_expr);
        let exprs = bounded.or_else(|| node.downcast_ref::<WindowAggExec>().map(WindowAggExec::window_expr));
        for expr in exprs.unwrap_or_default() {
            let expr = expr.as_any();
            let plain = expr.downcast_ref::<PlainAggregateWindowExpr>().map(|e| e.get_aggregate_expr());
            let sliding = || expr.downcast_ref::<SlidingAggregateWindowExpr>().map(|e| e.get_aggregate_expr());
            if let Some(aggregate) = plain.or_else(sliding).filter(|aggregate| aggregate.is_reversed()) {
                return not_impl_err!(
                    "{} over a window whose order is the reverse of another window's (compute one of them in a subquery)",
                    aggregate.fun().name()
                );
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}
