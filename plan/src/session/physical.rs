//! From a logical plan to stages.
//!
//! A plan is laid out in one of two ways. *Fused*, it is one task in the only executor there is, planned as DataFusion
//! would for itself. *Cut*, it is stages, planned so that exchanges are few and every operator may see just one partition.

use super::{Planned, SessionOptions, SqlSession, local, pin, tables};
use crate::{
    PlanError, depth,
    optimize::{self, Rule, partitions_for},
    payload,
    stages::{CutOptions, StageText, TableNames, can_fuse, cut, fuse, is_flat, render},
};
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    datasource::{listing::ListingTable, sink::DataSinkExec, source_as_provider},
    execution::{SessionStateBuilder, session_state::SessionState},
    logical_expr::{Analyze, LogicalPlan},
    physical_plan::ExecutionPlan,
};
use hearth_core::StageGraph;
use std::sync::Arc;

/// How queries are laid out.
#[derive(Clone)]
pub(super) struct Layout {
    /// The slots of the only executor.
    fuse: Option<u32>,
    partition_bytes: Option<u64>,
    /// How a plan that will be cut is optimized.
    rules: Arc<[Rule]>,
    pub(super) cut: CutOptions,
}

impl Layout {
    pub(super) fn of(options: &SessionOptions) -> Self {
        Self {
            fuse: options.fuse,
            partition_bytes: options.partition_bytes,
            rules: optimize::rules_for_stages(options.broadcast_bytes, options.scans).into(),
            cut: CutOptions { range_sort: options.range_sort },
        }
    }
}

/// What a query becomes.
enum Staged {
    /// It asks about this session.
    Here(Arc<dyn ExecutionPlan>),
    Stages(StageGraph, Vec<StageText>, Arc<dyn ExecutionPlan>),
}

impl SqlSession {
    /// Makes stages of a query, or runs it here if it asks about this session.
    pub(super) async fn query(&self, plan: &LogicalPlan) -> Result<Planned, PlanError> {
        match self.stages(plan).await? {
            Staged::Here(physical) => self.run_physical_here(physical).await,
            Staged::Stages(graph, texts, physical) => {
                let explain = render(&graph, &texts);
                Ok(Planned::Query { graph, schema: physical.schema(), explain })
            }
        }
    }

    /// Stages of a query whose rows nobody wants. A statement that writes would write: that is not what an explanation is for.
    pub(super) async fn analyze(&self, analyze: Analyze) -> Result<Planned, PlanError> {
        let plan = &analyze.input;
        if matches!(**plan, LogicalPlan::Dml(_) | LogicalPlan::Copy(_) | LogicalPlan::Ddl(_)) {
            let what = "EXPLAIN ANALYZE of a statement that writes (analyze its query, or run it with --verbose)";
            return Err(PlanError::Unsupported(what.into()));
        }
        match self.stages(plan).await? {
            Staged::Here(_) => self.run_here(LogicalPlan::Analyze(analyze)).await,
            Staged::Stages(mut graph, texts, _) => {
                let result = graph.result();
                graph.stages[result].payload = payload::discarding(&graph.stages[result].payload)?;
                Ok(Planned::Analyze { graph, texts, verbose: analyze.verbose })
            }
        }
    }

    /// What EXPLAIN says of a plan's stages; the reason if it has none.
    pub(super) async fn explain_stages(&self, plan: &LogicalPlan) -> String {
        match self.explain_write(plan).await {
            Ok(None) => {}
            Ok(Some(stages)) => return stages,
            Err(error) => return error.to_string(),
        }
        match self.stages(plan).await {
            Ok(Staged::Here(_)) => "runs in the driver".into(),
            Ok(Staged::Stages(graph, texts, _)) => render(&graph, &texts),
            Err(error) => error.to_string(),
        }
    }

    async fn stages(&self, plan: &LogicalPlan) -> Result<Staged, PlanError> {
        let names = table_names(plan);
        if let Some(slots) = self.layout.fuse {
            let mut state = self.context.state();
            pin::for_one_task(state.config_mut().options_mut());
            let physical = physical(&state, plan).await?;
            if local::reads_session(&physical) {
                return Ok(Staged::Here(physical));
            }
            let stages = match (is_flat(&physical), can_fuse(&physical)) {
                (true, _) => Some(cut(&physical, &names, &state.task_ctx(), self.layout.cut)),
                (false, true) => Some(fuse(&physical, &names, &state.task_ctx(), slots)),
                (false, false) => None,
            };
            match stages {
                Some(Ok((graph, texts))) => return Ok(Staged::Stages(graph, texts, physical)),
                // Cut into stages, each is a smaller payload.
                Some(Err(error @ PlanError::TooLarge { .. })) => {
                    tracing::debug!(%error, "a query does not fit into one task");
                }
                Some(Err(error)) => return Err(error),
                None => {}
            }
        }
        let (state, physical) = self.physical_for_cutting(plan).await?;
        if local::reads_session(&physical) {
            return Ok(Staged::Here(physical));
        }
        let (graph, texts) = cut(&physical, &names, &state.task_ctx(), self.layout.cut)?;
        Ok(Staged::Stages(graph, texts, physical))
    }

    /// Plans once more with more partitions, when the first plan says that they would be too large.
    pub(super) async fn physical_for_cutting(
        &self,
        plan: &LogicalPlan,
    ) -> Result<(SessionState, Arc<dyn ExecutionPlan>), PlanError> {
        let state = SessionStateBuilder::new_from_existing(self.context.state());
        let mut state = state.with_physical_optimizer_rules(self.layout.rules.to_vec()).build();
        pin::for_stages(state.config_mut().options_mut());
        let first = physical(&state, plan).await?;
        let least = state.config().target_partitions();
        let wanted = self.layout.partition_bytes.map_or(least, |bytes| partitions_for(&first, bytes, least));
        if wanted <= least {
            return Ok((state, first));
        }
        state.config_mut().options_mut().execution.target_partitions = wanted;
        let second = physical(&state, plan).await?;
        Ok((state, second))
    }
}

async fn physical(state: &SessionState, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>, PlanError> {
    tables::gone::check(plan).await?;
    let physical = state.create_physical_plan(plan).await?;
    depth::check_physical(&physical)?;
    if physical.is::<DataSinkExec>() {
        // It would write where readers look, and nobody would commit it.
        return Err(PlanError::Unsupported("a statement that writes inside of this one".into()));
    }
    Ok(physical)
}

/// The tables of files that a plan scans.
pub(super) fn table_names(plan: &LogicalPlan) -> TableNames {
    let mut names = TableNames::default();
    // The closure never fails.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(listing) = provider.downcast_ref::<ListingTable>()
        {
            for path in listing.table_paths() {
                names.insert(path.prefix().as_ref(), scan.table_name.table());
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    names
}
