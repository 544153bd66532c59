//! The commit on an object store: uploads are completed, or aborted.
//!
//! A store has no rename, so the objects of a folder appear one by one; `_SUCCESS` comes last. A driver that is killed
//! within these moments leaves a folder without it.

use super::{Kind, SUCCESS, StagedFile, WriteError, etag, only};
use crate::{
    sink::{
        objects::{AT_ONCE, abort, below},
        target::object_path,
    },
    store::{StoreError, Stores},
};
use futures::{StreamExt, stream};
use object_store::{
    ObjectStore, ObjectStoreExt, PutPayload,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use std::{fmt, sync::Arc};
use url::Url;

/// Where the uploads of a write become objects.
pub(super) struct Uploads {
    url: Url,
    kind: Kind,
    /// The file, or the folder.
    path: Path,
    store: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploads").field("url", &self.url.as_str()).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Uploads {
    /// Refuses what is in the way. Another writer may still come in between: stores have no rename that would tell.
    pub(super) async fn begin(url: &Url, kind: Kind, stores: &Stores) -> Result<Self, WriteError> {
        let refused = |e: datafusion::common::DataFusionError| WriteError::Store {
            what: "write to",
            source: StoreError::find(&e).cloned().unwrap_or_else(|| StoreError::other(url, &e)),
        };
        let (store, parts) = stores.writable(url).map_err(refused)?;
        let path = object_path(url).map_err(|e| WriteError::Malformed(format!("the target {url}: {e}")))?;
        let uploads = Self { url: url.clone(), kind, path, store, parts };
        uploads.check().await?;
        Ok(uploads)
    }

    async fn check(&self) -> Result<(), WriteError> {
        let there = match self.kind {
            Kind::Append => false,
            Kind::File => match self.store.head(&self.path).await {
                Err(object_store::Error::NotFound { .. }) => false,
                Err(e) => return Err(self.failed("look at", &e)),
                Ok(_) => true,
            },
            Kind::NewFolder => match self.store.list(Some(&self.path)).next().await {
                None | Some(Err(object_store::Error::NotFound { .. })) => false,
                Some(Err(e)) => return Err(self.failed("list", &e)),
                Some(Ok(_)) => true,
            },
        };
        if there {
            return Err(WriteError::Exists { place: self.url.to_string(), what: self.kind.exists() });
        }
        Ok(())
    }

    async fn may_commit(&self, files: &[StagedFile]) -> Result<(), WriteError> {
        if self.kind == Kind::File {
            only(files)?;
        }
        self.check().await
    }

    /// Completes every upload, then says so. What was completed is deleted again when one cannot be.
    pub(super) async fn commit(&self, files: Vec<StagedFile>) -> Result<(), WriteError> {
        if let Err(error) = self.may_commit(&files).await {
            self.undo(files).await;
            return Err(error);
        }
        let mark = self.path.clone().join(SUCCESS);
        // While objects are added it would vouch for a part of them.
        let marked = self.kind == Kind::Append && self.store.head(&mark).await.is_ok();
        if marked && let Err(error) = self.store.delete(&mark).await {
            self.undo(files).await;
            return Err(self.failed("take the mark away from", &error));
        }
        let complete = async |file: StagedFile| {
            let parts = file.parts.iter().map(|id| PartId { content_id: id.clone() }).collect();
            match self.parts.complete_multipart(&self.at(&file), &file.staged, parts).await {
                Ok(_) => Ok(file),
                Err(e) => Err((file, e)),
            }
        };
        let all: Vec<_> = stream::iter(files).map(complete).buffer_unordered(AT_ONCE).collect().await;
        let (mut done, mut open, mut failure) = (Vec::new(), Vec::new(), None);
        for one in all {
            match one {
                Ok(file) => done.push(file),
                Err((file, error)) => {
                    open.push(file);
                    failure.get_or_insert(error);
                }
            }
        }
        if failure.is_none() && self.kind != Kind::File {
            failure = self.put_mark(&mark).await.err();
        }
        let Some(error) = failure else { return Ok(()) };
        if let (Kind::File, [file]) = (self.kind, &open[..]) {
            return self.settle(file, &error).await;
        }
        // Their answers may be lost, and they be there as well. Their names are this write's alone.
        done.extend(open.iter().cloned());
        self.undo(open).await;
        self.delete(&done).await;
        if marked && let Err(e) = self.store.put(&mark, PutPayload::new()).await {
            tracing::warn!("{mark} cannot be put back: {e}");
        }
        Err(self.failed("write", &error))
    }

    /// Says that all is there. A mark that could not be put is not there afterwards, unless it is another write's.
    async fn put_mark(&self, mark: &Path) -> object_store::Result<()> {
        let anothers = self.store.head(mark).await.is_ok();
        let put = self.store.put(mark, PutPayload::new()).await;
        if put.is_err() && !anothers {
            // It may have been put, and only the answer be lost.
            self.remove(mark).await;
        }
        put.map(drop)
    }

    /// A single file that could not be completed: it is there, if only the answer was lost. Its name is not this write's
    /// alone: what lies there may be another's.
    async fn settle(&self, file: &StagedFile, error: &object_store::Error) -> Result<(), WriteError> {
        let is_gone = |error: &object_store::Error| matches!(error, object_store::Error::NotFound { .. });
        // First: from here on nothing completes it any more.
        let aborted = self.parts.abort_multipart(&self.path, &file.staged).await.err();
        // No upload is left when it has become the object.
        let gone = is_gone(error) || aborted.as_ref().is_some_and(is_gone);
        if gone && self.is_there(file).await {
            return Ok(());
        }
        if let Some(e) = aborted.filter(|e| !is_gone(e)) {
            tracing::warn!("an upload to {} cannot be aborted, and stays until the store removes it: {e}", self.path);
        }
        Err(self.failed("write", error))
    }

    /// Whether the object is this one.
    async fn is_there(&self, file: &StagedFile) -> bool {
        let Ok(there) = self.store.head(&self.path).await else { return false };
        if there.size != file.bytes {
            return false;
        }
        let same = there.e_tag.is_some_and(|tag| etag::is_of_parts(&tag, &file.parts));
        if !same {
            tracing::warn!("{} has as many bytes as this write's file, and nothing says that it is it", self.path);
        }
        same
    }

    /// Takes uploads back.
    pub(super) async fn undo(&self, files: Vec<StagedFile>) {
        let uploads = files.into_iter().map(|f| (self.at(&f), f.staged)).collect();
        abort(Arc::clone(&self.parts), uploads).await;
    }

    async fn delete(&self, files: &[StagedFile]) {
        let delete = async |file: &StagedFile| self.remove(&self.at(file)).await;
        stream::iter(files).for_each_concurrent(AT_ONCE, delete).await;
    }

    async fn remove(&self, path: &Path) {
        match self.store.delete(path).await {
            Err(e) if !matches!(e, object_store::Error::NotFound { .. }) => {
                tracing::warn!("cannot take back {path}: {e}");
            }
            _ => {}
        }
    }

    fn at(&self, file: &StagedFile) -> Path {
        match self.kind {
            Kind::File => self.path.clone(),
            Kind::NewFolder | Kind::Append => below(&self.path, &file.path),
        }
    }

    fn failed(&self, what: &'static str, error: &object_store::Error) -> WriteError {
        let source = StoreError::find(error).cloned().unwrap_or_else(|| StoreError::other(&self.url, error));
        WriteError::Store { what, source }
    }
}

#[cfg(test)]
mod tests;
