//! Windows that would lose a part of what they say on their way to an executor.
//!
//! Plans travel as DataFusion encodes them, and its encoding of window functions has no place for FILTER, nor, of a function
//! that is no aggregate, for IGNORE NULLS and for the order in which it gets its rows (the optimizer may have reversed it).
//! Rows would come, and be wrong. So these are said in another way: what is filtered away becomes NULL, which most
//! aggregates skip; and functions that can be reversed, or ignore NULLs, become ones that know it themselves.

use crate::codec::Flagged;
use datafusion::{
    common::{
        Result,
        config::ConfigOptions,
        not_impl_err,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Expr, LogicalPlan, ReversedUDWF, Window, WindowFunctionDefinition, WindowUDF,
        expr::{NullTreatment, WindowFunction},
        expr_rewriter::NamePreserver,
        when,
    },
    optimizer::AnalyzerRule,
};
use std::sync::Arc;

/// Aggregates for which a NULL is as good as no row.
const SKIP_NULLS: [&str; 36] = [
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "max",
    "mean",
    "median",
    "min",
    "percentile_cont",
    "quantile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var",
    "var_pop",
    "var_samp",
];

/// Says in another way what would be lost, and refuses what cannot be. An analyzer's rule sees the query with its views in it.
#[derive(Debug)]
pub(super) struct KeepWhatWouldBeLost;

impl AnalyzerRule for KeepWhatWouldBeLost {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|node| {
            let LogicalPlan::Window(window) = node else { return Ok(Transformed::no(node)) };
            let names = NamePreserver::new_for_projection();
            let mut changed = false;
            let mut exprs = Vec::with_capacity(window.window_expr.len());
            for expr in window.window_expr {
                let name = names.save(&expr);
                let done = expr.transform_up(rewrite)?;
                changed |= done.transformed;
                exprs.push(name.restore(done.data));
            }
            let window = LogicalPlan::Window(Window::try_new(exprs, window.input)?);
            Ok(if changed { Transformed::yes(window) } else { Transformed::no(window) })
        })?;
        Ok(rewritten.data)
    }

    fn name(&self) -> &'static str {
        "keep_what_would_be_lost"
    }
}

fn rewrite(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::WindowFunction(mut function) = expr else { return Ok(Transformed::no(expr)) };
    let filtered = filter_by_nulls(&mut function)?;
    let flagged = flag(&mut function);
    let expr = Expr::WindowFunction(function);
    Ok(if filtered || flagged { Transformed::yes(expr) } else { Transformed::no(expr) })
}

fn filter_by_nulls(function: &mut WindowFunction) -> Result<bool> {
    let Some(filter) = function.params.filter.take() else { return Ok(false) };
    let name = function.fun.name();
    match function.params.args.first_mut() {
        Some(first) if SKIP_NULLS.contains(&name) => {
            *first = when(*filter, first.clone()).end()?;
            Ok(true)
        }
        _ => not_impl_err!("FILTER of {name} over a window (compute it in a subquery first)"),
    }
}

fn flag(function: &mut WindowFunction) -> bool {
    let ignores_nulls = matches!(function.params.null_treatment, Some(NullTreatment::IgnoreNulls));
    match &function.fun {
        WindowFunctionDefinition::WindowUDF(inner) if !inner.inner().is::<Flagged>() => {
            let can_be_reversed = matches!(inner.reverse_expr(), ReversedUDWF::Reversed(_));
            if !ignores_nulls && !can_be_reversed {
                return false;
            }
            let flagged = WindowUDF::new_from_impl(Flagged::new(Arc::clone(inner), ignores_nulls));
            function.fun = WindowFunctionDefinition::WindowUDF(Arc::new(flagged));
            true
        }
        _ => false,
    }
}
