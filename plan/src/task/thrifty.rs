//! The plan of a task that ran out of memory, with operators that spill.
//!
//! | in the plan | instead |
//! |---|---|
//! | a hash join, which holds all of its left side | a sort of both sides by the keys, and a merge of them |
//! | a cross join, which holds all of its left side | a nested loop join, which goes over that side in pieces |
//!
//! What holds:
//! - The twin has the same columns and rows, in partitions that mean the same. Where the join kept the order of its right
//!   side, its rows are sorted that way again: operators above rely on it, and were planned so.
//! - What has no twin stays: an anti join that minds NULLs, and keys that cannot be compared as a hash join does, or not at
//!   all.
//! - A join was *unordered* before and is so now, so that a stage's level of determinism is the same.

mod pieces;

use arrow::{
    compute::SortOptions,
    datatypes::{DataType, Schema},
};
use datafusion::{
    common::{
        JoinType, Result,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    physical_expr::{
        LexOrdering, PhysicalSortExpr,
        expressions::{Column, UnKnownColumn},
        projection::ProjectionExpr,
    },
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode, SortMergeJoinExec, utils::JoinFilter},
        limit::LocalLimitExec,
        projection::ProjectionExec,
        repartition::RepartitionExec,
        sorts::sort::SortExec,
    },
    prelude::SessionConfig,
};
use pieces::PiecesExec;
use std::sync::Arc;

type Plan = Arc<dyn ExecutionPlan>;
type Keys = Vec<Arc<dyn PhysicalExpr>>;

/// Spilled files that are merged at once. Each takes some batches of memory until the merge is over, and while one side of
/// a join is merged the other is still to be sorted. More files are merged in several rounds.
pub(super) const FILES_AT_ONCE: usize = 16;
/// Rows of a batch: what an operator needs at least is some batches.
const BATCH_ROWS: usize = 1024;
/// The settings of such a task.
pub(super) fn settings(config: SessionConfig) -> SessionConfig {
    let rows = config.batch_size().min(BATCH_ROWS);
    config.with_batch_size(rows)
}

/// The same plan with operators that spill, where there are such.
pub(super) fn spilling(plan: Plan) -> Result<Plan> {
    plan.transform_up(|node| {
        let twin = match node.downcast_ref::<HashJoinExec>() {
            Some(join) => sort_merge(join)?,
            None => node.downcast_ref::<CrossJoinExec>().map(nested_loop).transpose()?,
        };
        let twin = twin.map(|twin| in_place_of(&node, twin)).transpose()?.flatten();
        Ok(twin.map_or_else(|| Transformed::no(node), Transformed::yes))
    })
    .data()
}

/// Whether an operator of such a plan stands for that one.
pub(super) fn is_twin(original: &Plan, twin: &Plan) -> bool {
    (original.is::<HashJoinExec>() && twin.is::<SortMergeJoinExec>())
        || (original.is::<CrossJoinExec>() && twin.is::<NestedLoopJoinExec>())
}

fn nested_loop(join: &CrossJoinExec) -> Result<Plan> {
    let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
    Ok(Arc::new(NestedLoopJoinExec::try_new(left, right, None, &JoinType::Inner, None)?))
}

fn sort_merge(join: &HashJoinExec) -> Result<Option<Plan>> {
    let kind = *join.join_type();
    let (left_keys, right_keys): (Keys, Keys) = join.on().iter().cloned().unzip();
    if join.null_aware || !can_merge(&left_keys, &join.left().schema(), kind)? {
        return Ok(None);
    }
    let (left, right) = co_partitioned(join, &left_keys, &right_keys)?;
    let (Some(left), Some(right)) = (sorted(left, left_keys)?, sorted(right, right_keys)?) else { return Ok(None) };
    let options = vec![SortOptions::default(); join.on().len()];
    let (on, filter) = (join.on().to_vec(), join.filter().map(over_nulls));
    let merge = SortMergeJoinExec::try_new(left, right, on, filter, kind, options, join.null_equality())?;
    let merge: Plan = Arc::new(merge);
    let Some(columns) = &join.projection else { return Ok(Some(merge)) };
    let schema = merge.schema();
    let column = |&place: &usize| {
        let name = schema.field(place).name();
        ProjectionExpr { expr: Arc::new(Column::new(name, place)), alias: name.clone() }
    };
    let columns: Vec<_> = columns.iter().map(column).collect();
    Ok(Some(Arc::new(ProjectionExec::try_new(columns, merge)?)))
}

