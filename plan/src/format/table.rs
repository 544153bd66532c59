//! Columns with a frame.

use super::cells::{self, Cells, printable};
use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError};
use std::io::Write;
use unicode_width::UnicodeWidthStr;

/// Rows that are held back to find out how wide columns are. A result may be larger than memory, so that later rows can
/// only overflow their columns.
const MEASURED_ROWS: usize = 10_000;
/// Bytes of their text at most, when values are long.
const MEASURED_BYTES: usize = 16 << 20;
/// What a column is padded to at most: one long value is no reason to fill every row with spaces. It overflows instead.
const MAX_WIDTH: usize = 1000;

type Row = Vec<String>;

pub(super) struct TableWriter<W> {
    schema: SchemaRef,
    out: W,
    /// Rows that wait for the widths.
    waiting: Vec<Row>,
    waiting_bytes: usize,
    /// Known once the header is written.
    widths: Option<Vec<usize>>,
}

impl<W: Write> TableWriter<W> {
    pub(super) const fn new(schema: SchemaRef, out: W) -> Self {
        Self { schema, out, waiting: Vec::new(), waiting_bytes: 0, widths: None }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let options = cells::options();
        let cells = Cells::of(batch, &options)?;
        for i in 0..batch.num_rows() {
            let row = cells.row(i)?;
            match &self.widths {
                Some(widths) => write_row(&mut self.out, &self.schema, widths, &row)?,
                None => {
                    self.waiting_bytes += row.iter().map(String::len).sum::<usize>();
                    self.waiting.push(row);
                    if self.waiting.len() >= MEASURED_ROWS || self.waiting_bytes >= MEASURED_BYTES {
                        self.begin()?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<W, ArrowError> {
        let widths = self.begin()?;
        write_rule(&mut self.out, &widths)?;
        Ok(self.out)
    }

    /// Writes the header and the rows that waited, unless that is done.
    fn begin(&mut self) -> Result<Vec<usize>, ArrowError> {
        if let Some(widths) = &self.widths {
            return Ok(widths.clone());
        }
        let header: Row = self.schema.fields().iter().map(|f| printable(f.name()).into_owned()).collect();
        let mut widths: Vec<usize> = header.iter().map(|h| h.width().min(MAX_WIDTH)).collect();
        for row in &self.waiting {
            widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.width().min(MAX_WIDTH).max(*width));
        }
        write_rule(&mut self.out, &widths)?;
        write_row(&mut self.out, &self.schema, &widths, &header)?;
        write_rule(&mut self.out, &widths)?;
        for row in std::mem::take(&mut self.waiting) {
            write_row(&mut self.out, &self.schema, &widths, &row)?;
        }
        self.widths = Some(widths.clone());
        Ok(widths)
    }
}

fn write_rule(out: &mut impl Write, widths: &[usize]) -> Result<(), ArrowError> {
    for width in widths {
        write!(out, "+{}", "-".repeat(width + 2))?;
    }
    Ok(writeln!(out, "+")?)
}

/// Numbers stand to the right.
fn write_row(out: &mut impl Write, schema: &SchemaRef, widths: &[usize], row: &Row) -> Result<(), ArrowError> {
    for ((cell, width), field) in row.iter().zip(widths).zip(schema.fields()) {
        let pad = " ".repeat(width.saturating_sub(cell.width()));
        if field.data_type().is_numeric() {
            write!(out, "| {pad}{cell} ")?;
        } else {
            write!(out, "| {cell}{pad} ")?;
        }
    }
    Ok(writeln!(out, "|")?)
}
