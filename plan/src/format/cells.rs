//! Values as text for people.

use arrow::{
    array::{Array, RecordBatch},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use std::{
    borrow::Cow,
    fmt::{self, Write},
};

/// What stands for a missing value.
const NULL: &str = "NULL";

/// The values of a batch, by row and column.
pub(super) struct Cells<'a> {
    batch: &'a RecordBatch,
    columns: Vec<ArrayFormatter<'a>>,
}

impl<'a> Cells<'a> {
    pub(super) fn of(batch: &'a RecordBatch, options: &'a FormatOptions<'a>) -> Result<Self, ArrowError> {
        let columns = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, options)).collect::<Result<_, _>>()?;
        Ok(Self { batch, columns })
    }

    /// A value, as one line that no terminal obeys.
    pub(super) fn shown(&self, row: usize, column: usize) -> Result<String, ArrowError> {
        let text = self.columns[column].value(row).try_to_string()?;
        Ok(printable(&text).into_owned())
    }

    /// All values of a row.
    pub(super) fn row(&self, row: usize) -> Result<Vec<String>, ArrowError> {
        (0..self.columns.len()).map(|column| self.shown(row, column)).collect()
    }

    /// A value as it is; nothing when it is missing.
    pub(super) fn plain(&self, row: usize, column: usize) -> Result<Option<String>, ArrowError> {
        if self.batch.column(column).is_null(row) {
            return Ok(None);
        }
        self.columns[column].value(row).try_to_string().map(Some)
    }
}

/// How values are shown to people.
pub(super) fn options() -> FormatOptions<'static> {
    FormatOptions::new().with_display_error(false).with_null(NULL)
}

/// Text on one line, with what would drive a terminal, or turn its text around, shown instead of obeyed.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_acting) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _: fmt::Result = match c {
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            c if is_acting(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
            c => out.write_char(c),
        };
    }
    Cow::Owned(out)
}

/// Control characters, and those that change the direction of what follows.
fn is_acting(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
