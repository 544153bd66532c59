//! Columns made fit for formats that find them by name, or that know fewer types.

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    compute::cast,
    datatypes::{DataType, Field, Fields, Schema, SchemaRef},
    error::ArrowError,
};
use std::{collections::HashSet, sync::Arc};

/// The same columns under names that differ: of several with one name, the second is `name_2`, and so on.
pub(super) fn distinct(schema: &SchemaRef) -> SchemaRef {
    let mut taken: HashSet<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let mut seen: HashSet<String> = HashSet::new();
    if taken.len() == schema.fields().len() {
        return Arc::clone(schema);
    }
    let rename = |field: &Arc<Field>| {
        if seen.insert(field.name().clone()) {
            return Arc::clone(field);
        }
        let free = (2..).map(|n| format!("{}_{n}", field.name())).find(|name| !taken.contains(name));
        // Numbers do not run out.
        let name = free.unwrap_or_default();
        taken.insert(name.clone());
        seen.insert(name.clone());
        Arc::new(field.as_ref().clone().with_name(name))
    };
    let fields: Fields = schema.fields().iter().map(rename).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The batch under another schema, which differs in names at most.
pub(super) fn renamed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new_with_options(
        Arc::clone(schema),
        batch.columns().to_vec(),
        &arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
    )
}

/// A column whose maps have texts for keys, as JSON's objects do.
pub(super) fn with_text_keys(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let wanted = text_keys(column.data_type());
    if wanted == *column.data_type() { Ok(Arc::clone(column)) } else { cast(column, &wanted) }
}

fn text_keys(data_type: &DataType) -> DataType {
    let inside = |field: &Arc<Field>| {
        let data_type = text_keys(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::List(field) => DataType::List(inside(field)),
        DataType::LargeList(field) => DataType::LargeList(inside(field)),
        DataType::FixedSizeList(field, n) => DataType::FixedSizeList(inside(field), *n),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inside).collect()),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                let key = match fields[0].data_type() {
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Arc::clone(&fields[0]),
                    _ => Arc::new(fields[0].as_ref().clone().with_data_type(DataType::Utf8)),
                };
                let pair = DataType::Struct(Fields::from(vec![key, inside(&fields[1])]));
                DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(pair)), *sorted)
            }
            _ => data_type.clone(),
        },
        _ => data_type.clone(),
    }
}
