//! What is known of the rows a stage gives when it runs again.
//!
//! Blocks are read in map order, and scans read their files in order, so that a stage of scans, filters and projections
//! gives the same rows in the same order. Hash tables do not keep an order. Where the order of rows decides *which* rows
//! there are (a limit, a row number), an input without a fixed order makes the output another one.

use crate::exchange::RangeSampleExec;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    logical_expr::utils::AggregateOrderSensitivity,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        aggregates::AggregateExec,
        coalesce_partitions::CoalescePartitionsExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
        recursive_query::RecursiveQueryExec,
        repartition::RepartitionExec,
        windows::{BoundedWindowAggExec, WindowAggExec},
    },
};
use hearth_core::Determinism;
use std::sync::Arc;

/// The level of a stage's output, when its exchanges give rows of level `inputs` at worst.
pub(super) fn of(plan: &Arc<dyn ExecutionPlan>, inputs: Determinism) -> Determinism {
    let children = plan.children();
    let below = match children[..] {
        [] => inputs,
        _ => children.iter().map(|child| of(child, inputs)).max().unwrap_or(inputs),
    };
    // Several partitions of one task run side by side.
    let mixes = (plan.is::<CoalescePartitionsExec>() || plan.is::<RepartitionExec>())
        && children.iter().any(|c| c.output_partitioning().partition_count() > 1);
    let below = if mixes { below.max(Determinism::Unordered) } else { below };
    if has_volatile(plan) {
        return Determinism::Indeterminate;
    }
    if below >= Determinism::Unordered && order_decides(plan) {
        return Determinism::Indeterminate;
    }
    let hashes = plan.is::<AggregateExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
        || plan.is::<SortMergeJoinExec>()
        || plan.is::<RecursiveQueryExec>();
    if hashes { below.max(Determinism::Unordered) } else { below }
}

/// Whether the order of the operator's input decides which rows it gives. Ties leave an order open after a sort too.
fn order_decides(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let sensitive = |s| s != AggregateOrderSensitivity::Insensitive;
        return aggregate.limit_options().is_some()
            || aggregate.aggr_expr().iter().any(|a| sensitive(a.order_sensitivity()));
    }
    // A sample of the same rows in another order is another one, and where rows go depends on it.
    plan.fetch().is_some()
        || plan.is::<RangeSampleExec>()
        || plan.is::<WindowAggExec>()
        || plan.is::<BoundedWindowAggExec>()
}

fn has_volatile(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut volatile = false;
    let mut look = |expr: &Arc<dyn PhysicalExpr>| {
        volatile |= is_volatile(expr);
        Ok(if volatile { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    };
    // An operator that does not tell its expressions may hide any.
    plan.apply_expressions(&mut look).is_err() || volatile
}

/// Whether an expression may give another value each time.
pub(super) fn is_volatile(expr: &Arc<dyn PhysicalExpr>) -> bool {
    datafusion::physical_expr_common::physical_expr::is_volatile(expr)
}
