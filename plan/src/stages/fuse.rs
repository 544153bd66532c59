//! A whole query as one stage of one task: for a cluster that is one executor, whose slots the task takes.
//!
//! An exchange whose both sides run inside one executor's slots need not be a stage boundary: DataFusion's own exchanges
//! hand batches over in memory, where ours encode them, write them to files and read them again. The plan is one instance
//! in one process then, so that everything in it that looks at all partitions (dynamic filters, shared scans, build sides
//! collected once) is right as it is.

use super::{
    TableNames,
    cutter::{StageText, check_decodes},
    determinism, name,
};
use crate::{
    PlanError,
    exchange::AskedRepartitionExec,
    payload::{self, Output},
    task::specialise::{Shape, partitions},
};
use datafusion::{common::tree_node::TreeNode, execution::TaskContext, physical_plan::ExecutionPlan};
use hearth_core::{Determinism, StageGraph, StageNode};
use std::sync::Arc;

/// Whether all of a plan may be one task: not if a user asked for an exchange.
pub(crate) fn can_fuse(plan: &Arc<dyn ExecutionPlan>) -> bool {
    // The closure never fails.
    !plan.exists(|node| Ok(node.is::<AskedRepartitionExec>())).unwrap_or(true)
}

/// Whether the plan has no exchange at all: a task a partition is as good then, and gives its rows in the order of
/// partitions, as soon as each is done.
pub(crate) fn is_flat(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let keeps_apart = |node: &Arc<dyn ExecutionPlan>| match Shape::of(node.as_ref()) {
        Shape::Leaf | Shape::Union => true,
        Shape::Aligned => node.children().iter().all(|child| partitions(child) == partitions(node)),
        Shape::Collected | Shape::Scoped | Shape::Whole => false,
    };
    // The closure never fails.
    !plan.exists(|node| Ok(!keeps_apart(node))).unwrap_or(true)
}

/// A graph of one stage whose only task takes up to `slots` slots: no more than some operator has partitions.
pub(crate) fn fuse(
    plan: &Arc<dyn ExecutionPlan>,
    tables: &TableNames,
    context: &TaskContext,
    slots: u32,
) -> Result<(StageGraph, Vec<StageText>), PlanError> {
    let mut widest = 1;
    // The closure never fails.
    let _ = plan.exists(|node| {
        widest = widest.max(partitions(node));
        Ok(false)
    });
    let slots = slots.min(u32::try_from(widest).unwrap_or(u32::MAX)).max(1);
    let name = name::of(plan, tables);
    let shared = payload::Shared::of(context.session_config());
    let determinism = determinism::of(plan, Determinism::Determinate, true);
    let payload = payload::encode(&name, plan, &Output::Result, true, determinism, &shared)?;
    check_decodes(&payload, context)?;
    let text = StageText::fused(&name, slots, plan);
    let stage = StageNode { name, tasks: 1, slots, inputs: vec![], output_partitions: 1, payload, determinism };
    Ok((StageGraph { stages: vec![stage] }, vec![text]))
}
