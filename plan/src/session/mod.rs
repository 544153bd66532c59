//! SQL text and tables to plans.
//!
//! ```text
//! text ──statements──> Statement ──plan──> Planned::Query   a stage graph, for executors
//!                                    ├───> Planned::Write   the same, and where their rows become visible afterwards
//!                                    └───> Planned::Local   rows, already computed here
//! ```
//!
//! What holds:
//! - Statements are parsed and planned on threads of their own, with stacks for the deepest that is let through.
//! - Catalogue statements (SHOW, DESCRIBE, SET, CREATE …, EXPLAIN) run here, and change this session only. CREATE TABLE
//!   writes: its rows are files, wherever they come from.
//! - Planning a write changes nothing.
//! - Whatever a user sets, `pin` keeps the settings that plans for executors rely on.
//! - A file that is missing, empty, cut off or of another format is named when its table is registered, not when a task
//!   stumbles over it.

mod apart;
mod local;
mod macros;
mod names;
mod nesting;
mod physical;
mod pin;
mod rewrite;
mod statement;
mod stores;
mod tables;
mod variables;
mod warehouse;
mod windows;
mod writes;

pub use statement::Statement;
pub use variables::Variable;

use crate::{
    PlanError, StoreSettings, Write, depth,
    exchange::DistributeBy,
    optimize::{self, ScanSplit},
    stages::StageText,
    tpch,
};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::config::ConfigOptions,
    execution::{SessionStateBuilder, runtime_env::RuntimeEnv},
    logical_expr::{DdlStatement, LogicalPlan, Statement as Command},
    prelude::{SessionConfig, SessionContext},
};
use hearth_core::{StageGraph, conf::RangeSort};
use macros::MacroFactory;
use physical::Layout;
use std::{collections::BTreeMap, fmt, num::NonZeroUsize, path::PathBuf, sync::Arc};
use warehouse::Warehouse;

/// How a session plans.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Partitions of a shuffle, and the least of a large scan.
    pub partitions: usize,
    /// Bytes that one partition of a shuffle should have at most, by estimate: where the plan's statistics say that it
    /// would have more, there are more partitions. `None` is as many as `partitions`, whatever the size.
    pub partition_bytes: Option<u64>,
    /// The slots of the only executor there is, where queries run as one task in all of them; `None` cuts them into stages.
    pub fuse: Option<u32>,
    /// The largest build side of a join, by estimate, that every task gets whole; `None` is none.
    pub broadcast_bytes: Option<u64>,
    /// How large scans are split.
    pub scans: ScanSplit,
    /// Rows of a batch.
    pub batch_size: usize,
    /// What statements that run in the driver may use; DataFusion's default when not given.
    pub runtime: Option<Arc<RuntimeEnv>>,
    /// The folder in which CREATE TABLE puts tables; they stay in it. Without it, they go with the session.
    pub warehouse: Option<PathBuf>,
    /// Where a folder is made for tables that go with the session.
    pub scratch: PathBuf,
    /// What is known of object stores.
    pub stores: StoreSettings,
    /// Settings of DataFusion by their full names (`datafusion.execution.time_zone`).
    pub settings: BTreeMap<String, String>,
    /// When a sort of the whole result is spread over partitions by ranges of its keys.
    pub range_sort: RangeSort,
}

impl Default for SessionOptions {
    /// 8 partitions, so that a few executors of a few cores are busy, DataFusion's 8,192 rows, and Spark's figures for the
    /// rest.
    fn default() -> Self {
        Self {
            partitions: 8,
            partition_bytes: None,
            fuse: None,
            broadcast_bytes: Some(10 << 20),
            scans: ScanSplit::default(),
            range_sort: RangeSort::Auto,
            batch_size: 8192,
            runtime: None,
            warehouse: None,
            scratch: std::env::temp_dir(),
            stores: StoreSettings::default(),
            settings: BTreeMap::new(),
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
    /// To be run by executors, whose rows are then committed.
    Write {
        /// Its stages. The result is one [`Manifest`](crate::Manifest) a partition.
        graph: StageGraph,
        /// What the statement gives in the end: the number of rows.
        schema: SchemaRef,
        /// Its stages for people.
        explain: String,
        /// What makes it visible.
        write: Write,
    },
    /// Done.
    Local(Vec<RecordBatch>, SchemaRef),
}

/// The tables, variables and functions that the statements of one user see.
#[derive(Clone)]
pub struct SqlSession {
    context: SessionContext,
    warehouse: Arc<Warehouse>,
    layout: Layout,
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
        let layout = Layout::of(&options);
        let (stores, runtime) = stores::runtime(options.runtime, options.stores)?;
        let state = SessionStateBuilder::new()
            .with_config(config.with_extension(stores))
            .with_runtime_env(runtime)
            .with_default_features()
            .with_analyzer_rule(Arc::new(DistributeBy))
            .with_analyzer_rule(Arc::new(windows::KeepWhatWouldBeLost))
            .with_physical_optimizer_rules(optimize::rules_for_one_task())
            .with_function_factory(Some(Arc::new(MacroFactory)));
        let context = tables::context(state);
        context.register_catalog(tpch::CATALOG_NAME, tpch::catalog());
        let warehouse = Arc::new(Warehouse::new(options.warehouse, options.scratch));
        Ok(Self { context, warehouse, layout })
    }

    /// The same tables, views and variables, with what is planned by other options; its runtime and settings stay.
    pub fn with_options(&self, options: &SessionOptions) -> Result<Self, PlanError> {
        let state = self.context.state_ref();
        choose(state.write().config_mut().options_mut(), options)?;
        let warehouse = Arc::clone(&self.warehouse);
        Ok(Self { context: self.context.clone(), warehouse, layout: Layout::of(options) })
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
            LogicalPlan::Dml(dml) => self.change(&dml).await,
            LogicalPlan::Copy(copy) => self.copy(&copy).await,
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => self.create_table(&create).await,
            LogicalPlan::Ddl(DdlStatement::DropTable(drop)) => self.drop_table(drop).await,
            LogicalPlan::Ddl(DdlStatement::DropCatalogSchema(drop)) => self.drop_schema(drop).await,
            LogicalPlan::Analyze(analyze) => self.analyze(analyze).await,
            LogicalPlan::Explain(explain) => {
                let stages = self.explain_stages(&explain.plan).await;
                self.explain(LogicalPlan::Explain(writes::without_secrets(explain)), stages).await
            }
            LogicalPlan::Statement(Command::Execute(_)) => {
                let prepared = self.context.execute_logical_plan(plan).await?;
                match prepared.into_unoptimized_plan() {
                    LogicalPlan::Dml(dml) => self.change(&dml).await,
                    LogicalPlan::Copy(copy) => self.copy(&copy).await,
                    plan => self.query(&plan).await,
                }
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