/// A filter whose columns may be NULL: an outer merge asks it of rows without a partner too, and DataFusion 55 fails where
/// they may not.
fn over_nulls(filter: &JoinFilter) -> JoinFilter {
    let fields = filter.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    JoinFilter::new(Arc::clone(filter.expression()), filter.column_indices().to_vec(), schema)
}

/// Whether a merge finds the same keys equal as a hash join does. Of floats it does not: a sort tells 0 from -0.
fn can_merge(keys: &Keys, schema: &Schema, kind: JoinType) -> Result<bool> {
    // These compare keys in another way, which knows fewer types.
    let only_one_side = !matches!(kind, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full);
    for key in keys {
        let mergeable = match key.data_type(schema)? {
            DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
            | DataType::Decimal128(..)
            | DataType::Date32
            | DataType::Date64
            | DataType::Timestamp(_, None)
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => true,
            DataType::Timestamp(_, Some(_))
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Duration(_)
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal256(..) => !only_one_side,
            _ => false,
        };
        if !mergeable {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Both sides with their partitions by the keys: a collected side is one partition, and the other may be any.
fn co_partitioned(join: &HashJoinExec, left_keys: &Keys, right_keys: &Keys) -> Result<(Plan, Plan)> {
    let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
    let partitions = right.output_partitioning().partition_count();
    if partitions == 1 || join.mode == PartitionMode::Partitioned {
        return Ok((left, right));
    }
    let by = |side: Plan, keys: &Keys| RepartitionExec::try_new(side, Partitioning::Hash(keys.clone(), partitions));
    Ok((Arc::new(by(left, left_keys)?), Arc::new(by(right, right_keys)?)))
}

/// A side in the order of its keys.
fn sorted(side: Plan, keys: Keys) -> Result<Option<Plan>> {
    let Some(order) = LexOrdering::new(keys.into_iter().map(PhysicalSortExpr::new_default)) else { return Ok(None) };
    Ok(Some(in_order(side, order)?))
}

fn in_order(plan: Plan, order: LexOrdering) -> Result<Plan> {
    if plan.equivalence_properties().ordering_satisfy(order.clone())? {
        return Ok(plan);
    }
    let several = plan.output_partitioning().partition_count() > 1;
    let pieces = Arc::new(PiecesExec::new(plan));
    Ok(Arc::new(SortExec::new(order, pieces).with_preserve_partitioning(several)))
}

/// Whether operators above can rely on where rows are; they cannot where a key is not among the columns.
fn is_by_keys(partitioning: &Partitioning) -> bool {
    matches!(partitioning, Partitioning::Hash(keys, _) if keys.iter().all(|key| !key.is::<UnKnownColumn>()))
}

/// The twin, with what is known of the operator that it stands for; nothing where that cannot be had.
fn in_place_of(original: &Plan, mut twin: Plan) -> Result<Option<Plan>> {
    let partitioning = original.output_partitioning();
    if is_by_keys(partitioning) && partitioning.partition_count() > 1 && twin.output_partitioning() != partitioning {
        twin = Arc::new(RepartitionExec::try_new(twin, partitioning.clone())?);
    }
    let orders: Vec<LexOrdering> = original.equivalence_properties().oeq_class().iter().cloned().collect();
    for order in &orders {
        twin = in_order(twin, order.clone())?;
    }
    if let Some(rows) = original.fetch() {
        twin = Arc::new(LocalLimitExec::new(twin, rows));
    }
    let properties = twin.equivalence_properties();
    for order in orders {
        // One sort undid another.
        if !properties.ordering_satisfy(order)? {
            return Ok(None);
        }
    }
    let same = twin.schema() == original.schema()
        && twin.output_partitioning().partition_count() == partitioning.partition_count();
    Ok(same.then_some(twin))
}

#[cfg(test)]
mod tests;
