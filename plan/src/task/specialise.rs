//! One partition of a plan as a plan of its own.
//!
//! Top-down: leaves keep what partition `p` reads, a union becomes the branch that `p` lies in, a join with a collected
//! build side keeps that side whole, and an operator with one partition keeps everything below it. What is not listed in
//! [`Shape::of`] cannot be specialised, and a stage that contains it with several partitions runs whole: being on the list
//! is a statement about the operator, so nothing is on it by default.

use crate::{
    exchange::{ExchangeReaderExec, RangeSampleExec},
    sink::SinkExec,
    tpch::TpchScanExec,
};
use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{JoinType, Result, internal_err, plan_err},
    datasource::{
        memory::MemorySourceConfig,
        physical_plan::{FileScanConfig, FileScanConfigBuilder},
        source::{DataSource, DataSourceExec},
    },
    physical_plan::{
        ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
        aggregates::AggregateExec,
        async_func::AsyncFuncExec,
        buffer::BufferExec,
        coop::CooperativeExec,
        empty::EmptyExec,
        filter::FilterExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode, SortMergeJoinExec},
        limit::LocalLimitExec,
        placeholder_row::PlaceholderRowExec,
        projection::ProjectionExec,
        scalar_subquery::ScalarSubqueryExec,
        sorts::sort::SortExec,
        union::UnionExec,
        unnest::UnnestExec,
        windows::{BoundedWindowAggExec, WindowAggExec},
    },
};
use std::sync::Arc;

/// How the partitions of an operator relate to those of its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It has no children, and its partitions can be kept one by one.
    Leaf,
    /// Partition `p` reads partition `p` of each child.
    Aligned,
    /// Its partitions are those of its children, one child after the other.
    Union,
    /// Partition `p` reads all of the first child and partition `p` of the second.
    Collected,
    /// Partition `p` reads partition `p` of the first child and all of the others.
    Scoped,
    /// Unknown, or each partition depends on all.
    Whole,
}

/// Whether a join with a collected left side gives rows of that side by itself, after *all* probe partitions are done.
/// Then the partitions depend on one another.
pub(crate) const fn emits_left(join: JoinType) -> bool {
    match join {
        JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => false,
        JoinType::Left | JoinType::Full | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => true,
    }
}

impl Shape {
    /// The shape of an operator.
    pub(crate) fn of(node: &dyn ExecutionPlan) -> Self {
        if let Some(source) = node.downcast_ref::<DataSourceExec>() {
            let source = source.data_source();
            let known = source.is::<FileScanConfig>() || source.is::<MemorySourceConfig>();
            return if known { Self::Leaf } else { Self::Whole };
        }
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            return match join.mode {
                PartitionMode::Partitioned => Self::Aligned,
                PartitionMode::CollectLeft if !emits_left(join.join_type) => Self::Collected,
                PartitionMode::CollectLeft | PartitionMode::Auto => Self::Whole,
            };
        }
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            return if emits_left(*join.join_type()) { Self::Whole } else { Self::Collected };
        }
        if node.is::<CrossJoinExec>() {
            return Self::Collected;
        }
        if node.is::<UnionExec>() {
            return Self::Union;
        }
        if node.is::<ScalarSubqueryExec>() {
            return Self::Scoped;
        }
        let leaf = node.is::<EmptyExec>()
            || node.is::<PlaceholderRowExec>()
            || node.is::<TpchScanExec>()
            || node.is::<ExchangeReaderExec>();
        if leaf {
            return Self::Leaf;
        }
        let aligned = node.is::<FilterExec>()
            || node.is::<ProjectionExec>()
            || node.is::<LocalLimitExec>()
            || node.is::<CooperativeExec>()
            || node.is::<SortExec>()
            || node.is::<AggregateExec>()
            || node.is::<WindowAggExec>()
            || node.is::<BoundedWindowAggExec>()
            || node.is::<UnnestExec>()
            || node.is::<AsyncFuncExec>()
            || node.is::<BufferExec>()
            || node.is::<RangeSampleExec>()
            || node.is::<SinkExec>()
            || node.is::<SortMergeJoinExec>();
        if aligned { Self::Aligned } else { Self::Whole }
    }
}

/// Partitions of a plan.
pub(crate) fn partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.output_partitioning().partition_count()
}

