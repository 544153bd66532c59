//! What the operators of a task did.
//!
//! An operator's place is its number in the stage's whole plan, each before its inputs: the line that `EXPLAIN` gives it. A
//! task's own plan has the same operators, except that it has only one branch of a union, that others may stand between them,
//! such as a coalesce on top, and that a join may be one that spills.

use super::{specialise::partitions, thrifty};
use datafusion::physical_plan::{ExecutionPlan, metrics::MetricsSet, union::UnionExec};
use hearth_core::messages::task::{MAX_OPERATORS, OperatorMetrics, TaskMetrics};
use std::sync::Arc;

type Plan = Arc<dyn ExecutionPlan>;

/// The place of an operator that the stage's plan does not have. What it spills counts.
const NOWHERE: u32 = u32::MAX;

/// The operators of a task's plan, with their places.
pub(super) struct Operators(Vec<(u32, Plan)>);

impl Operators {
    /// Those of `task`, which computes partition `partition` of `stage`, or all of it.
    pub(super) fn of(stage: &Plan, task: &Plan, partition: usize) -> Self {
        let mut operators = Self(Vec::new());
        operators.pair(stage, task, partition, 0);
        operators
    }

    fn pair(&mut self, stage: &Plan, task: &Plan, partition: usize, place: u32) {
        let (inputs, own) = (stage.children(), task.children());
        if inputs.len() == own.len() && (stage.name() == task.name() || thrifty::is_twin(stage, task)) {
            self.0.push((place, Arc::clone(task)));
            let mut place = place + 1;
            for (input, own) in inputs.into_iter().zip(own) {
                self.pair(input, own, partition, place);
                place += count(input);
            }
        } else if stage.is::<UnionExec>() {
            self.pair_branch(&inputs, task, partition, place + 1);
        } else if let [only] = own[..] {
            self.0.push((NOWHERE, Arc::clone(task)));
            self.pair(stage, only, partition, place);
        }
    }

    /// The branch of a union that a task has in its place.
    fn pair_branch(&mut self, branches: &[&Plan], task: &Plan, mut partition: usize, mut place: u32) {
        for branch in branches {
            match partition.checked_sub(partitions(branch)) {
                None => return self.pair(branch, task, partition, place),
                Some(rest) => partition = rest,
            }
            place += count(branch);
        }
    }

    /// What they did so far.
    pub(super) fn metrics(&self) -> TaskMetrics {
        let mut all = TaskMetrics::default();
        for (place, operator) in &self.0 {
            let Some(metrics) = operator.metrics() else { continue };
            let rows = number(metrics.output_rows());
            if operator.children().is_empty() {
                all.rows_read += rows;
                all.bytes_scanned += bytes_scanned(&metrics);
            }
            all.bytes_spilled += number(metrics.spilled_bytes());
            if *place < MAX_OPERATORS {
                let compute_micros = number(metrics.elapsed_compute()) / 1000;
                all.operators.push(OperatorMetrics { place: *place, rows, compute_micros });
            }
        }
        all
    }
}

/// The name under which DataFusion's readers that know it count what they read.
fn bytes_scanned(metrics: &MetricsSet) -> u64 {
    metrics.sum_by_name("bytes_scanned").map_or(0, |bytes| bytes.as_usize() as u64)
}

fn number(metric: Option<usize>) -> u64 {
    metric.unwrap_or(0) as u64
}

/// How many operators a plan has; no plan has four billions.
fn count(plan: &Plan) -> u32 {
    plan.children().into_iter().map(count).sum::<u32>() + 1
}
