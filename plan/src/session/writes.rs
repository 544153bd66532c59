//! Statements that write: COPY, INSERT, CREATE TABLE.

use super::{Planned, SqlSession, local, physical::table_names, warehouse};
use crate::{
    PlanError,
    sink::{self, Kind, Place, SinkExec, Spec, Target, Write, Writer},
    stages::{cut, render},
    store::{Said, is_of_store},
    tpch,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::{
    catalog::TableProvider,
    common::{Constraints, SchemaExt, SchemaReference, TableReference},
    datasource::{
        file_format::{
            FileFormat, FileFormatFactory, avro::AvroFormat, file_type_to_format, parquet::ParquetFormatFactory,
        },
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
        memory::MemorySourceConfig,
        source_as_provider,
    },
    execution::cache::TableScopedPath,
    logical_expr::{
        CreateMemoryTable, DdlStatement, DmlStatement, DropCatalogSchema, DropTable, Explain, Expr, LogicalPlan,
        PlanType, ToStringifiedPlan,
        dml::{CopyTo, InsertOp, WriteOp},
    },
    physical_plan::{ExecutionPlan, ExecutionPlanProperties, coalesce_partitions::CoalescePartitionsExec, collect},
    prelude::SessionContext,
};
use hearth_core::conf::secret::{REDACTED, is_secret};
use std::{collections::HashMap, path::Path, sync::Arc};
use url::Url;

/// What a write gives: how many rows.
fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("count", DataType::UInt64, false)]))
}

/// What is to be written where.
struct Draft<'a> {
    input: &'a LogicalPlan,
    /// The columns to write; those of the input when not given.
    schema: Option<SchemaRef>,
    format: Arc<dyn FileFormat>,
    /// What names of files end with, the dot included.
    suffix: String,
    partition_by: Vec<String>,
    target: Target,
    /// What the statement says of the target's store.
    said: Option<Said>,
}

impl SqlSession {
    /// Plans a COPY. What it says of its store holds for itself, and, once it was done, for later statements.
    pub(super) async fn copy(&self, copy: &CopyTo) -> Result<Planned, PlanError> {
        let draft = self.draft_copy(copy)?;
        let Some(said) = draft.said.clone() else { return self.plan_write(draft, |write| write).await };
        let stores = self.stores()?;
        let take = move || {
            stores.take(&said);
            Ok(())
        };
        self.plan_write(draft, |write| write.then(take)).await
    }

