//! Fields with commas or tabs between them, as RFC 4180 has them.
//!
//! Arrow's own writer is not used: it cannot tell a missing value from an empty text, nor write nested values, which
//! stand here as JSON.

use super::cells::Cells;
use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    error::ArrowError,
    json::writer::{EncoderOptions, NullableEncoder, make_encoder},
    util::display::FormatOptions,
};
use std::io::Write;

pub(super) struct DelimitedWriter<W> {
    out: W,
    delimiter: u8,
    line: Vec<u8>,
}

impl<W: Write> DelimitedWriter<W> {
    /// Writes the header.
    pub(super) fn new(delimiter: u8, schema: &SchemaRef, out: W) -> Result<Self, ArrowError> {
        let mut writer = Self { out, delimiter, line: Vec::new() };
        for (i, field) in schema.fields().iter().enumerate() {
            writer.field(i, Some(field.name().as_bytes()));
        }
        writer.end(schema.fields().len())?;
        Ok(writer)
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let (options, json) = (FormatOptions::default(), EncoderOptions::default().with_explicit_nulls(true));
        let nested = (0..batch.num_columns()).map(|i| {
            let column = batch.column(i);
            column.data_type().is_nested().then(|| super::columns::with_text_keys(column)).transpose()
        });
        let nested = nested.collect::<Result<Vec<_>, _>>()?;
        let schema = batch.schema();
        let mut encoders: Vec<Option<NullableEncoder<'_>>> = Vec::with_capacity(nested.len());
        for (column, field) in nested.iter().zip(schema.fields()) {
            encoders.push(column.as_ref().map(|c| make_encoder(field, c.as_ref(), &json)).transpose()?);
        }
        let cells = Cells::of(batch, &options)?;
        let mut value = Vec::new();
        for row in 0..batch.num_rows() {
            for (i, encoder) in encoders.iter_mut().enumerate() {
                match encoder {
                    Some(encoder) if encoder.is_null(row) => self.field(i, None),
                    Some(encoder) => {
                        value.clear();
                        encoder.encode(row, &mut value);
                        self.field(i, Some(&value));
                    }
                    None => self.field(i, cells.plain(row, i)?.as_deref().map(str::as_bytes)),
                }
            }
            self.end(batch.num_columns())?;
        }
        Ok(())
    }

    pub(super) fn into_inner(self) -> W {
        self.out
    }

    fn field(&mut self, place: usize, value: Option<&[u8]>) {
        if place > 0 {
            self.line.push(self.delimiter);
        }
        let Some(value) = value else { return };
        let special = |b: &u8| *b == self.delimiter || matches!(*b, b'"' | b'\n' | b'\r');
        if !value.is_empty() && !value.iter().any(special) {
            return self.line.extend_from_slice(value);
        }
        self.line.push(b'"');
        for byte in value {
            self.line.extend_from_slice(if *byte == b'"' { b"\"\"" } else { std::slice::from_ref(byte) });
        }
        self.line.push(b'"');
    }

    fn end(&mut self, fields: usize) -> Result<(), ArrowError> {
        if self.line.is_empty() && fields == 1 {
            // An empty line is no row to most readers.
            self.line.extend_from_slice(b"\"\"");
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line)?;
        self.line.clear();
        Ok(())
    }
}