/// Whether every partition of the plan can be computed by a task of its own.
pub(crate) fn can_specialise(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let count = partitions(plan);
    if count <= 1 {
        return true;
    }
    let children = plan.children();
    match (Shape::of(plan.as_ref()), &children[..]) {
        (Shape::Leaf, []) => true,
        (Shape::Aligned, [_, ..]) => children.iter().all(|c| partitions(c) == count && can_specialise(c)),
        (Shape::Union, _) => children.iter().all(|c| can_specialise(c)),
        (Shape::Collected, [left, right]) => {
            partitions(left) == 1 && partitions(right) == count && can_specialise(right)
        }
        (Shape::Scoped, [input, ..]) => partitions(input) == count && can_specialise(input),
        _ => false,
    }
}

/// The plan that gives, as its only partition, partition `p` of `plan`.
pub(crate) fn specialise(plan: &Arc<dyn ExecutionPlan>, p: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let count = partitions(plan);
    if p >= count {
        return plan_err!("partition {p} of a plan of {count} partitions");
    }
    if count == 1 {
        return Ok(Arc::clone(plan));
    }
    let children = plan.children();
    if let (Some(sink), [input]) = (plan.downcast_ref::<SinkExec>(), &children[..]) {
        // Its files are called after the partition.
        return Ok(Arc::new(sink.keep_partition(specialise(input, p)?, p)?));
    }
    let new = match (Shape::of(plan.as_ref()), &children[..]) {
        (Shape::Leaf, []) => return keep_partition(plan, p),
        (Shape::Union, _) => return branch(&children, p),
        (Shape::Aligned, _) => children.iter().map(|c| specialise(c, p)).collect::<Result<Vec<_>>>()?,
        (Shape::Collected, [left, right]) => vec![Arc::clone(left), specialise(right, p)?],
        (Shape::Scoped, [input, others @ ..]) => {
            let others = others.iter().map(|o| Arc::clone(o));
            std::iter::once(specialise(input, p)?).chain(others).collect()
        }
        _ => return internal_err!("{} has {count} partitions, and cannot be specialised to one", plan.name()),
    };
    replace_children(plan, new)
}

/// The operator over other children.
pub(crate) fn replace_children(
    plan: &Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    Arc::clone(plan).replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

fn branch(children: &[&Arc<dyn ExecutionPlan>], mut p: usize) -> Result<Arc<dyn ExecutionPlan>> {
    for child in children {
        match p.checked_sub(partitions(child)) {
            None => return specialise(child, p),
            Some(rest) => p = rest,
        }
    }
    internal_err!("a union has fewer partitions than it says, by {}", p + 1)
}

fn keep_partition(leaf: &Arc<dyn ExecutionPlan>, p: usize) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(reader) = leaf.downcast_ref::<ExchangeReaderExec>() {
        return Ok(Arc::new(reader.keep_partition(p)?));
    }
    if let Some(scan) = leaf.downcast_ref::<TpchScanExec>() {
        return Ok(Arc::new(scan.keep_partition(p)?));
    }
    if leaf.is::<EmptyExec>() {
        return Ok(Arc::new(EmptyExec::new(leaf.schema())));
    }
    if leaf.is::<PlaceholderRowExec>() {
        return Ok(Arc::new(PlaceholderRowExec::new(leaf.schema())));
    }
    let Some(source) = leaf.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source) else {
        return internal_err!("{} is a leaf of unknown kind", leaf.name());
    };
    if let Some(files) = source.downcast_ref::<FileScanConfig>() {
        let Some(group) = files.file_groups.get(p) else {
            return internal_err!("partition {p} of a scan of {} file groups", files.file_groups.len());
        };
        let kept = FileScanConfigBuilder::from(files.clone()).with_file_groups(vec![group.clone()]);
        // A declared partitioning is about all groups.
        return Ok(DataSourceExec::from_data_source(kept.with_output_partitioning(None).build()));
    }
    if let Some(memory) = source.downcast_ref::<MemorySourceConfig>() {
        return keep_batches(memory, &leaf.schema(), p);
    }
    internal_err!("{} reads a source of unknown kind", leaf.name())
}

/// The batches of one partition, projected: what is known of their order is known of the projected columns.
fn keep_batches(memory: &MemorySourceConfig, schema: &SchemaRef, p: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(batches) = memory.partitions().get(p) else {
        return internal_err!("partition {p} of {} in memory", memory.partitions().len());
    };
    let projected = match memory.projection() {
        Some(columns) => batches.iter().map(|b| Ok(b.project(columns)?)).collect::<Result<Vec<_>>>()?,
        None => batches.clone(),
    };
    let kept = MemorySourceConfig::try_new(&[projected], Arc::clone(schema), None)?
        .with_limit(memory.fetch())
        .try_with_sort_information(memory.sort_information().to_vec())?;
    Ok(DataSourceExec::from_data_source(kept))
}
