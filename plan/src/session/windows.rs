//! Windows that would lose a part of what they say on their way to an executor.
//!
//! Plans travel as DataFusion encodes them, and its encoding of window functions has no place for FILTER, nor for IGNORE
//! NULLS of a function that is no aggregate. Rows would come, and be wrong. So both are said in another way: what is filtered
//! away becomes NULL, which most aggregates skip; and a function that ignores NULLs becomes one that always does.

use crate::codec::IgnoringNulls;
use datafusion::{
    common::{
        Result,
        config::ConfigOptions,
        not_impl_err,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Expr, LogicalPlan, Window, WindowFunctionDefinition, WindowUDF,
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
    let ignoring = ignore_nulls(&mut function);
    let expr = Expr::WindowFunction(function);
    Ok(if filtered || ignoring { Transformed::yes(expr) } else { Transformed::no(expr) })
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

fn ignore_nulls(function: &mut WindowFunction) -> bool {
    let ignores = matches!(function.params.null_treatment, Some(NullTreatment::IgnoreNulls));
    match &function.fun {
        WindowFunctionDefinition::WindowUDF(inner) if ignores && !inner.inner().is::<IgnoringNulls>() => {
            let ignoring = WindowUDF::new_from_impl(IgnoringNulls::new(Arc::clone(inner)));
            function.fun = WindowFunctionDefinition::WindowUDF(Arc::new(ignoring));
            true
        }
        _ => false,
    }
}
