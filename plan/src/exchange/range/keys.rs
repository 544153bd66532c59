//! Sort keys as bytes that compare as the order says.

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::Schema,
    row::{RowConverter, Rows, SortField},
};
use datafusion::{common::Result, physical_expr::LexOrdering};

/// Makes bytes of keys.
#[derive(Debug)]
pub(crate) struct Keys {
    ordering: LexOrdering,
    converter: RowConverter,
}

fn fields(ordering: &LexOrdering, schema: &Schema) -> Result<Vec<SortField>> {
    ordering.iter().map(|key| Ok(SortField::new_with_options(key.expr.data_type(schema)?, key.options))).collect()
}

impl Keys {
    /// Whether the types of these keys have a row format.
    pub(crate) fn can_be(ordering: &LexOrdering, schema: &Schema) -> bool {
        fields(ordering, schema).is_ok_and(|fields| RowConverter::supports_fields(&fields))
    }

    /// For the keys of rows of `schema`.
    pub(crate) fn try_new(ordering: LexOrdering, schema: &Schema) -> Result<Self> {
        let converter = RowConverter::new(fields(&ordering, schema)?)?;
        Ok(Self { ordering, converter })
    }

    /// The columns of the keys.
    pub(super) fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.ordering.iter().map(|key| Ok(key.evaluate_to_sort_column(batch)?.values)).collect()
    }

    /// The keys as bytes.
    pub(super) fn rows(&self, columns: &[ArrayRef]) -> Result<Rows> {
        Ok(self.converter.convert_columns(columns)?)
    }
}
