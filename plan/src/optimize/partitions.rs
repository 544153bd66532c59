//! How many partitions a shuffle needs, so that each fits into the memory of a task.
//!
//! What a hash join builds does not spill, so its size is what bounds a partition. Sorts and aggregates spill, and are not
//! asked.

use super::size::estimate;
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    physical_plan::{
        ExecutionPlan,
        joins::{HashJoinExec, PartitionMode},
    },
};
use std::sync::Arc;

/// Bytes that a hash table takes for a row beside the row itself: its hash, a place, a link to the next of the same hash,
/// and what a table that is never full leaves empty.
const TABLE_BYTES_A_ROW: u64 = 32;
/// The most partitions that are chosen by estimate. Estimates of joins of joins can be off by any factor, and every map
/// task writes a block for each partition.
const MAX_PARTITIONS: u64 = 1000;

/// How many partitions the plan's shuffles should have: a multiple of `least`, the number of tasks that run at once, so that
/// no round of tasks is half empty.
pub(crate) fn partitions_for(plan: &Arc<dyn ExecutionPlan>, bytes: u64, least: usize) -> usize {
    let mut largest = 0;
    // The closure never fails.
    let _ = plan.apply(|node| {
        if let Some(join) = node.downcast_ref::<HashJoinExec>().filter(|j| j.mode == PartitionMode::Partitioned)
            && let Some(size) = estimate(join.left().as_ref())
        {
            largest = largest.max(size.bytes.saturating_add(size.rows.saturating_mul(TABLE_BYTES_A_ROW)));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    let least = least.max(1);
    let wanted = usize::try_from(largest.div_ceil(bytes.max(1)).min(MAX_PARTITIONS)).unwrap_or(usize::MAX);
    if wanted <= least { least } else { wanted.next_multiple_of(least) }
}
