//! Windows that would lose a part of what they say on their way to an executor.
//!
//! Plans travel as DataFusion encodes them, and its encoding of window functions has no place for FILTER, nor for IGNORE
//! NULLS of a function that is no aggregate. Rows would come, and be wrong: so such a query is refused.

use datafusion::{
    common::{Result, config::ConfigOptions, not_impl_err, tree_node::TreeNode, tree_node::TreeNodeRecursion},
    logical_expr::{
        Expr, LogicalPlan, WindowFunctionDefinition,
        expr::{NullTreatment, WindowFunction},
    },
    optimizer::AnalyzerRule,
};

/// Refuses what would be lost. An analyzer's rule sees the query with its views in it.
#[derive(Debug)]
pub(super) struct RefuseWhatIsLost;

impl AnalyzerRule for RefuseWhatIsLost {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.apply_with_subqueries(|node| {
            let LogicalPlan::Window(window) = node else { return Ok(TreeNodeRecursion::Continue) };
            for expr in &window.window_expr {
                expr.apply(|expr| {
                    if let Expr::WindowFunction(function) = expr {
                        check(function)?;
                    }
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "refuse_what_is_lost"
    }
}

fn check(function: &WindowFunction) -> Result<()> {
    let name = function.fun.name();
    if function.params.filter.is_some() {
        return not_impl_err!(
            "FILTER of {name} over a window (write {name}(CASE WHEN … THEN … END), or compute it in a subquery first)"
        );
    }
    let ignores = matches!(function.params.null_treatment, Some(NullTreatment::IgnoreNulls));
    if ignores && matches!(function.fun, WindowFunctionDefinition::WindowUDF(_)) {
        return not_impl_err!(
            "IGNORE NULLS of {name} over a window (filter the rows without a value in a subquery first)"
        );
    }
    Ok(())
}
