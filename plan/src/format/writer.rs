//! Batches of one result, written as they come.

use super::{
    Format,
    columns::{distinct, renamed, with_text_keys},
    delimited::DelimitedWriter,
    explain::{ExplainWriter, is_explanation},
    markdown::MarkdownWriter,
    table::TableWriter,
    vertical::VerticalWriter,
};
use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    error::ArrowError,
    ipc::writer::{FileWriter, StreamWriter},
    json::{ArrayWriter, LineDelimitedWriter, writer::WriterBuilder as JsonBuilder},
};
use datafusion::parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};
use std::{fmt, io::Write};

/// Bytes of a row group, encoded, that are held before they are written: as much as readers like to have at once, and
/// little beside what a query takes.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Writes the batches of one result as they come.
pub struct Writer<W: Write + Send> {
    inner: Inner<W>,
    /// What the batches are written as, where names must differ.
    schema: Option<SchemaRef>,
    rows: u64,
}

enum Inner<W: Write + Send> {
    Table(TableWriter<W>),
    Explain(ExplainWriter<W>),
    Delimited(DelimitedWriter<W>),
    Json(ArrayWriter<W>),
    Ndjson(LineDelimitedWriter<W>),
    Markdown(MarkdownWriter<W>),
    Vertical(VerticalWriter<W>),
    Arrow(Box<FileWriter<W>>),
    ArrowStream(Box<StreamWriter<W>>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> Writer<W> {
    /// A writer of rows with these columns. Writes what comes before the rows, as far as the format has such.
    pub fn new(format: Format, schema: SchemaRef, out: W) -> Result<Self, ArrowError> {
        // A missing value is written, so that every object has the same members.
        let json = JsonBuilder::new().with_explicit_nulls(true);
        let named = distinct(&schema);
        let inner = match format {
            Format::Table if is_explanation(&schema) => Inner::Explain(ExplainWriter::new(out)),
            Format::Table => Inner::Table(TableWriter::new(schema, out)),
            Format::Csv => Inner::Delimited(DelimitedWriter::new(b',', &schema, out)?),
            Format::Tsv => Inner::Delimited(DelimitedWriter::new(b'\t', &schema, out)?),
            Format::Json => Inner::Json(json.build(out)),
            Format::Ndjson => Inner::Ndjson(json.build(out)),
            Format::Markdown => Inner::Markdown(MarkdownWriter::new(&schema, out)?),
            Format::Vertical => Inner::Vertical(VerticalWriter::new(&schema, out)),
            Format::Arrow => Inner::Arrow(Box::new(FileWriter::try_new(out, &named)?)),
            Format::ArrowStream => Inner::ArrowStream(Box::new(StreamWriter::try_new(out, &named)?)),
            Format::Parquet => Inner::Parquet(Box::new(parquet(out, &named)?)),
        };
        let by_name = format.is_binary() || matches!(format, Format::Json | Format::Ndjson);
        Ok(Self { inner, schema: by_name.then_some(named), rows: 0 })
    }

    /// Writes a batch.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.rows += batch.num_rows() as u64;
        let named = self.schema.as_ref().map(|schema| renamed(batch, schema)).transpose()?;
        let batch = named.as_ref().unwrap_or(batch);
        match &mut self.inner {
            Inner::Table(writer) => writer.write(batch),
            Inner::Explain(writer) => writer.write(batch),
            Inner::Delimited(writer) => writer.write(batch),
            Inner::Json(writer) => writer.write(&for_json(batch)?),
            Inner::Ndjson(writer) => writer.write(&for_json(batch)?),
            Inner::Markdown(writer) => writer.write(batch),
            Inner::Vertical(writer) => writer.write(batch),
            Inner::Arrow(writer) => writer.write(batch),
            Inner::ArrowStream(writer) => writer.write(batch),
            Inner::Parquet(writer) => {
                writer.write(batch).map_err(of_parquet)?;
                if writer.in_progress_size() > ROW_GROUP_BYTES {
                    writer.flush().map_err(of_parquet)?;
                }
                Ok(())
            }
        }
    }

    /// Writes what is left, and flushes. Gives the number of rows.
    pub fn finish(self) -> Result<u64, ArrowError> {
        let mut out = match self.inner {
            Inner::Table(writer) => writer.finish()?,
            Inner::Explain(writer) => writer.into_inner(),
            Inner::Delimited(writer) => writer.into_inner(),
            Inner::Json(mut writer) => {
                writer.finish()?;
                let mut out = writer.into_inner();
                out.write_all(b"\n")?;
                out
            }
            Inner::Ndjson(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
            Inner::Markdown(writer) => writer.into_inner(),
            Inner::Vertical(writer) => writer.into_inner(),
            Inner::Arrow(writer) => writer.into_inner()?,
            Inner::ArrowStream(writer) => writer.into_inner()?,
            Inner::Parquet(writer) => writer.into_inner().map_err(of_parquet)?,
        };
        out.flush()?;
        Ok(self.rows)
    }
}

impl<W: Write + Send> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({} rows so far)", self.rows)
    }
}

/// The batch with maps that JSON can have.
fn for_json(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !batch.columns().iter().any(|c| c.data_type().is_nested()) {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().map(with_text_keys).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_from_iter_with_nullable(
        batch.schema().fields().iter().zip(columns).map(|(f, c)| (f.name().clone(), c, true)),
    )
}

fn parquet<W: Write + Send>(out: W, schema: &SchemaRef) -> Result<ArrowWriter<W>, ArrowError> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(of_parquet)
}

fn of_parquet(error: ParquetError) -> ArrowError {
    match error {
        ParquetError::External(error) => ArrowError::ExternalError(error),
        error => ArrowError::ParquetError(error.to_string()),
    }
}
