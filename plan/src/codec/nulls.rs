//! A window function that ignores NULLs, as a function of its own.

use arrow::{
    compute::SortOptions,
    datatypes::{DataType, FieldRef},
};
use datafusion::{
    common::Result,
    logical_expr::{
        Documentation, LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF, WindowUDFImpl,
        function::{ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs},
    },
    physical_expr::PhysicalExpr,
};
use std::sync::Arc;

/// `lag` and the like that ignore NULLs, whoever calls them. It has its function's name: where it travels, only its codec
/// says what it is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct IgnoringNulls(Arc<WindowUDF>);

impl IgnoringNulls {
    pub(crate) const fn new(of: Arc<WindowUDF>) -> Self {
        Self(of)
    }

    pub(super) const fn inner(&self) -> &Arc<WindowUDF> {
        &self.0
    }
}

impl WindowUDFImpl for IgnoringNulls {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn expressions(&self, args: ExpressionArgs<'_>) -> Vec<Arc<dyn PhysicalExpr>> {
        self.0.expressions(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        let (exprs, fields) = (args.input_exprs(), args.input_fields());
        self.0.partition_evaluator_factory(PartitionEvaluatorArgs::new(exprs, fields, args.is_reversed(), true))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        self.0.field(args)
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.0.sort_options()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(types)
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        match self.0.reverse_expr() {
            ReversedUDWF::Reversed(inner) => {
                ReversedUDWF::Reversed(Arc::new(WindowUDF::new_from_impl(Self::new(inner))))
            }
            // Its own reverse is this one.
            other => other,
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.0.documentation()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.0.inner().limit_effect(args)
    }
}
