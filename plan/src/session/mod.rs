//! SQL text and tables to plans.
//!
//! ```text
//! text ──statements──> Statement ──plan──> Planned::Query   a stage graph, for executors
//!                                    └───> Planned::Local   rows, already computed here
//! ```
//!
//! What holds:
//! - Statements are parsed and planned on threads of their own, with stacks for the deepest that is let through.
//! - Catalogue statements (SHOW, DESCRIBE, SET, CREATE …, EXPLAIN) run here, and change this session only.
//! - Whatever a user sets, `pin` keeps the settings that plans of several processes rely on.
//! - A file that is missing, empty, cut off or of another format is named when its table is registered, not when a task
//!   stumbles over it.

mod apart;
mod local;
mod macros;
mod names;
mod nesting;
mod rewrite;
mod statement;
mod stores;
mod tables;
mod variables;
mod windows;

pub use statement::Statement;
pub use variables::Variable;

use crate::{
    PlanError, StoreSettings, depth,
    exchange::{DistributeBy, KeepAsked},
    payload,
    stages::{CutOptions, StageText, TableNames, cut, render},
    tpch,
};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::{config::ConfigOptions, tree_node::TreeNodeRecursion},
    datasource::{listing::ListingTable, source_as_provider},
    execution::{SessionStateBuilder, runtime_env::RuntimeEnv, session_state::SessionState},
    logical_expr::{Analyze, DdlStatement, LogicalPlan, Statement as Command},
    physical_optimizer::{PhysicalOptimizerRule, optimizer::PhysicalOptimizer},
    physical_plan::ExecutionPlan,
    prelude::{SessionConfig, SessionContext},
};
use hearth_core::{StageGraph, conf::RangeSort};
use macros::MacroFactory;
use std::{collections::BTreeMap, fmt, num::NonZeroUsize, sync::Arc};

/// How a session plans.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Partitions of a shuffle, and of a scan at most.
    pub partitions: usize,
    /// Rows of a batch.
    pub batch_size: usize,
    /// What statements that run in the driver may use; DataFusion's default when not given.
    pub runtime: Option<Arc<RuntimeEnv>>,
    /// What is known of object stores.
    pub stores: StoreSettings,
    /// Settings of DataFusion by their full names (`datafusion.execution.time_zone`).
    pub settings: BTreeMap<String, String>,
    /// When a sort of the whole result is spread over partitions by ranges of its keys.
    pub range_sort: RangeSort,
}

impl Default for SessionOptions {
    /// 8 partitions, so that a few executors of a few cores are busy, and DataFusion's 8,192 rows.
    fn default() -> Self {
        Self {
            partitions: 8,
            batch_size: 8192,
            runtime: None,
            stores: StoreSettings::default(),
            settings: BTreeMap::new(),
            range_sort: RangeSort::Auto,
        }
    }
}

/// A statement that is ready to run, or has run.
#[derive(Debug)]
pub enum Planned {
    /// To be run by executors.
    Query {
        /// Its stages.
        graph: StageGraph,
        /// The columns of its result.
        schema: SchemaRef,
        /// Its stages for people.
        explain: String,
    },
    /// To be run by executors for what is to be learnt from it: its rows are dropped where they are made.
    Analyze {
        /// Its stages.
        graph: StageGraph,
        /// Its stages for people.
        texts: Vec<StageText>,
        /// Whether to tell of each operator.
        verbose: bool,
    },
    /// Done.
    Local(Vec<RecordBatch>, SchemaRef),
}

/// The tables, variables and functions that the statements of one user see.
#[derive(Clone)]
pub struct SqlSession {
    context: SessionContext,
    cut: CutOptions,
}

