//! What is wrong with a file, with its name.

use crate::{failure::failure_of, store::StoreError};
use arrow::error::ArrowError;
use datafusion::{
    common::DataFusionError,
    datasource::listing::{FileRange, PartitionedFile},
    parquet::errors::ParquetError,
};
use hearth_core::messages::task::TaskFailure;
use std::{
    any::Any,
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A file that is being read.
#[derive(Clone, Debug)]
pub(super) struct InFile {
    /// Its URL; its path, when it lies on this machine.
    url: Arc<str>,
    /// The part of it that is read here.
    range: Option<FileRange>,
    /// Rows that came out of it so far.
    rows: Arc<AtomicU64>,
}

impl InFile {
    pub(super) fn new(store: &str, file: &PartitionedFile) -> Self {
        let store = if store.starts_with("file:") { "/" } else { store };
        let url = format!("{store}{}", file.object_meta.location);
        Self { url: url.into(), range: file.range.clone(), rows: Arc::default() }
    }

    pub(super) fn came(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// An error about the file that no other try can mend.
    pub(super) fn broken(&self, message: impl std::fmt::Display) -> DataFusionError {
        DataFusionError::External(Box::new(TaskFailure::Query(format!("{}: {message}", self.url))))
    }

    /// The file's part in an error of its reader, if it has one.
    pub(super) fn explain(&self, error: DataFusionError) -> DataFusionError {
        if StoreError::find(&error).is_some() {
            return error;
        }
        match failure_of(&error) {
            TaskFailure::Query(message) => self.at(&message),
            TaskFailure::Panicked(message) => self.at(&format!("its reader gave up on it: {message}")),
            TaskFailure::Transient(message) if is_of_content(&error) => self.at(&message),
            _ => error,
        }
    }

    /// A panic of the file's reader.
    pub(super) fn panicked(&self, thrown: &(dyn Any + Send)) -> DataFusionError {
        let message = thrown.downcast_ref::<&str>().copied().or_else(|| thrown.downcast_ref().map(String::as_str));
        self.at(&format!("its reader gave up on it: {}", message.unwrap_or("without a word")))
    }

    fn at(&self, message: &str) -> DataFusionError {
        if message.contains(&*self.url) {
            return DataFusionError::External(Box::new(TaskFailure::Query(message.to_owned())));
        }
        self.broken(format!("{message}{}", self.place(message)))
    }

    /// Where in the file it happened, as far as that is known and not said.
    fn place(&self, message: &str) -> String {
        let counts_lines = message.contains(" line ");
        match (&self.range, counts_lines) {
            (Some(FileRange { start, .. }), true) if *start > 0 => format!(" (lines counted from byte {start})"),
            (_, true) => String::new(),
            (range, false) => {
                let rows = self.rows.load(Ordering::Relaxed);
                let of = range.as_ref().map(|r| format!(" of the part from byte {} to {}", r.start, r.end));
                format!(" (after row {rows}{})", of.unwrap_or_default())
            }
        }
    }
}

/// Whether an error that might pass is about bytes that were read: those stay as they are.
fn is_of_content(error: &DataFusionError) -> bool {
    let mut error: &(dyn Error + 'static) = error;
    // Longer chains are cycles.
    for _ in 0..64 {
        if error.is::<ParquetError>() || matches!(error.downcast_ref(), Some(ArrowError::IpcError(_))) {
            return true;
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            use io::ErrorKind as K;
            let of_content = [K::InvalidData, K::InvalidInput, K::UnexpectedEof, K::Other];
            return error.raw_os_error().is_none() && of_content.contains(&error.kind());
        }
        match error.source() {
            Some(source) => error = source,
            None => return false,
        }
    }
    false
}
