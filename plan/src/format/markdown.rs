//! Tables of Markdown, as GitHub reads them.

use super::cells::{self, Cells, printable};
use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError};
use std::io::Write;

pub(super) struct MarkdownWriter<W>(W);

impl<W: Write> MarkdownWriter<W> {
    /// Writes the header. Columns are not padded: Markdown does not ask for it, and rows need not wait.
    pub(super) fn new(schema: &SchemaRef, out: W) -> Result<Self, ArrowError> {
        let mut writer = Self(out);
        writer.row(schema.fields().iter().map(|f| escaped(&printable(f.name()))))?;
        writer
            .row(schema.fields().iter().map(|f| if f.data_type().is_numeric() { "---:" } else { "---" }.to_owned()))?;
        Ok(writer)
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let options = cells::options();
        let cells = Cells::of(batch, &options)?;
        for i in 0..batch.num_rows() {
            self.row(cells.row(i)?.iter().map(|cell| escaped(cell)))?;
        }
        Ok(())
    }

    pub(super) fn into_inner(self) -> W {
        self.0
    }

    fn row(&mut self, cells: impl Iterator<Item = String>) -> Result<(), ArrowError> {
        for cell in cells {
            write!(self.0, "| {cell} ")?;
        }
        Ok(writeln!(self.0, "|")?)
    }
}

/// What Markdown or HTML would take for markup stays text.
fn escaped(cell: &str) -> String {
    let mut out = String::with_capacity(cell.len());
    for c in cell.chars() {
        match c {
            '|' | '\\' | '*' | '_' | '`' | '[' | ']' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}
