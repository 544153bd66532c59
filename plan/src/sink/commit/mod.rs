//! The driver's side of a write: before its tasks, and after them.

mod etag;
mod files;
mod objects;

use super::{Kind, Manifest, Target, WriteError, manifest::StagedFile, target::Place};
use crate::store::Stores;
use std::{fmt, sync::Arc};
use tokio::task::spawn_blocking;

/// In a folder when all of a write is.
const SUCCESS: &str = "_SUCCESS";

/// What follows when the rows are visible: the table that they are.
type Then = Box<dyn FnOnce() -> Result<(), String> + Send>;

/// A write that is planned. Nothing has happened yet.
pub struct Write {
    target: Target,
    /// Its name, which no other has.
    write: String,
    stores: Arc<Stores>,
    then: Option<Then>,
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write").field("target", &self.target).field("write", &self.write).finish_non_exhaustive()
    }
}

impl Write {
    pub(crate) fn new(target: Target, write: String, stores: Arc<Stores>) -> Self {
        Self { target, write, stores, then: None }
    }

    /// The same; `then` follows the commit.
    #[must_use]
    pub(crate) fn then(mut self, then: impl FnOnce() -> Result<(), String> + Send + 'static) -> Self {
        self.then = Some(Box::new(then));
        self
    }

    /// Makes what its tasks write into. To be called on a tokio runtime, before they start.
    pub async fn begin(self) -> Result<BegunWrite, WriteError> {
        let Self { target, write, stores, then } = self;
        let shown = target.place.to_string();
        let staged = match target.place {
            Place::Files(path) => {
                let kind = target.kind;
                Staged::Files(blocking(move || files::Staging::begin(path, kind, &write)).await?)
            }
            Place::Objects(url) => Staged::Objects(objects::Uploads::begin(&url, target.kind, &stores).await?),
        };
        Ok(BegunWrite { target: shown, staged, then })
    }
}

/// Where its files wait for the commit.
#[derive(Debug)]
enum Staged {
    /// In a folder beside the target. Dropping it removes that, and so may block for a moment.
    Files(files::Staging),
    /// In uploads that are not completed.
    Objects(objects::Uploads),
}

/// A write whose tasks may run. To be ended by [`BegunWrite::commit`] or by [`BegunWrite::undo`].
pub struct BegunWrite {
    /// For people.
    target: String,
    staged: Staged,
    then: Option<Then>,
}

impl fmt::Debug for BegunWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BegunWrite").field("staged", &self.staged).finish_non_exhaustive()
    }
}

impl BegunWrite {
    /// Makes all of it visible; gives the number of rows. `manifests` has those of each partition once. Once begun it
    /// goes on, even if what is returned is dropped. On an error nothing is visible.
    pub async fn commit(self, manifests: Vec<Manifest>) -> Result<u64, WriteError> {
        let rows = manifests.iter().map(|m| m.rows).sum();
        let Self { target, staged, then } = self;
        let then = move || match then {
            Some(then) => then().map_err(|message| WriteError::Table { place: target, message }),
            None => Ok(()),
        };
        match staged {
            Staged::Files(staging) => {
                blocking(move || {
                    staging.commit(flat(manifests)?)?;
                    then()
                })
                .await?;
            }
            Staged::Objects(uploads) => {
                let commit = tokio::spawn(async move { uploads.commit(flat(manifests)?).await });
                joined(commit.await)?;
                blocking(then).await?;
            }
        }
        Ok(rows)
    }

    /// Whether only manifests tell what there is to undo.
    pub const fn is_undone_by_manifests(&self) -> bool {
        matches!(self.staged, Staged::Objects(_))
    }

    /// Removes everything of it, as far as it is known: `manifests` are those that there were before it failed.
    pub async fn undo(self, manifests: Vec<Manifest>) {
        match self.staged {
            // Only a panic could be the error, which has been told.
            Staged::Files(staging) => drop(spawn_blocking(move || drop(staging)).await),
            Staged::Objects(uploads) => uploads.undo(manifests.into_iter().flat_map(|m| m.files).collect()).await,
        }
    }
}

/// The files of all tasks, by their paths.
fn flat(manifests: Vec<Manifest>) -> Result<Vec<StagedFile>, WriteError> {
    let mut files: Vec<_> = manifests.into_iter().flat_map(|m| m.files).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    match files.windows(2).find(|pair| pair[0].path == pair[1].path) {
        Some([twice, _]) => Err(WriteError::Malformed(format!("{} comes twice", twice.path))),
        _ => Ok(files),
    }
}

/// The only file of a write of one.
fn only(files: &[StagedFile]) -> Result<&StagedFile, WriteError> {
    match files {
        [file] => Ok(file),
        _ => Err(WriteError::Malformed(format!("{} files where one is expected", files.len()))),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WriteError> + Send + 'static,
) -> Result<T, WriteError> {
    joined(spawn_blocking(work).await)
}

fn joined<T>(done: Result<Result<T, WriteError>, tokio::task::JoinError>) -> Result<T, WriteError> {
    done.unwrap_or_else(|e| Err(WriteError::Internal(format!("a write broke off: {e}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_twice_is_refused() {
        let file = StagedFile { path: "x".into(), ..StagedFile::default() };
        let manifest = Manifest { rows: 1, files: vec![file] };
        assert!(matches!(flat(vec![manifest.clone(), manifest]), Err(WriteError::Malformed(_))));
    }
}
