//! The columns of a table, out of those of its files.

use super::{check, files::Files, kind::Kind, widen::widen, wrong};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::{common::Result, datasource::file_format::FileFormat, execution::session_state::SessionState};
use futures::{FutureExt, StreamExt, stream};
use std::{panic::AssertUnwindSafe, sync::Arc};

/// Files whose columns are read at once: enough for a store that is far away, bounded for the memory.
const AT_ONCE: usize = 32;

/// How a reader matches the columns of a file with those of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matching {
    /// By name; what is missing is NULL.
    ByName,
    /// By place: names and number must be the same, types may be widened.
    ByPlace,
    /// As they are.
    Exactly,
}

impl Kind {
    const fn matching(self) -> Matching {
        match self {
            Self::Parquet | Self::Json => Matching::ByName,
            Self::Csv | Self::Tsv => Matching::ByPlace,
            Self::Avro | Self::Arrow => Matching::Exactly,
        }
    }
}

/// The columns of all files together.
pub(super) async fn of(state: &SessionState, files: &Files, format: &dyn FileFormat) -> Result<SchemaRef> {
    if files.files.is_empty() {
        let message = "no files there to tell the columns; add some, or declare the columns";
        return Err(wrong(files.describe(), message));
    }
    let filled = (0..files.files.len()).filter(|place| files.files[*place].1.size > 0);
    // One that is not read yet is a number: there may be a million.
    let mut schemas = stream::iter(filled).map(|place| of_file(state, files, format, place)).buffered(AT_ONCE);
    let mut merged: Option<Merged> = None;
    while let Some(schema) = schemas.next().await {
        let (url, schema) = schema?;
        match &mut merged {
            None => merged = Some(Merged::new(url, &schema, files.named.kind)),
            Some(merged) => merged.add(&url, &schema)?,
        }
    }
    let schema = merged.map(|m| Schema::new(m.fields)).unwrap_or_else(Schema::empty);
    if schema.fields().is_empty() {
        return Err(wrong(files.describe(), format!("no columns; {}", files.named.kind.expected())));
    }
    Ok(Arc::new(schema))
}

/// The columns of the file at a place of the list. Whatever its reader does, the file is named.
async fn of_file(
    state: &SessionState,
    files: &Files,
    format: &dyn FileFormat,
    place: usize,
) -> Result<(String, SchemaRef)> {
    let (root, file) = &files.files[place];
    let url = files.url(*root, file);
    let kind = files.named.kind;
    let compressed = files.named.compression.is_some();
    if let Some(problem) = check::ends(&files.store, file, kind, compressed).await? {
        return Err(wrong(url, format!("{problem}; {}", kind.expected())));
    }
    let objects = [file.clone()];
    let inferred = AssertUnwindSafe(format.infer_schema(state, &files.store, &objects)).catch_unwind().await;
    match inferred {
        Ok(Ok(schema)) => Ok((url, schema)),
        // A store in trouble has said where.
        Ok(Err(error)) if crate::store::StoreError::find(&error).is_some() => Err(error),
        Ok(Err(error)) => Err(wrong(url, format!("{}: {}", kind.expected(), error.strip_backtrace()))),
        Err(_) => Err(wrong(url, format!("its reader gave up on it; {}", kind.expected()))),
    }
}

/// The columns so far.
struct Merged {
    kind: Kind,
    fields: Vec<Field>,
    /// The file that each column was first seen in.
    first: Vec<String>,
}

impl Merged {
    fn new(url: String, schema: &Schema, kind: Kind) -> Self {
        let fields: Vec<_> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        Self { kind, first: vec![url; fields.len()], fields }
    }

    fn add(&mut self, url: &str, schema: &Schema) -> Result<()> {
        let matching = self.kind.matching();
        if matching != Matching::ByName {
            self.check_names(url, schema)?;
        }
        for field in schema.fields() {
            let Some(place) = self.fields.iter().position(|known| known.name() == field.name()) else {
                self.fields.push(field.as_ref().clone().with_nullable(true));
                self.first.push(url.to_owned());
                continue;
            };
            let known = &self.fields[place];
            let (was, is) = (known.data_type(), field.data_type());
            let fits = match matching {
                Matching::Exactly => (was == is).then(|| was.clone()),
                Matching::ByPlace => Some(widen(was, is, true).unwrap_or(DataType::Utf8)),
                Matching::ByName => widen(was, is, self.kind.is_text()),
            };
            let Some(fits) = fits else {
                let first = &self.first[place];
                let message = format!(
                    "column {} has the type {is} here and {was} in {first}; neither fits into the other",
                    field.name()
                );
                return Err(wrong(url, message));
            };
            let nullable = known.is_nullable() || field.is_nullable();
            let mut merged = known.clone().with_data_type(fits).with_nullable(nullable);
            if merged.metadata() != field.metadata() {
                merged.set_metadata(std::collections::HashMap::new());
            }
            self.fields[place] = merged;
        }
        for known in self.fields.iter_mut().filter(|known| schema.field_with_name(known.name()).is_err()) {
            known.set_nullable(true);
        }
        Ok(())
    }

    fn check_names(&self, url: &str, schema: &Schema) -> Result<()> {
        let names = |fields: &mut dyn Iterator<Item = &str>| fields.collect::<Vec<_>>().join(", ");
        let first = self.first.first().map(String::as_str).unwrap_or_default();
        for (place, known) in self.fields.iter().enumerate() {
            match schema.fields().get(place) {
                Some(field) if field.name() == known.name() => {}
                Some(field) => {
                    let (column, was) = (place + 1, known.name());
                    let message = format!("column {column} is called {} here and {was} in {first}", field.name());
                    return Err(wrong(url, format!("{message}; files of this format must have the same columns")));
                }
                None => {
                    let message = format!("column {} of {first} is missing here", known.name());
                    return Err(wrong(url, format!("{message}; files of this format must have the same columns")));
                }
            }
        }
        let more = schema.fields().len() - self.fields.len();
        if more > 0 {
            let extra = names(&mut schema.fields().iter().skip(self.fields.len()).map(|f| f.name().as_str()));
            let message = format!("columns that {first} has not: {extra}");
            return Err(wrong(url, format!("{message}; files of this format must have the same columns")));
        }
        Ok(())
    }
}
