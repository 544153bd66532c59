//! Sorts of a whole result, spread over partitions by ranges of their keys.
//!
//! ```text
//!   ProjectionExec                        stage 2  ProjectionExec
//!     SortPreservingMergeExec                        SortExec
//!       SortExec (each partition)                      ExchangeReaderExec (partition) <─┐ range
//!         input                  ──cut──> stage 1  input ───────────────────────────────┘ <─┐ broadcast
//!                                         stage 0  RangeSampleExec ─────────────────────────┘
//!                                                    input, its keys only
//! ```
//!
//! Only where rows leave the query in partition order, which is at its root: below a limit, say, one ordered partition is
//! needed, and a merge gives that.

use super::cutter::{Close, Cutter, Scope, is_apart, limited, uses_subquery};
use crate::{
    PlanError,
    exchange::{ExchangeReaderExec, Keys, Properties, RangeSampleExec, ReadMode, sample_rows},
    optimize,
    task::specialise::{Shape, partitions, replace_children},
};
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, expressions::Column},
    physical_expr_common::physical_expr::is_volatile,
    physical_optimizer::{PhysicalOptimizerRule, projection_pushdown::ProjectionPushdown},
    physical_plan::{
        ExecutionPlan,
        coop::CooperativeExec,
        filter::FilterExec,
        projection::{ProjectionExec, ProjectionExpr},
        scalar_subquery::ScalarSubqueryExec,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
        union::UnionExec,
    },
};
use hearth_core::conf::RangeSort;
use std::sync::Arc;

type Plan = Arc<dyn ExecutionPlan>;
type Result<T> = std::result::Result<T, PlanError>;

/// Bytes of rows, as estimated, from which on a sort is worth two more stages. One task sorts less in about a second.
const WORTHWHILE_BYTES: u64 = 64 << 20;

impl Cutter<'_> {
    /// Like [`Cutter::rewrite`], where the partitions of what is given may be several when they come in order.
    pub(super) fn rewrite_root(&mut self, node: &Plan, scope: Option<&Scope>) -> Result<Plan> {
        if let Some(subqueries) = node.downcast_ref::<ScalarSubqueryExec>() {
            return self.rewrite_subqueries(subqueries, Self::rewrite_root);
        }
        if let ([input], true) = (&node.children()[..], passes_rows_on(node)) {
            let input = self.rewrite_root(input, scope)?;
            return Ok(replace_children(node, vec![input])?);
        }
        let sort = match node.downcast_ref::<SortPreservingMergeExec>() {
            Some(merge) if merge.fetch().is_none() => sort_below(merge.input(), merge.expr()),
            _ => None,
        };
        match sort {
            Some(sort) if self.wants_ranges(sort)? => self.cut_range(node, sort, scope),
            _ => self.rewrite(node, scope),
        }
    }

    fn wants_ranges(&self, sort: &SortExec) -> Result<bool> {
        let input = sort.input();
        let can = sort.fetch().is_none()
            && partitions(input) > 1
            && Keys::can_be(sort.expr(), &input.schema())
            && !sort.expr().iter().any(|key| uses_subquery(&key.expr) || is_volatile(&key.expr));
        Ok(can
            && match self.options.range_sort {
                RangeSort::Never => false,
                RangeSort::Always => true,
                RangeSort::Auto => {
                    optimize::estimate(input.as_ref()).is_some_and(|size| size.bytes >= WORTHWHILE_BYTES)
                }
            })
    }

    /// Cuts at a sort, which stands below a merge and operators that pass rows on: those stay above the sort, and the merge
    /// is not needed any more.
    fn cut_range(&mut self, merge: &Plan, sort: &SortExec, scope: Option<&Scope>) -> Result<Plan> {
        let input = self.rewrite(sort.input(), scope)?;
        if !is_apart(&input) {
            return self.merged(merge, input, scope);
        }
        // Computing it twice would cost, or give other rows; its blocks are the same each time.
        let input = if is_reread_easily(&input) { input } else { self.close_single(input, ReadMode::PerMap, scope)? };
        let count = self.context.session_config().target_partitions();
        let samples = self.close(self.sample(&input, sort.expr(), count)?, Close::Single, scope)?;
        let (schema, count) = (input.schema(), limited(count)?);
        let from = self.close(input, Close::Range { keys: sort.expr().clone(), partitions: count, samples }, scope)?;
        let reader = ExchangeReaderExec::try_new(from, ReadMode::Partition, count, schema, Properties::default())?;
        let sorted = SortExec::new(sort.expr().clone(), Arc::new(reader)).with_preserve_partitioning(true);
        match merge.children()[..] {
            [above] => over(above, Arc::new(sorted)),
            _ => Err(PlanError::Internal("a merge has one input".into())),
        }
    }

    /// The merge after all, over an input that was rewritten already.
    fn merged(&mut self, node: &Plan, input: Plan, scope: Option<&Scope>) -> Result<Plan> {
        let below = match (node.is::<SortExec>(), &node.children()[..]) {
            (false, [below]) => self.merged(below, input, scope)?,
            _ => input,
        };
        self.cut_below(replace_children(node, vec![below])?, scope)
    }

    /// A sample of the keys, of a plan that reads nothing else where scans can leave it out.
    fn sample(&self, input: &Plan, keys: &LexOrdering, count: usize) -> Result<Plan> {
        let named =
            |(i, key): (usize, &PhysicalSortExpr)| ProjectionExpr::new(Arc::clone(&key.expr), format!("key{i}"));
        let projected = ProjectionExec::try_new(keys.iter().enumerate().map(named), Arc::clone(input))?;
        let config = self.context.session_config().options();
        let narrowed = ProjectionPushdown::new().optimize(Arc::new(projected), config)?;
        let of_column = |(i, key): (usize, &PhysicalSortExpr)| {
            PhysicalSortExpr::new(Arc::new(Column::new(&format!("key{i}"), i)), key.options)
        };
        let keys = LexOrdering::new(keys.iter().enumerate().map(of_column))
            .ok_or_else(|| PlanError::Internal("a sort without keys".into()))?;
        let rows = sample_rows(count, partitions(&narrowed));
        Ok(Arc::new(RangeSampleExec::try_new(narrowed, keys, rows)?))
    }
}