    fn draft_copy<'a>(&self, copy: &'a CopyTo) -> Result<Draft<'a>, PlanError> {
        let mut options = copy.options.clone();
        // What has no prefix is taken for an option of the format.
        let single_file = ["single_file_output", "format.single_file_output"].map(|name| options.remove(name));
        let single_file = match single_file.into_iter().flatten().next().as_deref().map(str::trim) {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(other) => {
                return Err(PlanError::Query(format!("single_file_output is {other:?}; expected true or false")));
            }
        };
        let target = Target::parse(&copy.output_url, single_file)?;
        let said = match &target.place {
            Place::Objects(url) => self.said_of_store(url, &mut options)?,
            Place::Files(_) => None,
        };
        if target.kind == Kind::File && !copy.partition_by.is_empty() {
            return Err(PlanError::Query(format!(
                "PARTITIONED BY writes a folder, and {} is one file; end the path with /",
                copy.output_url
            )));
        }
        let format = file_type_to_format(&copy.file_type)?.create(&self.context.state(), &options)?;
        let extension = match format.compression_type() {
            Some(compression) => format.get_ext_with_compression(&compression)?,
            None => format.get_ext(),
        };
        let suffix = format!(".{}", extension.trim_start_matches('.'));
        let partition_by = copy.partition_by.clone();
        Ok(Draft { input: &copy.input, schema: None, format, suffix, partition_by, target, said })
    }

    /// Plans an INSERT; says that other changes of tables cannot be.
    pub(super) async fn change(&self, dml: &DmlStatement) -> Result<Planned, PlanError> {
        let (draft, table) = self.draft_insert(dml)?;
        let context = self.context.clone();
        let forget = move || {
            forget_listing(&context, &table);
            Ok(())
        };
        self.plan_write(draft, |write| write.then(forget)).await
    }

    fn draft_insert<'a>(&self, dml: &'a DmlStatement) -> Result<(Draft<'a>, Arc<dyn TableProvider>), PlanError> {
        match &dml.op {
            WriteOp::Insert(InsertOp::Append) => {}
            WriteOp::Insert(op) => {
                let message =
                    format!("{op}; INSERT INTO adds rows, CREATE OR REPLACE TABLE … AS replaces a table: {op}");
                return Err(PlanError::Unsupported(message));
            }
            op => return Err(PlanError::Unsupported(format!("{} of a table", op.name()))),
        }
        let table = source_as_provider(&dml.target)?;
        let no = |why: &str| PlanError::Query(format!("INSERT INTO {}: {why}", dml.table_name));
        let Some(listing) = table.downcast_ref::<ListingTable>() else {
            return Err(no("rows go into tables that are folders of files; this one is not"));
        };
        let [url] = &listing.table_paths()[..] else {
            return Err(no("the table is more than one folder"));
        };
        if !url.is_collection() {
            return Err(no(&format!(
                "the table is {url}, no folder; make an external table of a folder, with / at its end"
            )));
        }
        let options = listing.options();
        let schema = listing.schema();
        schema.logically_equivalent_names_and_types(dml.input.schema().as_arrow())?;
        let suffix = match options.file_extension.as_str() {
            "" => format!(".{}", options.format.get_ext().trim_start_matches('.')),
            extension => extension.to_owned(),
        };
        if let Some(pattern) = url.get_glob().as_ref().filter(|p| !p.matches(&format!("part-00000-0{suffix}"))) {
            return Err(no(&format!("the table is files called {pattern}, which new ones are not")));
        }
        let draft = Draft {
            input: &dml.input,
            schema: Some(schema),
            format: Arc::clone(&options.format),
            suffix,
            partition_by: options.table_partition_cols.iter().map(|(name, _)| name.clone()).collect(),
            target: Target::append(url.get_url())?,
            said: None,
        };
        Ok((draft, table))
    }

    /// Plans a CREATE TABLE. Its rows become files of the warehouse.
    pub(super) async fn create_table(&self, create: &CreateMemoryTable) -> Result<Planned, PlanError> {
        let name = &create.name;
        if create.temporary {
            return Err(PlanError::Unsupported(
                "TEMPORARY; every table goes with its session: CREATE TEMPORARY TABLE".into(),
            ));
        }
        match (create.if_not_exists, create.or_replace, self.context.table_exist(name.clone())?) {
            (true, true, _) => return Err(PlanError::Query("OR REPLACE and IF NOT EXISTS exclude one another".into())),
            (true, false, true) => return Ok(Planned::Local(vec![], Arc::new(Schema::empty()))),
            (false, false, true) => return Err(PlanError::Query(format!("table {name} exists already"))),
            _ => {}
        }
        let schema = Arc::new(create.input.schema().as_arrow().clone());
        self.check_new_table(name, &schema)?;
        let format = FileFormatFactory::create(&ParquetFormatFactory::new(), &self.context.state(), &HashMap::new())?;
        let path = self.warehouse.place(&warehouse::full_name(&self.context, name), create.or_replace)?;
        let table = NewTable {
            session: self.clone(),
            name: name.clone(),
            schema: Arc::clone(&schema),
            format: Arc::clone(&format),
            constraints: create.constraints.clone(),
            defaults: create.column_defaults.iter().cloned().collect(),
        };
        let target = Target::new_folder(path.clone());
        let suffix = format!(".{}", format.get_ext());
        let (schema, partition_by) = (Some(schema), Vec::new());
        let draft = Draft { input: &create.input, schema, format, suffix, partition_by, target, said: None };
        self.plan_write(draft, |write| write.then(move || table.register(&path))).await
    }

    fn check_new_table(&self, name: &TableReference, schema: &Schema) -> Result<(), PlanError> {
        let state = self.context.state();
        state.schema_for_ref(name.clone())?;
        if name.catalog() == Some(tpch::CATALOG_NAME) {
            return Err(PlanError::Query(format!("{name}: the tables of {} are fixed", tpch::CATALOG_NAME)));
        }
        if schema.fields().is_empty() {
            return Err(PlanError::Query(format!("table {name} has no columns")));
        }
        for (place, field) in schema.fields().iter().enumerate() {
            if schema.fields()[..place].iter().any(|f| f.name() == field.name()) {
                let name = field.name();
                return Err(PlanError::Query(format!("two columns are called {name}; give one another name with AS")));
            }
        }
        Ok(())
    }

    /// Runs a DROP TABLE; the files go too, if a CREATE TABLE of this session made them.
    pub(super) async fn drop_table(&self, drop: DropTable) -> Result<Planned, PlanError> {
        let name = warehouse::full_name(&self.context, &drop.name);
        let done = self.run_here(LogicalPlan::Ddl(DdlStatement::DropTable(drop))).await?;
        self.warehouse.dropped(&name);
        Ok(done)
    }

    /// Runs a DROP SCHEMA; with CASCADE the files of its tables go too, as those of a DROP TABLE.
    pub(super) async fn drop_schema(&self, drop: DropCatalogSchema) -> Result<Planned, PlanError> {
        let (catalog, _) = self.defaults();
        let (catalog, schema) = match &drop.name {
            SchemaReference::Bare { schema } => (catalog, schema.to_string()),
            SchemaReference::Full { schema, catalog } => (catalog.to_string(), schema.to_string()),
        };
        if catalog == tpch::CATALOG_NAME {
            return Err(PlanError::Query(format!("{catalog}.{schema}: the schemas of {catalog} are fixed")));
        }
        let tables = self.tables(&catalog, &schema);
        let done = self.run_here(LogicalPlan::Ddl(DdlStatement::DropCatalogSchema(drop))).await?;
        for table in tables {
            let name = TableReference::full(catalog.as_str(), schema.as_str(), table);
            self.warehouse.dropped(&warehouse::full_name(&self.context, &name));
        }
        Ok(done)
    }

    /// The stages of a write, for EXPLAIN; nothing if it is none.
    pub(super) async fn explain_write(&self, plan: &LogicalPlan) -> Result<Option<String>, PlanError> {
        let draft = match plan {
            LogicalPlan::Copy(copy) => self.draft_copy(copy)?,
            LogicalPlan::Dml(dml) => self.draft_insert(dml)?.0,
            _ => return Ok(None),
        };
        match self.plan_write(draft, |write| write).await? {
            Planned::Write { explain, .. } => Ok(Some(explain)),
            other => Err(PlanError::Internal(format!("a write became {other:?}"))),
        }
    }

    async fn plan_write(&self, draft: Draft<'_>, then: impl FnOnce(Write) -> Write) -> Result<Planned, PlanError> {
        draft.target.check()?;
        if draft.format.is::<AvroFormat>() {
            return Err(PlanError::Unsupported(
                "writing Avro files (Parquet, CSV, JSON and Arrow files can be written)".into(),
            ));
        }
        let (mut state, input) = self.physical_for_cutting(draft.input).await?;
        let mut stores = self.stores()?;
        if let Some(said) = &draft.said {
            stores = Arc::new(stores.with(said));
            // Where its tasks' payloads look for what they need to know.
            state.config_mut().set_extension(Arc::clone(&stores));
        }
        let schema = draft.schema.unwrap_or_else(|| input.schema());
        sink::check_partition_columns(&schema, &draft.partition_by)?;
        let input = self.input(input, draft.target.kind).await?;
        let write = self.warehouse.next_write(&self.context);
        let spec = Spec {
            staging: Some(draft.target.staging(&write)?),
            write: write.clone(),
            suffix: draft.suffix,
            partition_by: draft.partition_by,
            file: draft.target.file_name(),
        };
        let writer = Writer::of(draft.format.as_ref(), state.config_options())?;
        let made = sink::sink_of(&draft.format, &schema, &spec, &state).await?;
        let sink: Arc<dyn ExecutionPlan> = Arc::new(SinkExec::try_new(input, (made, writer), Arc::new(spec), 0)?);
        let (graph, texts) = cut(&sink, &table_names(draft.input), &state.task_ctx(), self.layout.cut)?;
        let write = then(Write::new(draft.target, write, stores));
        let explain = render(&graph, &texts);
        Ok(Planned::Write { graph, schema: count_schema(), explain, write })
    }

    /// The rows to write: in one partition for one file, and known here if only this session knows them.
    async fn input(&self, plan: Arc<dyn ExecutionPlan>, kind: Kind) -> Result<Arc<dyn ExecutionPlan>, PlanError> {
        if local::reads_session(&plan) {
            let schema = plan.schema();
            let batches = collect(plan, self.context.task_ctx()).await?;
            return Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None)?);
        }
        if kind == Kind::File && plan.output_partitioning().partition_count() > 1 {
            return Ok(Arc::new(CoalescePartitionsExec::new(plan)));
        }
        Ok(plan)
    }
}

