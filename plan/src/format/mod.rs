//! Rows for people and programs: what `--format` chooses from.

mod table;

use arrow::{
    array::RecordBatch,
    csv::WriterBuilder,
    datatypes::SchemaRef,
    error::ArrowError,
    json::{ArrayWriter, LineDelimitedWriter, writer::WriterBuilder as JsonBuilder},
};
use std::{fmt, io::Write, str::FromStr};
use table::TableWriter;

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Columns with a frame, for people.
    #[default]
    Table,
    /// Comma-separated, with a header line.
    Csv,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            "ndjson" => Ok(Self::Ndjson),
            _ => Err(format!("unknown format {text:?}: expected table, csv, json or ndjson")),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
        })
    }
}

/// Writes the batches of one result as they come.
pub struct Writer<W: Write> {
    inner: Inner<W>,
    rows: u64,
}

enum Inner<W: Write> {
    Table(TableWriter<W>),
    Csv { writer: Box<arrow::csv::Writer<W>>, header: Option<RecordBatch> },
    Json(ArrayWriter<W>),
    Ndjson(LineDelimitedWriter<W>),
}

impl<W: Write> Writer<W> {
    /// A writer of rows with these columns.
    pub fn new(format: Format, schema: SchemaRef, out: W) -> Self {
        // A missing value is written, so that every object has the same members.
        let json = JsonBuilder::new().with_explicit_nulls(true);
        let inner = match format {
            Format::Table => Inner::Table(TableWriter::new(schema, out)),
            Format::Csv => {
                let writer = Box::new(WriterBuilder::new().with_header(true).build(out));
                Inner::Csv { writer, header: Some(RecordBatch::new_empty(schema)) }
            }
            Format::Json => Inner::Json(json.build(out)),
            Format::Ndjson => Inner::Ndjson(json.build(out)),
        };
        Self { inner, rows: 0 }
    }

    /// Writes a batch.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.rows += batch.num_rows() as u64;
        match &mut self.inner {
            Inner::Table(writer) => writer.write(batch),
            Inner::Csv { writer, header } => {
                *header = None;
                writer.write(batch)
            }
            Inner::Json(writer) => writer.write(batch),
            Inner::Ndjson(writer) => writer.write(batch),
        }
    }

    /// Writes what is left, and flushes. Gives the number of rows.
    pub fn finish(self) -> Result<u64, ArrowError> {
        let mut out = match self.inner {
            Inner::Table(writer) => writer.finish()?,
            Inner::Csv { mut writer, header } => {
                // Without rows there is still a header.
                header.map_or(Ok(()), |empty| writer.write(&empty))?;
                writer.into_inner()
            }
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
        };
        out.flush()?;
        Ok(self.rows)
    }
}

impl<W: Write> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({} rows so far)", self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let columns: [(&str, ArrayRef); 2] = [
            ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(-300)]))),
            ("text", Arc::new(StringArray::from(vec![Some("a,b"), Some("日本"), None]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn written(format: Format, batches: &[RecordBatch]) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(format, batch().schema(), &mut out);
        batches.iter().for_each(|b| writer.write(b).unwrap());
        let rows = batches.iter().map(|b| b.num_rows() as u64).sum::<u64>();
        assert_eq!(writer.finish().unwrap(), rows);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_are_written_in_every_format() {
        let rows = [batch()];
        assert_eq!(written(Format::Csv, &rows), "n,text\n1,\"a,b\"\n,日本\n-300,\n");
        let ndjson = "{\"n\":1,\"text\":\"a,b\"}\n{\"n\":null,\"text\":\"日本\"}\n{\"n\":-300,\"text\":null}\n";
        assert_eq!(written(Format::Ndjson, &rows), ndjson);
        let json = "[{\"n\":1,\"text\":\"a,b\"},{\"n\":null,\"text\":\"日本\"},{\"n\":-300,\"text\":null}]\n";
        assert_eq!(written(Format::Json, &rows), json);
        let table = "\
+------+------+
|    n | text |
+------+------+
|    1 | a,b  |
|      | 日本 |
| -300 |      |
+------+------+
";
        assert_eq!(written(Format::Table, &rows), table);
    }

    #[test]
    fn no_rows_are_written_in_every_format() {
        for rows in [vec![], vec![RecordBatch::new_empty(batch().schema())]] {
            assert_eq!(written(Format::Csv, &rows), "n,text\n");
            assert_eq!(written(Format::Ndjson, &rows), "");
            assert_eq!(written(Format::Json, &rows), "[]\n");
            assert_eq!(written(Format::Table, &rows), "+---+------+\n| n | text |\n+---+------+\n+---+------+\n");
        }
    }

    #[test]
    fn a_table_goes_on_after_the_rows_that_set_its_widths() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..2500));
        let many = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let mut out = Vec::new();
        let mut writer = Writer::new(Format::Table, many.schema(), &mut out);
        writer.write(&many).unwrap();
        assert_eq!(writer.finish().unwrap(), 2500);
        let text = String::from_utf8(out).unwrap();
        // Three rules, a header, the rows; those after the first thousand overflow their column instead of being cut.
        assert_eq!(text.lines().count(), 2504);
        assert!(text.contains("\n| 999 |\n| 1000 |\n"), "{text}");
    }

    #[test]
    fn formats_are_named_in_errors() {
        for format in [Format::Table, Format::Csv, Format::Json, Format::Ndjson] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let error = "xml".parse::<Format>().unwrap_err();
        assert_eq!(error, "unknown format \"xml\": expected table, csv, json or ndjson");
    }
}
