//! The file of `.output`.

use super::{super::target::Target, Failure, output};
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// An open file, and what is in it.
pub(super) struct OpenFile {
    pub(super) target: Target,
    /// Results that were begun in it.
    pub(super) results: u32,
}

impl OpenFile {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        Ok(Self { target: Target::open(Some(path))?, results: 0 })
    }

    /// Gives it its name. One without a result gets none: an empty file is no Parquet file, and replaces nothing.
    pub(super) fn close(self) -> Result<(), Failure> {
        if self.results > 0 {
            return self.target.finish();
        }
        output::remark(&format!("{} is not written: no statement gave rows", self.target.name()));
        Ok(())
    }

    /// What to say of one that a failure spoiled, which goes with this.
    pub(super) fn spoiled(self) -> String {
        format!("{} is not written, as not all rows are in it; rows go to the terminal again", self.target.name())
    }
}

/// The open file, if there is one: whoever runs a statement takes it for that time, else a signal may.
#[derive(Clone, Default)]
pub(super) struct File(Arc<Mutex<Option<OpenFile>>>);

impl File {
    fn inner(&self) -> MutexGuard<'_, Option<OpenFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it away.
    pub(super) fn take(&self) -> Option<OpenFile> {
        self.inner().take()
    }

    /// Puts another in its place; gives the one that was there.
    pub(super) fn replace(&self, file: OpenFile) -> Option<OpenFile> {
        self.inner().replace(file)
    }

    /// Whether there is one, and how many results are in it.
    pub(super) fn results(&self) -> Option<u32> {
        self.inner().as_ref().map(|file| file.results)
    }
}