impl SqlSession {
    /// A session that knows the `tpch` catalog.
    pub fn new(options: SessionOptions) -> Result<Self, PlanError> {
        let mut config = SessionConfig::new();
        let settings = config.options_mut();
        for (key, value) in &options.settings {
            settings.set(key, value)?;
        }
        settings.execution.planning_concurrency = 1;
        choose(settings, &options)?;
        settings.catalog.information_schema = true;
        settings.sql_parser.collect_spans = true;
        pin(settings);
        let (stores, runtime) = stores::runtime(options.runtime, options.stores)?;
        let state = SessionStateBuilder::new()
            .with_config(config.with_extension(stores))
            .with_runtime_env(runtime)
            .with_default_features()
            .with_analyzer_rule(Arc::new(DistributeBy))
            .with_analyzer_rule(Arc::new(windows::RefuseWhatIsLost))
            .with_physical_optimizer_rules(physical_rules())
            .with_function_factory(Some(Arc::new(MacroFactory)));
        let context = tables::context(state);
        context.register_catalog(tpch::CATALOG_NAME, tpch::catalog());
        Ok(Self { context, cut: CutOptions { range_sort: options.range_sort } })
    }

    /// The same tables, views and variables, with what is planned by other options; its runtime and settings stay.
    pub fn with_options(&self, options: &SessionOptions) -> Result<Self, PlanError> {
        let state = self.context.state_ref();
        choose(state.write().config_mut().options_mut(), options)?;
        Ok(Self { context: self.context.clone(), cut: CutOptions { range_sort: options.range_sort } })
    }

    /// The session of DataFusion underneath, to register tables of other kinds.
    pub const fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The statements of a text, in order.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>, PlanError> {
        let state = self.context.state();
        apart::compute(|| statement::split(&state.config_options().sql_parser, sql))
    }

    /// Plans a text of one statement.
    pub async fn plan(&self, sql: &str) -> Result<Planned, PlanError> {
        let mut statements = self.statements(sql)?;
        match (statements.pop(), statements.len()) {
            (Some(statement), 0) => self.plan_statement(&statement).await,
            (None, _) => Err(PlanError::Syntax("there is no statement in the text".into())),
            (Some(_), n) => Err(PlanError::Syntax(format!("expected one statement, found {}", n + 1))),
        }
    }

    /// Plans a statement, or runs it if it is one for the driver.
    pub async fn plan_statement(&self, statement: &Statement) -> Result<Planned, PlanError> {
        let (session, statement) = (self.clone(), statement.clone());
        let plan = move || async move {
            let planned = session.plan_logical(&statement).await;
            planned.map_err(|e| session.hint_variable(&statement, session.hint(e)))
        };
        apart::run(plan).await
    }

    async fn plan_logical(&self, statement: &Statement) -> Result<Planned, PlanError> {
        let state = self.context.state();
        let plan = state.statement_to_plan(statement.inner().clone()).await?;
        depth::check_logical(&plan)?;
        match plan {
            LogicalPlan::Dml(dml) => Err(PlanError::Unsupported(format!("{} of a table", dml.op))),
            LogicalPlan::Copy(_) => Err(PlanError::Unsupported("COPY".into())),
            LogicalPlan::Analyze(analyze) => self.analyze(analyze).await,
            LogicalPlan::Explain(explain) => {
                let stages = self.explain_stages(&explain.plan).await;
                self.explain(LogicalPlan::Explain(explain), stages).await
            }
            LogicalPlan::Statement(Command::Execute(_)) => {
                let prepared = self.context.execute_logical_plan(plan).await?;
                self.query(&prepared.into_unoptimized_plan()).await
            }
            LogicalPlan::Ddl(DdlStatement::CreateExternalTable(mut table)) => {
                self.take_options_of_table(&mut table)?;
                self.run_here(LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table))).await
            }
            LogicalPlan::Ddl(DdlStatement::DropFunction(mut drop)) => {
                // As it was named when it was made.
                drop.name = drop.name.to_lowercase();
                self.run_here(LogicalPlan::Ddl(DdlStatement::DropFunction(drop))).await
            }
            plan @ (LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) | LogicalPlan::DescribeTable(_)) => {
                self.run_here(plan).await
            }
            plan => self.query(&plan).await,
        }
    }

    /// Cuts a query, or runs it here if it asks about this session.
    async fn query(&self, plan: &LogicalPlan) -> Result<Planned, PlanError> {
        let (state, physical) = self.physical(plan).await?;
        if local::reads_session(&physical) {
            return self.run_physical_here(physical).await;
        }
        let (graph, texts) = cut(&physical, &table_names(plan), &state.task_ctx(), self.cut)?;
        let explain = render(&graph, &texts);
        Ok(Planned::Query { graph, schema: physical.schema(), explain })
    }

    /// Cuts a query whose rows nobody wants. A statement that writes would write: that is not what an explanation is for.
    async fn analyze(&self, analyze: Analyze) -> Result<Planned, PlanError> {
        let plan = &analyze.input;
        if matches!(**plan, LogicalPlan::Dml(_) | LogicalPlan::Copy(_) | LogicalPlan::Ddl(_)) {
            let what = "EXPLAIN ANALYZE of a statement that writes (analyze its query, or run it with --verbose)";
            return Err(PlanError::Unsupported(what.into()));
        }
        let (state, physical) = self.physical(plan).await?;
        if local::reads_session(&physical) {
            return self.run_here(LogicalPlan::Analyze(analyze)).await;
        }
        let (mut graph, texts) = cut(&physical, &table_names(plan), &state.task_ctx(), self.cut)?;
        let result = graph.result();
        graph.stages[result].payload = payload::discarding(&graph.stages[result].payload)?;
        Ok(Planned::Analyze { graph, texts, verbose: analyze.verbose })
    }

    async fn physical(&self, plan: &LogicalPlan) -> Result<(SessionState, Arc<dyn ExecutionPlan>), PlanError> {
        let mut state = self.context.state();
        pin(state.config_mut().options_mut());
        let physical = state.create_physical_plan(plan).await?;
        depth::check_physical(&physical)?;
        Ok((state, physical))
    }

    /// What EXPLAIN says of a plan's stages; the reason if it cannot be cut.
    async fn explain_stages(&self, plan: &LogicalPlan) -> String {
        match self.physical(plan).await {
            Ok((_, physical)) if local::reads_session(&physical) => "runs in the driver".into(),
            Ok((state, physical)) => match cut(&physical, &table_names(plan), &state.task_ctx(), self.cut) {
                Ok((graph, texts)) => render(&graph, &texts),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        }
    }
}