/// An explanation that may be shown: the options of a COPY are part of DataFusion's. Those of its store are no part of the
/// plan, and others can be secrets too.
pub(super) fn without_secrets(mut explain: Explain) -> Explain {
    let LogicalPlan::Copy(copy) = explain.plan.as_ref() else { return explain };
    let mut copy = copy.clone();
    copy.options.retain(|name, _| !is_of_store(name));
    for (_, value) in copy.options.iter_mut().filter(|(name, _)| is_secret(name)) {
        *value = REDACTED.into();
    }
    let plan = LogicalPlan::Copy(copy);
    // All that there is so far is the plan as it was written.
    explain.stringified_plans = vec![plan.to_stringified(PlanType::InitialLogicalPlan)];
    explain.plan = Arc::new(plan);
    explain
}

/// A table that a write will have made.
struct NewTable {
    session: SqlSession,
    name: TableReference,
    schema: SchemaRef,
    format: Arc<dyn FileFormat>,
    constraints: Constraints,
    defaults: HashMap<String, Expr>,
}

impl NewTable {
    /// Makes it a table of the session. Its files go if that cannot be.
    fn register(self, path: &Path) -> Result<(), String> {
        let (context, name) = (self.session.context.clone(), self.name.clone());
        let full_name = warehouse::full_name(&context, &name);
        let warehouse = Arc::clone(&self.session.warehouse);
        let register = || {
            let table = self.provider(path)?;
            context.deregister_table(name.clone())?;
            context.register_table(name, table)
        };
        match register() {
            Ok(_) => {
                warehouse.made(full_name, path);
                Ok(())
            }
            Err(e) => {
                warehouse::remove(path);
                Err(e.strip_backtrace())
            }
        }
    }

