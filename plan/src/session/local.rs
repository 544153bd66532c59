//! What runs in the driver.

use super::{Planned, SqlSession};
use crate::{PlanError, tpch};
use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    compute::concat_batches,
};
use datafusion::{
    common::{tree_node::TreeNode, utils::datafusion_strsim::levenshtein},
    logical_expr::LogicalPlan,
    physical_plan::{ExecutionPlan, collect, streaming::StreamingTableExec},
};
use std::sync::Arc;

/// Whether a plan reads what only this session knows: `information_schema`, whose tables stream from the catalog.
pub(super) fn reads_session(plan: &Arc<dyn ExecutionPlan>) -> bool {
    // The closure never fails.
    plan.exists(|node| Ok(node.is::<StreamingTableExec>())).unwrap_or(false)
}

impl SqlSession {
    /// Runs a statement that changes or describes the session.
    pub(super) async fn run_here(&self, plan: LogicalPlan) -> Result<Planned, PlanError> {
        let frame = self.context.execute_logical_plan(plan).await?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await?;
        Ok(Planned::Local(batches, schema))
    }

    pub(super) async fn run_physical_here(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Planned, PlanError> {
        let schema = plan.schema();
        let batches = collect(plan, self.context.task_ctx()).await?;
        Ok(Planned::Local(batches, schema))
    }

    /// A row for the stages, and DataFusion's explanation.
    pub(super) async fn explain(&self, plan: LogicalPlan, stages: String) -> Result<Planned, PlanError> {
        let Planned::Local(batches, schema) = self.run_here(plan).await? else {
            return Err(PlanError::Internal("EXPLAIN became a query".into()));
        };
        let columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(vec!["stages"])), Arc::new(StringArray::from(vec![stages]))];
        let arrow = |e: arrow::error::ArrowError| PlanError::Internal(e.to_string());
        let row = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(arrow)?;
        let all = concat_batches(&schema, [&row].into_iter().chain(&batches)).map_err(arrow)?;
        Ok(Planned::Local(vec![all], schema))
    }

    /// Adds the nearest table's name to an error about an unknown table. For columns DataFusion does so itself.
    pub(super) fn hint(&self, error: PlanError) -> PlanError {
        let PlanError::Query(message) = error else { return error };
        let Some(name) = unknown_table(&message) else { return PlanError::Query(message) };
        let hint = match self.nearest_table(name) {
            Some(near) => format!("; did you mean '{near}'?"),
            None => self.scale_hint(name).unwrap_or_default(),
        };
        // What the user left out is left out here.
        let state = self.context.state();
        let defaults = &state.config_options().catalog;
        let prefix = format!("{}.{}.", defaults.default_catalog, defaults.default_schema);
        let written = name.strip_prefix(&prefix).unwrap_or(name);
        let message = message.replacen(&format!("'{name}'"), &format!("'{written}'"), 1);
        PlanError::Query(format!("{message}{hint}"))
    }

    /// What the schemas of the `tpch` catalog are called, for a table in one that is not there.
    fn scale_hint(&self, unknown: &str) -> Option<String> {
        let (catalog, rest) = unknown.split_once('.')?;
        let (schema, _) = rest.split_once('.')?;
        let is_there = || self.context.catalog(catalog).is_some_and(|c| c.schema(schema).is_some());
        (catalog == tpch::CATALOG_NAME && !is_there()).then(|| {
            format!(
                "; {schema} is no schema of {catalog}: those are sf and a scale from {} to {}, with _ for the point, as in \
                 sf1, sf0_01 and sf100",
                tpch::Scale::MIN,
                tpch::Scale::MAX
            )
        })
    }

    fn nearest_table(&self, unknown: &str) -> Option<String> {
        /// Typing errors that a name may have and still be meant.
        const MAX_DISTANCE: usize = 3;
        let (path, table) = unknown.rsplit_once('.')?;
        let (catalog, schema) = path.split_once('.')?;
        let names = self.context.catalog(catalog)?.schema(schema)?.table_names();
        let near = names.into_iter().map(|name| (levenshtein(&name.to_lowercase(), &table.to_lowercase()), name));
        let (_, name) = near.filter(|(d, name)| *d <= MAX_DISTANCE && *d < name.chars().count()).min()?;
        // A name with capitals must be quoted to be found.
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        Some(if plain { name } else { format!("\"{name}\"") })
    }
}

/// The full name in DataFusion's message about a table that is not there.
fn unknown_table(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("table '")?;
    let (name, rest) = rest.split_once('\'')?;
    rest.starts_with(" not found").then_some(name)
}
