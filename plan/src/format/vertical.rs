//! One line a value.

use super::cells::{self, Cells, printable};
use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError};
use std::io::Write;
use unicode_width::UnicodeWidthStr;

/// The line above a row is at least so long, so that rows are told apart at a glance.
const RULE: usize = 40;

pub(super) struct VerticalWriter<W> {
    out: W,
    names: Vec<String>,
    width: usize,
    rows: u64,
}

impl<W: Write> VerticalWriter<W> {
    pub(super) fn new(schema: &SchemaRef, out: W) -> Self {
        let names: Vec<String> = schema.fields().iter().map(|f| printable(f.name()).into_owned()).collect();
        let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
        Self { out, names, width, rows: 0 }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let options = cells::options();
        let cells = Cells::of(batch, &options)?;
        for i in 0..batch.num_rows() {
            self.rows += 1;
            writeln!(self.out, "{:-<RULE$}", format!("-[ row {} ]", self.rows))?;
            for (name, value) in self.names.iter().zip(cells.row(i)?) {
                let pad = " ".repeat(self.width.saturating_sub(name.width()));
                writeln!(self.out, "{name}{pad} | {value}")?;
            }
        }
        Ok(())
    }

    pub(super) fn into_inner(self) -> W {
        self.out
    }
}