    fn provider(self, path: &Path) -> datafusion::common::Result<Arc<dyn TableProvider>> {
        let url = Url::from_directory_path(path)
            .map_err(|()| datafusion::common::plan_datafusion_err!("{} is no absolute path", path.display()))?;
        let url = ListingTableUrl::try_new(url, None)?.with_table_ref(self.name);
        let options =
            ListingOptions::new(Arc::clone(&self.format)).with_file_extension(format!(".{}", self.format.get_ext()));
        let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(self.schema);
        let cache = self.session.context.runtime_env().cache_manager.get_file_statistic_cache();
        let table = ListingTable::try_new(config)?
            .with_constraints(self.constraints)
            .with_column_defaults(self.defaults)
            .with_cache(cache);
        Ok(Arc::new(table))
    }
}

/// What was listed of a table before rows were added is not all of it any more.
fn forget_listing(context: &SessionContext, table: &Arc<dyn TableProvider>) {
    let runtime = context.runtime_env();
    if let (Some(cache), Some(listing)) =
        (runtime.cache_manager.get_list_files_cache(), table.downcast_ref::<ListingTable>())
    {
        for url in listing.table_paths() {
            cache.remove(&TableScopedPath { table: url.get_table_ref().clone(), path: url.prefix().clone() });
        }
    }
}
