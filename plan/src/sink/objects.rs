//! Objects of an attempt in an object store: uploads that are not completed.

use super::{manifest::StagedFile, staging::Record, target::object_path};
use crate::store::Stores;
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use futures::{StreamExt, stream};
use hearth_core::messages::task::TaskFailure;
use object_store::{
    MultipartUpload, PutPayload, PutResult, UploadPart,
    multipart::{MultipartStore, PartId},
    path::{Path, PathPart},
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::runtime::Handle;
use tokio_util::task::task_tracker::TaskTrackerToken;
use url::Url;

/// Requests that are under way at once when uploads are completed or aborted.
pub(super) const AT_ONCE: usize = 16;

/// The uploads of one attempt. None of them is an object until the driver completes it.
pub(super) struct Attempt {
    stores: Arc<Stores>,
    store: Arc<dyn MultipartStore>,
    /// The folder that the objects belong in.
    folder: Path,
    begun: Mutex<Vec<(Path, String)>>,
    keep: AtomicBool,
    runtime: Handle,
    /// Parts of a task that is cancelled end a moment after it, and this with the last of them.
    _open: TaskTrackerToken,
}

impl Attempt {
    /// `folder` is the URL of the folder that its objects belong in. Must be called on a tokio runtime, which aborts the
    /// uploads if they are not kept.
    pub(super) fn begin(folder: &str, context: &TaskContext) -> Result<Self, TaskFailure> {
        let malformed = |e: &dyn fmt::Display| TaskFailure::Query(format!("cannot write to {folder}: {e}"));
        let url = Url::parse(folder).map_err(|e| malformed(&e))?;
        let stores = context.session_config().get_extension::<Stores>();
        let stores = stores.ok_or_else(|| malformed(&"the task knows no object stores"))?;
        let (_, store) = stores.writable(&url).map_err(|e| crate::failure_of(&e))?;
        let folder = object_path(&url).map_err(|e| malformed(&e))?;
        let (begun, keep, runtime) = (Mutex::default(), AtomicBool::new(false), Handle::current());
        let _open = stores.hold();
        Ok(Self { stores, store, folder, begun, keep, runtime, _open })
    }

    /// They stay.
    pub(super) fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    pub(super) async fn create(&self, path: String, record: Record) -> object_store::Result<Upload> {
        let at = below(&self.folder, &path);
        let id = self.store.create_multipart(&at).await.map_err(|e| record.broke(e))?;
        lock(&self.begun).push((at.clone(), id.clone()));
        let store = Arc::clone(&self.store);
        Ok(Upload { store, at, path, id, parts: Arc::default(), begun: 0, written: 0, record })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let begun = std::mem::take(&mut *lock(&self.begun));
        if *self.keep.get_mut() || begun.is_empty() {
            return;
        }
        self.stores.undo(&self.runtime, abort(Arc::clone(&self.store), begun));
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A path that is encoded already, below a folder.
pub(super) fn below(folder: &Path, path: &str) -> Path {
    let parts = path.split('/').filter_map(|part| PathPart::parse(part).ok());
    Path::from_iter(folder.parts().chain(parts))
}

/// Takes uploads back. What the store refuses to take back costs room there until its own rules remove it.
pub(super) async fn abort(store: Arc<dyn MultipartStore>, uploads: Vec<(Path, String)>) {
    let abort = async |(path, id): (Path, String)| {
        if let Err(e) = store.abort_multipart(&path, &id).await {
            tracing::warn!("an upload to {path} cannot be aborted, and stays until the store removes it: {e}");
        }
    };
    stream::iter(uploads).for_each_concurrent(AT_ONCE, abort).await;
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One object while it is written.
pub(super) struct Upload {
    store: Arc<dyn MultipartStore>,
    at: Path,
    path: String,
    id: String,
    parts: Arc<Mutex<Vec<(usize, String)>>>,
    begun: usize,
    written: u64,
    record: Record,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("at", &self.at).finish_non_exhaustive()
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let place = self.begun;
        self.begun += 1;
        self.written += data.content_length() as u64;
        let (store, at, id) = (Arc::clone(&self.store), self.at.clone(), self.id.clone());
        let (parts, record) = (Arc::clone(&self.parts), self.record.clone());
        Box::pin(async move {
            let PartId { content_id } = store.put_part(&at, &id, place, data).await.map_err(|e| record.broke(e))?;
            lock(&parts).push((place, content_id));
            Ok(())
        })
    }

    /// All parts are there; it is the driver who says that they are an object.
    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let mut parts = std::mem::take(&mut *lock(&self.parts));
        parts.sort();
        if parts.len() != self.begun {
            let message = format!("{} of {} parts of {} were uploaded", parts.len(), self.begun, self.at);
            return Err(self.record.failed(TaskFailure::Transient(message)));
        }
        let parts = parts.into_iter().map(|(_, id)| id).collect();
        let (path, staged) = (self.path.clone(), self.id.clone());
        self.record.written(StagedFile { path, staged, bytes: self.written, parts });
        Ok(PutResult { e_tag: None, version: None })
    }

    /// It goes with its attempt.
    async fn abort(&mut self) -> object_store::Result<()> {
        Ok(())
    }
}
