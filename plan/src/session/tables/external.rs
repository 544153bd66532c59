//! `CREATE EXTERNAL TABLE`.

use super::{Wanted, kind::Kind};
use arrow::datatypes::{DataType, Schema};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider, TableProviderFactory},
    common::{Result, config_err, internal_datafusion_err, not_impl_err},
    execution::session_state::SessionState,
    logical_expr::CreateExternalTable,
};
use std::sync::Arc;

/// Makes tables for `CREATE EXTERNAL TABLE`.
#[derive(Debug)]
pub(super) struct Factory;

/// The words of `STORED AS`.
pub(super) const WORDS: [&str; 7] = ["PARQUET", "CSV", "TSV", "JSON", "NDJSON", "AVRO", "ARROW"];

#[async_trait]
impl TableProviderFactory for Factory {
    async fn create(&self, state: &dyn Session, table: &CreateExternalTable) -> Result<Arc<dyn TableProvider>> {
        let state = state.as_any().downcast_ref::<SessionState>();
        let state = state.ok_or_else(|| internal_datafusion_err!("CREATE EXTERNAL TABLE without a session's state"))?;
        if table.unbounded {
            return not_impl_err!("UNBOUNDED tables");
        }
        let Some(kind) = Kind::of_word(&table.file_type) else {
            return config_err!("STORED AS {}: expected one of {}", table.file_type, WORDS.join(", "));
        };
        let (schema, partitions) = columns(table)?;
        let wanted = Wanted {
            locations: table.locations.clone(),
            name: Some(table.name.clone()),
            kind: Some(kind),
            options: table.options.clone(),
            schema,
            partitions,
            order: table.order_exprs.clone(),
            constraints: table.constraints.clone(),
            defaults: table.column_defaults.clone(),
            definition: table.definition.clone(),
        };
        wanted.table(state).await
    }
}

/// The columns in the files and in the names of folders, as far as they are declared.
#[expect(clippy::type_complexity, reason = "two halves of what a statement says, taken apart at once")]
fn columns(table: &CreateExternalTable) -> Result<(Option<Arc<Schema>>, Option<Vec<(String, DataType)>>)> {
    let names = &table.table_partition_cols;
    if table.schema.fields().is_empty() {
        let text = || DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
        let partitions = names.iter().map(|name| (name.clone(), text())).collect();
        return Ok((None, (!names.is_empty()).then_some(partitions)));
    }
    let declared = table.schema.as_arrow();
    let mut partitions = Vec::with_capacity(names.len());
    for name in names {
        let Ok(field) = declared.field_with_name(name) else {
            return config_err!("PARTITIONED BY ({name}): there is no such column");
        };
        partitions.push((name.clone(), field.data_type().clone()));
    }
    let in_files = declared.fields().iter().filter(|f| !names.contains(f.name())).cloned().collect::<Vec<_>>();
    Ok((Some(Arc::new(Schema::new(in_files))), Some(partitions)))
}
