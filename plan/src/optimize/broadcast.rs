//! Small build sides go to every task.
//!
//! A partitioned hash join moves both of its sides by hash. When one of them is small, it is cheaper to give all of it to
//! every task of the other side, which then stays where it is. That is right only where the join gives no rows of the
//! small side by itself: no task knows whether another one found a partner for them.

use super::size::estimate;
use crate::task::specialise::emits_left;
use datafusion::{
    common::{
        Result,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        joins::{HashJoinExec, PartitionMode},
    },
};
use std::sync::Arc;

/// The rule.
#[derive(Debug)]
pub(super) struct BroadcastJoins {
    max_bytes: u64,
}

/// Which side is to be collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl BroadcastJoins {
    /// Build sides of at most so many bytes, by estimate.
    pub(super) const fn new(max_bytes: u64) -> Self {
        Self { max_bytes }
    }

    fn side(&self, join: &HashJoinExec) -> Option<Side> {
        let small = |plan: &Arc<dyn ExecutionPlan>| {
            estimate(plan.as_ref()).map(|size| size.bytes).filter(|bytes| *bytes <= self.max_bytes)
        };
        let kind = *join.join_type();
        let left = if emits_left(kind) { None } else { small(join.left()) };
        let swaps = kind.supports_swap() && !join.null_aware && !emits_left(kind.swap());
        let right = if swaps { small(join.right()) } else { None };
        match (left, right) {
            (None, None) => None,
            (Some(left), Some(right)) if right < left => Some(Side::Right),
            (Some(_), _) => Some(Side::Left),
            (None, Some(_)) => Some(Side::Right),
        }
    }

    fn collect(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
        let Some(join) = plan.downcast_ref::<HashJoinExec>().filter(|j| j.mode == PartitionMode::Partitioned) else {
            return Ok(Transformed::no(plan));
        };
        Ok(Transformed::yes(match self.side(join) {
            None => return Ok(Transformed::no(plan)),
            Some(Side::Left) => Arc::new(join.builder().with_partition_mode(PartitionMode::CollectLeft).build()?)
                as Arc<dyn ExecutionPlan>,
            Some(Side::Right) => join.swap_inputs(PartitionMode::CollectLeft)?,
        }))
    }
}

impl PhysicalOptimizerRule for BroadcastJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| self.collect(node)).data()
    }

    fn name(&self) -> &'static str {
        "broadcast_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