/// The sort of each partition that a merge by `order` stands above, when nothing but that sort makes the order, and merging
/// is all that is left to do: a merge also by what is constant in each partition, and another in the next, is more.
fn sort_below<'a>(plan: &'a Plan, order: &LexOrdering) -> Option<&'a SortExec> {
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let begins = sort.expr().len() >= order.len() && sort.expr().iter().zip(order).all(|(a, b)| a == b);
        return begins.then_some(sort);
    }
    if !passes_rows_on(plan) {
        return None;
    }
    let order = match (plan.downcast_ref::<ProjectionExec>(), plan.downcast_ref::<FilterExec>()) {
        (Some(projection), _) => {
            let below = |key: &PhysicalSortExpr| {
                let column = key.expr.downcast_ref::<Column>()?;
                let computed = Arc::clone(&projection.expr().get(column.index())?.expr);
                Some(PhysicalSortExpr::new(computed, key.options))
            };
            LexOrdering::new(order.iter().map(below).collect::<Option<Vec<_>>>()?)?
        }
        // A filter that leaves columns out numbers them anew.
        (None, Some(filter)) if filter.projection().is_some() => return None,
        _ => order.clone(),
    };
    match plan.children()[..] {
        [below] => sort_below(below, &order),
        _ => None,
    }
}

/// The operators down to a sort, above another one.
fn over(plan: &Plan, sorted: Plan) -> Result<Plan> {
    match (plan.is::<SortExec>(), &plan.children()[..]) {
        (false, [below]) => Ok(replace_children(plan, vec![over(below, sorted)?])?),
        _ => Ok(sorted),
    }
}

/// Whether the operator gives the rows of its only input in their order, partition by partition, and never has to stop.
fn passes_rows_on(node: &Plan) -> bool {
    node.fetch().is_none() && (node.is::<ProjectionExec>() || node.is::<FilterExec>() || node.is::<CooperativeExec>())
}

/// Whether a plan costs little more than reading when it is computed twice, and gives the same rows each time.
pub(super) fn is_reread_easily(plan: &Plan) -> bool {
    let easy = plan.exists(|node| {
        let easy = Shape::of(node.as_ref()) == Shape::Leaf || passes_rows_on(node) || node.is::<UnionExec>();
        Ok(!easy || computes_volatile(node))
    });
    !easy.unwrap_or(true)
}

fn computes_volatile(node: &Plan) -> bool {
    let mut volatile = false;
    let look = &mut |expr: &Arc<dyn PhysicalExpr>| {
        volatile |= is_volatile(expr);
        Ok(if volatile { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    };
    // An operator that does not tell its expressions may hide any.
    node.apply_expressions(look).is_err() || volatile
}
