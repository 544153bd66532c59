//! Repartitions that a user asked for: `DISTRIBUTE BY`, the hint `/*+ REPARTITION(n) */`, `DataFrame::repartition`.
//!
//! DataFusion's optimizer takes every repartition out of a plan and puts back those that operators need. What was asked for
//! shall stay, so it is given another operator before the optimizer begins.

use crate::leaf::over_one_input;
use datafusion::{
    common::{
        Result, ScalarValue,
        config::ConfigOptions,
        plan_err,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, LogicalPlan, Partitioning as Scheme, Repartition},
    optimizer::AnalyzerRule,
    physical_expr::PhysicalExpr,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, StatisticsArgs,
        repartition::RepartitionExec,
    },
};
use hearth_core::stage::MAX_PARTITIONS;
use std::{fmt, sync::Arc};

/// A repartition that was asked for. Where stages are cut it becomes an exchange.
#[derive(Debug)]
pub(crate) struct AskedRepartitionExec(RepartitionExec);

impl AskedRepartitionExec {
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self(RepartitionExec::try_new(input, self.partitioning().clone())?))
    }

    /// How rows are spread.
    pub(crate) fn partitioning(&self) -> &Partitioning {
        self.0.partitioning()
    }

    /// Whose rows.
    pub(crate) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        self.0.input()
    }
}

impl DisplayAs for AskedRepartitionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AskedRepartitionExec: partitioning={}", self.partitioning())
    }
}

impl ExecutionPlan for AskedRepartitionExec {
    fn name(&self) -> &'static str {
        "AskedRepartitionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.0.input()]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(f)
    }

    over_one_input!();

    /// The tasks of a scan are one thing, and what they write another.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![true]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.0.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.0.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<datafusion::common::Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<datafusion::common::Statistics>> {
        self.0.statistics_from_inputs(inputs, args)
    }
}

/// Says for `DISTRIBUTE BY`, which physical plans do not know, how many partitions: an integer that stands first, or as
/// many as any shuffle has. An integer alone is dealt to in turn.
#[derive(Debug)]
pub(crate) struct DistributeBy;

impl AnalyzerRule for DistributeBy {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let partitions = config.execution.target_partitions;
        let scheme = |plan| match plan {
            LogicalPlan::Repartition(Repartition { input, partitioning_scheme: Scheme::DistributeBy(keys) }) => {
                let partitioning_scheme = scheme_of(keys, partitions)?;
                Ok(Transformed::yes(LogicalPlan::Repartition(Repartition { input, partitioning_scheme })))
            }
            other => Ok(Transformed::no(other)),
        };
        Ok(plan.transform_up_with_subqueries(scheme)?.data)
    }

    fn name(&self) -> &'static str {
        "distribute_by"
    }
}

fn scheme_of(mut keys: Vec<Expr>, partitions: usize) -> Result<Scheme> {
    let asked = match keys.first() {
        Some(Expr::Literal(ScalarValue::Int64(Some(count)), _)) => Some(*count),
        _ => None,
    };
    let Some(count) = asked else { return Ok(Scheme::Hash(keys, partitions)) };
    let count = match u32::try_from(count) {
        Ok(count) if (1..=MAX_PARTITIONS).contains(&count) => count as usize,
        _ => return plan_err!("a repartition into {count} partitions; 1 to {MAX_PARTITIONS} can be"),
    };
    keys.remove(0);
    Ok(if keys.is_empty() { Scheme::RoundRobinBatch(count) } else { Scheme::Hash(keys, count) })
}

/// Makes the repartitions of a plan that was not optimised yet, all of them asked for, ones that stay.
#[derive(Debug)]
pub(crate) struct KeepAsked;

impl PhysicalOptimizerRule for KeepAsked {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = |node: Arc<dyn ExecutionPlan>| match node.downcast_ref::<RepartitionExec>() {
            Some(asked) => {
                Ok(Transformed::yes(Arc::new(AskedRepartitionExec(asked.clone())) as Arc<dyn ExecutionPlan>))
            }
            None => Ok(Transformed::no(node)),
        };
        Ok(plan.transform_up(kept)?.data)
    }

    fn name(&self) -> &'static str {
        "keep_asked_repartitions"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
