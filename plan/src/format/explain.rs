//! What `EXPLAIN` gives: texts of many lines, each below its name. In the cells of a table nobody could read them.

use super::cells::{self, Cells, printable};
use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
};
use std::io::Write;

/// Whether rows of these columns are an explanation: a name and a text, called as DataFusion calls them.
pub(super) fn is_explanation(schema: &SchemaRef) -> bool {
    let is = |place: usize, name: &str| {
        let field = schema.field(place);
        field.name() == name && *field.data_type() == DataType::Utf8
    };
    schema.fields().len() == 2 && is(0, "plan_type") && is(1, "plan")
}

pub(super) struct ExplainWriter<W> {
    out: W,
    begun: bool,
}

impl<W: Write> ExplainWriter<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out, begun: false }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let options = cells::options();
        let cells = Cells::of(batch, &options)?;
        for row in 0..batch.num_rows() {
            if self.begun {
                writeln!(self.out)?;
            }
            self.begun = true;
            writeln!(self.out, "== {}", cells.shown(row, 0)?)?;
            for line in cells.plain(row, 1)?.unwrap_or_default().lines() {
                writeln!(self.out, "{}", printable(line))?;
            }
        }
        Ok(())
    }

    pub(super) fn into_inner(self) -> W {
        self.out
    }
}
