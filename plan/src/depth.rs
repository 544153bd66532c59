//! How deep plans are.
//!
//! Everything here walks without recursion. A plan refers to parts of itself more than once (a view used twice), and is
//! walked as the tree that it stands for, since that is what planning works through.

use crate::PlanError;
use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{Expr, LogicalPlan},
    physical_expr::PhysicalExpr,
    physical_plan::ExecutionPlan,
};
use std::sync::Arc;

/// Levels of a logical plan, expressions and subqueries included: a statement's own, and what its views and common table
/// expressions bring.
pub(crate) const MAX_LOGICAL: usize = 1024 + 512;
/// Nodes of a logical plan, expressions included. Planning looks at each some hundred times.
const MAX_NODES: usize = 4_000_000;
/// Joins of a statement. Each makes planning look at all the others again; a hundred take seconds.
pub(crate) const MAX_JOINS: usize = 256;
/// Levels of a physical plan, expressions included. Executors compute it by recursion, on threads with stacks of 64 MiB, of
/// which a build without optimisation needs up to 50 KiB a level.
pub(crate) const MAX_PHYSICAL: usize = 1200;

pub(crate) fn too_many_joins() -> PlanError {
    PlanError::Unsupported(format!("a statement of more than {MAX_JOINS} joins"))
}

/// A walk through a logical plan.
struct Walk {
    /// Subqueries to be walked, and the level each is at.
    subqueries: Vec<(usize, Arc<LogicalPlan>)>,
    nodes: usize,
    joins: usize,
}

/// Refuses a logical plan that is too deep, or too large, to be optimised.
pub(crate) fn check_logical(plan: &LogicalPlan) -> Result<(), PlanError> {
    let mut walk = Walk { subqueries: Vec::new(), nodes: 0, joins: 0 };
    walk.plan(1, plan)?;
    while let Some((depth, plan)) = walk.subqueries.pop() {
        walk.plan(depth, &plan)?;
    }
    Ok(())
}

impl Walk {
    fn plan(&mut self, depth: usize, plan: &LogicalPlan) -> Result<(), PlanError> {
        let mut open = vec![(depth, plan)];
        while let Some((depth, plan)) = open.pop() {
            self.enter(depth)?;
            self.joins += usize::from(matches!(plan, LogicalPlan::Join(_)));
            if self.joins > MAX_JOINS {
                return Err(too_many_joins());
            }
            open.extend(plan.inputs().into_iter().map(|input| (depth + 1, input)));
            let mut entered = Ok(());
            plan.apply_expressions(|expr| {
                entered = self.expression(depth + 1, expr);
                Ok(if entered.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
            })?;
            entered?;
        }
        Ok(())
    }

    fn expression(&mut self, depth: usize, expr: &Expr) -> Result<(), PlanError> {
        let mut open = vec![(depth, expr)];
        while let Some((depth, expr)) = open.pop() {
            self.enter(depth)?;
            let subquery = match expr {
                Expr::ScalarSubquery(subquery) => Some(subquery),
                Expr::Exists(exists) => Some(&exists.subquery),
                Expr::InSubquery(within) => Some(&within.subquery),
                Expr::SetComparison(comparison) => Some(&comparison.subquery),
                _ => None,
            };
            self.subqueries.extend(subquery.map(|s| (depth + 1, Arc::clone(&s.subquery))));
            expr.apply_children(|child| {
                open.push((depth + 1, child));
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(())
    }

    fn enter(&mut self, depth: usize) -> Result<(), PlanError> {
        self.nodes += 1;
        if depth > MAX_LOGICAL {
            return Err(PlanError::too_deep(depth, MAX_LOGICAL));
        }
        if self.nodes > MAX_NODES {
            return Err(PlanError::Query(format!(
                "the statement's plan has more than {MAX_NODES} parts; does it use views or common table expressions \
                 many times over?"
            )));
        }
        Ok(())
    }
}

enum Physical {
    Plan(Arc<dyn ExecutionPlan>),
    Expr(Arc<dyn PhysicalExpr>),
}

/// Refuses a physical plan that is too deep for the threads that run it.
pub(crate) fn check_physical(plan: &Arc<dyn ExecutionPlan>) -> Result<(), PlanError> {
    let mut open = vec![(1_usize, Physical::Plan(Arc::clone(plan)))];
    while let Some((depth, node)) = open.pop() {
        if depth > MAX_PHYSICAL {
            return Err(PlanError::too_deep(depth, MAX_PHYSICAL));
        }
        match node {
            Physical::Plan(plan) => {
                open.extend(plan.children().into_iter().map(|child| (depth + 1, Physical::Plan(Arc::clone(child)))));
                plan.apply_expressions(&mut |expr| {
                    open.push((depth + 1, Physical::Expr(Arc::clone(expr))));
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
            Physical::Expr(expr) => {
                open.extend(expr.children().into_iter().map(|child| (depth + 1, Physical::Expr(Arc::clone(child)))));
            }
        }
    }
    Ok(())
}