impl fmt::Debug for SqlSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlSession").field("id", &self.context.session_id()).finish_non_exhaustive()
    }
}

/// What options say in DataFusion's own words.
fn choose(settings: &mut ConfigOptions, options: &SessionOptions) -> Result<(), PlanError> {
    settings.execution.target_partitions = options.partitions.max(1);
    let batch_size = NonZeroUsize::new(options.batch_size.max(1)).unwrap_or(NonZeroUsize::MIN);
    Ok(settings.set("datafusion.execution.batch_size", &batch_size.to_string())?)
}

/// DataFusion's, after what must happen before them.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.insert(0, Arc::new(KeepAsked));
    rules
}

/// The settings that plans of several processes rely on.
fn pin(settings: &mut ConfigOptions) {
    let optimizer = &mut settings.optimizer;
    // Only exchanges that change where rows belong are worth a stage; tasks are what spreads work.
    optimizer.enable_round_robin_repartition = false;
    optimizer.repartition_file_scans = true;
    // A filter that is filled while the query runs does not reach scans in other processes.
    optimizer.enable_dynamic_filter_pushdown = false;
    optimizer.enable_topk_dynamic_filter_pushdown = false;
    optimizer.enable_join_dynamic_filter_pushdown = false;
    optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // A build side that is collected although it could be partitioned is read by every task. From estimates alone that is
    // too bold.
    optimizer.hash_join_single_partition_threshold = 0;
    optimizer.hash_join_single_partition_threshold_rows = 0;
    // An interleave wants to see the hash partitioning of its inputs, which readers do not show.
    optimizer.prefer_existing_union = true;
    // Both plan operators that have no form in which they could travel.
    optimizer.enable_piecewise_merge_join = false;
    optimizer.enable_window_topn = false;
    // Subqueries that give several rows must fail, which only the operator checks.
    optimizer.enable_physical_uncorrelated_scalar_subquery = true;
    // Tables are made for it: see `tables`.
    settings.execution.listing_table_ignore_subdirectory = true;
    // Tasks are the partitions of several plan instances: there is nobody to steal from.
    settings.execution.enable_file_stream_work_stealing = false;
}

/// The tables of files that a plan scans.
fn table_names(plan: &LogicalPlan) -> TableNames {
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
