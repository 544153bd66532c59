//! What a task wrote, as the one row of its result.

use super::WriteError;
use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use object_store::path::Path;
use prost::Message;
use std::sync::{Arc, LazyLock};

/// The most files of one task. A manifest of as many takes some MiB, and a folder is slow to list with more.
pub(super) const MAX_FILES: usize = 10_000;

/// The most files of one write: the driver lists them all, at some 200 bytes each.
pub const MAX_WRITE_FILES: usize = 200_000;

/// What a task wrote and nobody sees yet. Tags are never used again for another meaning.
#[derive(Clone, PartialEq, Message)]
pub struct Manifest {
    /// Rows in all its files.
    #[prost(uint64, tag = "1")]
    pub(super) rows: u64,
    #[prost(message, repeated, tag = "2")]
    pub(super) files: Vec<StagedFile>,
}

/// A file that waits for the commit.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StagedFile {
    /// Where it belongs, below the target's folder.
    #[prost(string, tag = "1")]
    pub(super) path: String,
    /// Where it is: below the write's staging folder, or the id of the upload that it is to an object store.
    #[prost(string, tag = "2")]
    pub(super) staged: String,
    #[prost(uint64, tag = "3")]
    pub(super) bytes: u64,
    /// What the parts of an upload are called.
    #[prost(string, repeated, tag = "4")]
    pub(super) parts: Vec<String>,
}

const COLUMN: &str = "manifest";

/// The schema of what a task of a write gives.
pub(super) static SCHEMA: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(vec![Field::new(COLUMN, DataType::Binary, false)])));

impl Manifest {
    pub(super) fn to_batch(&self) -> datafusion::common::Result<RecordBatch> {
        let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([self.encode_to_vec()]));
        Ok(RecordBatch::try_new(Arc::clone(&SCHEMA), vec![column])?)
    }

    /// How many files it lists.
    pub const fn files(&self) -> usize {
        self.files.len()
    }

    /// Those in the rows of a result.
    pub fn read(batch: &RecordBatch) -> Result<Vec<Self>, WriteError> {
        let malformed = |what: &str| WriteError::Malformed(what.to_owned());
        let column = batch.column_by_name(COLUMN).and_then(|c| c.as_binary_opt::<i32>());
        let column = column.filter(|c| c.null_count() == 0).ok_or_else(|| malformed("it has other columns"))?;
        let decoded = column.iter().flatten().map(|bytes| {
            let manifest = Self::decode(bytes).map_err(|e| malformed(&e.to_string()))?;
            // They become paths of this machine.
            let safe = |path: &str| Path::parse(path).is_ok_and(|p| p.parts().count() > 0 && p.as_ref() == path);
            let upload = |file: &StagedFile| !file.parts.is_empty();
            match manifest.files.iter().find(|f| !safe(&f.path) || !(upload(f) || safe(&f.staged))) {
                Some(file) => Err(malformed(&format!("{:?}, left at {:?}, is no path", file.path, file.staged))),
                None => Ok(manifest),
            }
        });
        decoded.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str, staged: &str) -> Manifest {
        let file = StagedFile { path: path.into(), staged: staged.into(), bytes: 3, parts: vec![] };
        Manifest { rows: 7, files: vec![file] }
    }

    #[test]
    fn comes_back_as_it_was() {
        let sent = manifest("k=a%2Fb/part-00001-w.parquet", "x/0");
        assert_eq!(Manifest::read(&sent.to_batch().unwrap()).unwrap(), [sent]);
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        for bad in ["../x", "/etc/passwd", "", "a/./b", "a//b"] {
            for manifest in [manifest(bad, "x/0"), manifest("x", bad)] {
                let error = Manifest::read(&manifest.to_batch().unwrap()).unwrap_err();
                assert!(matches!(error, WriteError::Malformed(_)), "{bad}: {error}");
            }
        }
    }

    #[test]
    fn other_rows_are_no_manifest() {
        let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([[0xff_u8, 0xff]]));
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), vec![column.clone()]).unwrap();
        assert!(Manifest::read(&batch).is_err());
        let other = RecordBatch::try_from_iter([("count", column)]).unwrap();
        assert!(Manifest::read(&other).is_err());
    }
}
