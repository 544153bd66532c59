//! DataFusion's sinks for a format.

use super::Spec;
use crate::PlanError;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::{
    catalog::Session,
    common::{Result, config::ConfigOptions, internal_datafusion_err, plan_datafusion_err},
    datasource::{
        file_format::{FileFormat, arrow::ArrowFormat, csv::CsvFormat, json::JsonFormat},
        listing::ListingTableUrl,
        physical_plan::{FileOutputMode, FileSinkConfig},
    },
    execution::{SessionStateBuilder, object_store::ObjectStoreUrl},
    logical_expr::dml::InsertOp,
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};
use datafusion_proto::protobuf::{CsvFormat as CsvMessage, NdJsonFormat as JsonMessage, PhysicalPlanNode};
use futures::FutureExt;
use std::sync::Arc;

/// A sink writes into a staging store, where these are all the paths there are.
const ROOT: &str = "staging://write/";

/// DataFusion's sink for a format, over an input without rows. `spec` says how it is partitioned.
pub(crate) async fn sink_of(
    format: &Arc<dyn FileFormat>,
    schema: &SchemaRef,
    spec: &Spec,
    state: &dyn Session,
) -> Result<Arc<dyn ExecutionPlan>> {
    let nothing = Arc::new(EmptyExec::new(Arc::clone(schema)));
    format.create_writer_physical_plan(nothing, state, config(schema, spec)?, None).await
}

/// What a task makes its sink of. The form in which DataFusion lets the sinks themselves travel loses options (for CSV it
/// makes dates and times empty), or does not exist (for Arrow).
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Writer {
    /// DataFusion's sink.
    #[prost(message, tag = "3")]
    Plan(Box<PhysicalPlanNode>),
    /// CSV with these options.
    #[prost(message, tag = "4")]
    Csv(Box<CsvMessage>),
    /// JSON with these options.
    #[prost(message, tag = "5")]
    Json(JsonMessage),
    /// Arrow IPC files, which have no options.
    #[prost(bool, tag = "6")]
    Arrow(bool),
}

impl Writer {
    /// Of a format whose sink has a form of its own: nothing.
    pub(crate) fn of(format: &dyn FileFormat, settings: &ConfigOptions) -> Result<Option<Self>> {
        Ok(if let Some(csv) = format.downcast_ref::<CsvFormat>() {
            let mut options = csv.options().clone();
            // Tasks do not know the session.
            options.has_header.get_or_insert(settings.catalog.has_header);
            options.newlines_in_values.get_or_insert(settings.catalog.newlines_in_values);
            Some(Self::Csv(Box::new(CsvMessage { options: Some((&options).try_into()?) })))
        } else if let Some(json) = format.downcast_ref::<JsonFormat>() {
            Some(Self::Json(JsonMessage { options: Some(json.options().try_into()?) }))
        } else if format.is::<ArrowFormat>() {
            Some(Self::Arrow(true))
        } else {
            None
        })
    }

    /// A sink for these columns; `decode` knows DataFusion's plans.
    pub(crate) fn sink(
        &self,
        schema: &SchemaRef,
        spec: &Spec,
        decode: impl FnOnce(&PhysicalPlanNode) -> Result<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let malformed = || plan_datafusion_err!("a sink without the options of its format in a task's payload");
        let format: Arc<dyn FileFormat> = match self {
            Self::Plan(plan) => return decode(plan),
            Self::Csv(csv) => {
                let options = csv.options.as_ref().filter(|o| !o.delimiter.is_empty() && !o.quote.is_empty());
                Arc::new(CsvFormat::default().with_options(options.ok_or_else(malformed)?.try_into()?))
            }
            Self::Json(json) => {
                let options = json.options.as_ref().ok_or_else(malformed)?;
                Arc::new(JsonFormat::default().with_options(options.try_into()?))
            }
            Self::Arrow(_) => Arc::new(ArrowFormat),
        };
        let state = SessionStateBuilder::new().build();
        // Nothing in it waits.
        let made = sink_of(&format, schema, spec, &state).now_or_never();
        made.ok_or_else(|| internal_datafusion_err!("making a sink waits"))?
    }
}

fn config(schema: &SchemaRef, spec: &Spec) -> Result<FileSinkConfig> {
    let by = |name: &String| Ok((name.clone(), schema.field_with_name(name)?.data_type().clone()));
    let partition_by = spec.partition_by.iter().map(by).collect::<Result<Vec<_>>>()?;
    // A task is one file, or one in each folder: tasks are what writes side by side.
    let (path, file_output_mode) = match partition_by.is_empty() {
        true => (format!("{ROOT}file"), FileOutputMode::SingleFile),
        false => (ROOT.to_owned(), FileOutputMode::Directory),
    };
    Ok(FileSinkConfig {
        original_url: String::new(),
        object_store_url: ObjectStoreUrl::parse(ROOT)?,
        table_paths: vec![ListingTableUrl::parse(path)?],
        file_group: Default::default(),
        output_schema: Arc::clone(schema),
        table_partition_cols: partition_by,
        insert_op: InsertOp::Append,
        keep_partition_by_columns: false,
        file_extension: spec.suffix.trim_start_matches('.').to_owned(),
        file_output_mode,
    })
}

/// Refuses columns that cannot be folders.
pub(crate) fn check_partition_columns(schema: &Schema, partition_by: &[String]) -> Result<(), PlanError> {
    for (place, name) in partition_by.iter().enumerate() {
        let Ok(field) = schema.field_with_name(name) else {
            let columns = schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
            return Err(PlanError::Query(format!(
                "PARTITIONED BY {name}: there is no such column; there are {columns}"
            )));
        };
        if partition_by[..place].contains(name) {
            return Err(PlanError::Query(format!("PARTITIONED BY names {name} twice")));
        }
        if !can_be_a_folder(field.data_type()) {
            let data_type = field.data_type();
            return Err(PlanError::Query(format!(
                "PARTITIONED BY {name}: a column of type {data_type} cannot be a folder's name; cast it to text or a date"
            )));
        }
    }
    if partition_by.len() == schema.fields().len() {
        return Err(PlanError::Query("PARTITIONED BY names all columns: none is left for the files".into()));
    }
    Ok(())
}

/// The types that DataFusion writes as the names of folders.
fn can_be_a_folder(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => matches!(**values, DataType::Utf8),
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Boolean
        | DataType::Date32
        | DataType::Date64 => true,
        other => other.is_integer() || other.is_floating(),
    }
}
