//! The commit on an object store: uploads are completed, or aborted.
//!
//! A store has no rename, so the objects of a folder appear one by one; `_SUCCESS` comes last. A driver that is killed
//! within these moments leaves a folder without it.

use super::{Kind, SUCCESS, StagedFile, WriteError, only};
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
            failure = self.store.put(&mark, PutPayload::new()).await.err();
        }
        let Some(error) = failure else { return Ok(()) };
        if let (Kind::File, [file]) = (self.kind, &open[..])
            && self.store.head(&self.path).await.is_ok_and(|there| there.size == file.bytes)
        {
            // It was completed, and only the answer was lost.
            return Ok(());
        }
        if self.kind != Kind::File {
            // For the same reason those that could not be completed may be there as well. Their names are this write's alone;
            // that of a single file may be another writer's by now.
            done.extend(open.iter().cloned());
        }
        self.undo(open).await;
        self.delete(&done).await;
        if marked && let Err(e) = self.store.put(&mark, PutPayload::new()).await {
            tracing::warn!("{mark} cannot be put back: {e}");
        }
        Err(self.failed("write", &error))
    }

    /// Takes uploads back.
    pub(super) async fn undo(&self, files: Vec<StagedFile>) {
        let uploads = files.into_iter().map(|f| (self.at(&f), f.staged)).collect();
        abort(Arc::clone(&self.parts), uploads).await;
    }

    async fn delete(&self, files: &[StagedFile]) {
        let delete = async |file: &StagedFile| match self.store.delete(&self.at(file)).await {
            Err(e) if !matches!(e, object_store::Error::NotFound { .. }) => {
                tracing::warn!("cannot take back {}: {e}", self.at(file));
            }
            _ => {}
        };
        stream::iter(files).for_each_concurrent(AT_ONCE, delete).await;
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
