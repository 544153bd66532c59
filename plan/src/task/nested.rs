//! Nested loop joins whose left side does not fit into memory.
//!
//! DataFusion's operator goes over it in pieces then, and three things about that are not as they should be:
//! - Each partition of the right side decides by itself which rows of the left side found no partner: with several, a row comes
//!   more than once (a comment in its source says so). Where such a join gives rows of its left side alone, its right side is
//!   one partition. That the stage has one says nothing: there may be several below an aggregate, or in a recursive query.
//! - A full join of one right partition loses rows of that side. It is kept from going over its left side in pieces at all, and
//!   says that it ran out of memory.
//! - It executes the left side a second time, which not everything can be: see [`again`].

mod again;

use super::specialise::{emits_left, replace_children};
use again::AgainExec;
use datafusion::{
    common::{
        JoinType, Result,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, coalesce_partitions::CoalescePartitionsExec, empty::EmptyExec,
        joins::NestedLoopJoinExec, union::UnionExec,
    },
};
use std::sync::Arc;

/// The same plan with such joins as they are always right.
pub(super) fn with_one_right_side(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else { return Ok(Transformed::no(node)) };
        let partitions = join.right().output_partitioning().partition_count();
        if *join.join_type() == JoinType::Full {
            return if partitions == 1 {
                in_memory(&node, join).map(Transformed::yes)
            } else {
                Ok(Transformed::no(node))
            };
        }
        if !emits_left(*join.join_type()) || partitions <= 1 {
            return Ok(Transformed::no(node));
        }
        let right = Arc::new(CoalescePartitionsExec::new(Arc::clone(join.right())));
        let children = vec![Arc::clone(join.left()), right as Arc<dyn ExecutionPlan>];
        Ok(Transformed::yes(replace_children(&node, children)?))
    })
    .data()
}

/// The same full join, which runs out of memory instead of going over its left side in pieces: it would lose rows of its right
/// side. It does not do so where there are several right partitions; so it gets one more, of no rows.
fn in_memory(node: &Arc<dyn ExecutionPlan>, join: &NestedLoopJoinExec) -> Result<Arc<dyn ExecutionPlan>> {
    let nothing: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(join.right().schema()));
    let right = UnionExec::try_new(vec![Arc::clone(join.right()), nothing])?;
    let join = replace_children(node, vec![Arc::clone(join.left()), right])?;
    Ok(Arc::new(CoalescePartitionsExec::new(join)))
}

/// The same plan, where such joins can ask for their left side twice. Nothing may come between: what these keep is what the join
/// keeps.
pub(super) fn with_left_sides_that_come_again(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else { return Ok(Transformed::no(node)) };
        let left = Arc::new(AgainExec::new(Arc::clone(join.left())));
        let children = vec![left as Arc<dyn ExecutionPlan>, Arc::clone(join.right())];
        Ok(Transformed::yes(replace_children(&node, children)?))
    })
    .data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{AsArray, Int64Array, RecordBatch},
        datatypes::Int64Type,
    };
    use datafusion::{
        common::JoinSide,
        datasource::memory::MemorySourceConfig,
        execution::{TaskContext, memory_pool::FairSpillPool, runtime_env::RuntimeEnvBuilder},
        logical_expr::Operator,
        physical_expr::expressions::{binary, col},
        physical_plan::{
            Partitioning, collect,
            joins::utils::{ColumnIndex, JoinFilter},
            repartition::RepartitionExec,
        },
    };

    /// Numbers from and below, by partition.
    fn numbers(partitions: &[(i64, i64)]) -> Arc<dyn ExecutionPlan> {
        let batch = |(from, below): &(i64, i64)| {
            let all = (*from..*below).collect::<Vec<_>>();
            let cut =
                |rows: &[i64]| RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(rows.to_vec())) as _)]);
            all.chunks(1000).map(|rows| cut(rows).unwrap()).collect::<Vec<_>>()
        };
        let batches: Vec<_> = partitions.iter().map(batch).collect();
        let schema = batches[0][0].schema();
        MemorySourceConfig::try_new_exec(&batches, schema, None).unwrap()
    }

    /// Each number of the left side up to 100 has one partner, in one of the partitions.
    fn join(left: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        join_of(JoinType::Left, left, numbers(&[(0, 30), (30, 60), (60, 100)]))
    }

    fn join_of(kind: JoinType, left: Arc<dyn ExecutionPlan>, right: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let both = arrow::datatypes::Schema::new(vec![
            left.schema().field(0).clone().with_name("l"),
            right.schema().field(0).clone().with_name("r"),
        ]);
        let equal = binary(col("l", &both).unwrap(), Operator::Eq, col("r", &both).unwrap(), &both).unwrap();
        let columns = [JoinSide::Left, JoinSide::Right].map(|side| ColumnIndex { index: 0, side });
        let filter = JoinFilter::new(equal, columns.to_vec(), Arc::new(both));
        Arc::new(NestedLoopJoinExec::try_new(left, right, Some(filter), &kind, None).unwrap())
    }

    async fn rows(plan: Arc<dyn ExecutionPlan>, memory: usize) -> (usize, usize) {
        try_rows(plan, memory).await.unwrap()
    }

    async fn try_rows(plan: Arc<dyn ExecutionPlan>, memory: usize) -> Result<(usize, usize)> {
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(memory))).build_arc();
        let context = Arc::new(TaskContext::default().with_runtime(runtime.unwrap()));
        let plan = Arc::new(CoalescePartitionsExec::new(plan));
        let batches = collect(plan, context).await?;
        let partners = |batch: &RecordBatch| batch.column(1).as_primitive::<Int64Type>().iter().flatten().count();
        Ok((batches.iter().map(RecordBatch::num_rows).sum(), batches.iter().map(partners).sum()))
    }

    #[tokio::test]
    async fn no_row_comes_twice_when_memory_is_short() {
        let join = || join(numbers(&[(0, 20_000)]));
        assert_eq!(rows(join(), 100 << 20).await, (20_000, 100), "in memory");
        assert_eq!(rows(with_one_right_side(join()).unwrap(), 100 << 10).await, (20_000, 100), "in pieces");
    }

    #[tokio::test]
    async fn a_full_join_loses_no_rows_when_memory_is_short() {
        let join = || join_of(JoinType::Full, numbers(&[(0, 20_000)]), numbers(&[(19_990, 20_010)]));
        let safe = || with_one_right_side(join()).unwrap();
        assert_eq!(rows(safe(), 100 << 20).await, (20_010, 20), "in memory");
        let error = try_rows(safe(), 100 << 10).await.expect_err("it cannot be right");
        assert!(error.to_string().contains("Resources exhausted"), "{error}");
    }

    #[tokio::test]
    async fn a_left_side_that_can_be_executed_only_once_is_spilled_all_the_same() {
        let numbers = numbers(&[(0, 10_000), (10_000, 20_000)]);
        let key = col("n", &numbers.schema()).unwrap();
        let spread = Arc::new(RepartitionExec::try_new(numbers, Partitioning::Hash(vec![key], 2)).unwrap());
        let join = join(Arc::new(CoalescePartitionsExec::new(spread)));
        let join = with_left_sides_that_come_again(with_one_right_side(join).unwrap()).unwrap();
        assert_eq!(rows(Arc::clone(&join), 100 << 10).await, (20_000, 100));
        let spilled = |plan: &Arc<dyn ExecutionPlan>| plan.metrics().and_then(|all| all.spilled_rows()).unwrap_or(0);
        assert!(spilled(&join) >= 20_000, "{}", spilled(&join));
    }
}
