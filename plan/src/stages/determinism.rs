//! What is known of the rows a stage gives when it runs again.
//!
//! Blocks are read in map order, and scans read their files in order, so that a stage of scans, filters and projections
//! gives the same rows in the same order. Hash tables do not keep an order, and a sort leaves that of equal keys to how much
//! memory it had. Where the order of rows decides *which* rows there are (a limit, a row number, the last digit of a sum of
//! floats), an input without a fixed order makes the output another one.
//!
//! What is not known counts as the worst: it costs a checksum, and wrong rows cost more.

use crate::exchange::RangeSampleExec;
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    logical_expr::utils::AggregateOrderSensitivity,
    physical_expr::{PhysicalExpr, aggregate::AggregateFunctionExpr},
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        aggregates::{AggregateExec, AggregateMode},
        coalesce_partitions::CoalescePartitionsExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
        limit::GlobalLimitExec,
        recursive_query::RecursiveQueryExec,
        repartition::RepartitionExec,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
        union::InterleaveExec,
        windows::{BoundedWindowAggExec, WindowAggExec},
    },
};
use hearth_core::Determinism;
use std::sync::Arc;

/// Aggregates that give the same for the same rows in any order, when they compute without floats.
const OF_ANY_ORDER: [&str; 12] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "median",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "approx_distinct",
];
/// Those of them that only choose among their inputs, or count them: floats are as good as anything.
const CHOOSING: [&str; 4] = ["count", "min", "max", "approx_distinct"];

/// The level of a stage's output, when its exchanges give rows of level `inputs` at worst. `whole`: its only task computes
/// all partitions of the plan, and mixes them as they come.
pub(super) fn of(plan: &Arc<dyn ExecutionPlan>, inputs: Determinism, whole: bool) -> Determinism {
    let level = level(plan, inputs);
    if whole && partitions(plan) > 1 { level.max(Determinism::Unordered) } else { level }
}

fn level(plan: &Arc<dyn ExecutionPlan>, inputs: Determinism) -> Determinism {
    let children = plan.children();
    let below = match children[..] {
        [] => inputs,
        _ => children.iter().map(|child| level(child, inputs)).max().unwrap_or(inputs),
    };
    // Several partitions of one task run side by side.
    let several = children.iter().any(|child| partitions(child) > 1);
    let mixes = plan.is::<InterleaveExec>()
        || several
            && (plan.is::<CoalescePartitionsExec>()
                || plan.is::<RepartitionExec>()
                || plan.is::<SortPreservingMergeExec>());
    let below = if mixes { below.max(Determinism::Unordered) } else { below };
    if has_volatile(plan) {
        return Determinism::Indeterminate;
    }
    if below >= Determinism::Unordered && order_decides(plan) {
        return Determinism::Indeterminate;
    }
    let reorders = plan.is::<AggregateExec>()
        || plan.is::<SortExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
        || plan.is::<SortMergeJoinExec>()
        || plan.is::<RecursiveQueryExec>();
    if reorders { below.max(Determinism::Unordered) } else { below }
}

fn partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.output_partitioning().partition_count()
}

/// Whether the order of the operator's input decides which rows it gives. Ties leave an order open after a sort too.
fn order_decides(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        // What a partial aggregate gives is the same for whoever makes the rest of it.
        let partial = *aggregate.mode() == AggregateMode::Partial;
        return aggregate.limit_options().is_some()
            || aggregate.aggr_expr().iter().any(|function| takes_order(function, partial));
    }
    // A sample of the same rows in another order is another one, and where rows go depends on it.
    plan.fetch().is_some()
        // OFFSET without LIMIT.
        || plan.downcast_ref::<GlobalLimitExec>().is_some_and(|limit| limit.skip() > 0)
        || plan.is::<RangeSampleExec>()
        || plan.is::<WindowAggExec>()
        || plan.is::<BoundedWindowAggExec>()
}

/// Whether an aggregate may give something else for the same rows in another order. DataFusion calls every function
/// insensitive that has no ORDER BY, `first_value` too.
fn takes_order(function: &AggregateFunctionExpr, partial: bool) -> bool {
    let name = function.fun().name();
    if function.order_sensitivity() != AggregateOrderSensitivity::Insensitive || !OF_ANY_ORDER.contains(&name) {
        return true;
    }
    // Sums of floats are rounded as they come.
    !partial && function.field().data_type().is_floating() && !CHOOSING.contains(&name)
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
