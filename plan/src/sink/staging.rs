//! The store that DataFusion's sinks write into: it takes files, and shows none.

use super::{
    Manifest, Spec, local,
    manifest::{MAX_FILES, StagedFile},
    objects,
    spec::StagingPlace,
};
use async_trait::async_trait;
use datafusion::{
    common::{DataFusionError, Result, not_impl_err},
    execution::{TaskContext, object_store::ObjectStoreRegistry, runtime_env::RuntimeEnv},
};
use futures::stream::BoxStream;
use hearth_core::messages::task::TaskFailure;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, path::Path,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use url::Url;

/// What one attempt has written so far.
#[derive(Debug, Default)]
struct State {
    begun: usize,
    written: Vec<StagedFile>,
    /// The first thing that went wrong. What sinks make of it is only a text.
    failure: Option<TaskFailure>,
}

/// What one attempt has written so far; shared with the uploads that write it.
#[derive(Clone, Debug, Default)]
pub(super) struct Record(Arc<Mutex<State>>);

impl Record {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn written(&self, file: StagedFile) {
        self.state().written.push(file);
    }

    /// Remembers a failure, and gives it a form in which it can travel through a sink.
    pub(super) fn failed(&self, failure: TaskFailure) -> object_store::Error {
        self.state().failure.get_or_insert_with(|| failure.clone());
        object_store::Error::Generic { store: "staging", source: Box::new(failure) }
    }

    /// The same for an error of an object store.
    pub(super) fn broke(&self, error: object_store::Error) -> object_store::Error {
        self.failed(crate::failure_of(&DataFusionError::ObjectStore(Box::new(error))))
    }

    /// The number of the next file.
    fn begin(&self) -> Option<usize> {
        let mut state = self.state();
        let number = state.begun;
        state.begun += 1;
        (number < MAX_FILES).then_some(number)
    }
}

/// Where the files of one attempt go.
#[derive(Debug)]
enum Attempt {
    Files(local::Attempt),
    Objects(objects::Attempt),
}

/// Takes the files of one attempt at one partition. When it is dropped without [`StagingStore::finish`], they go.
#[derive(Debug)]
pub(super) struct StagingStore {
    attempt: Attempt,
    /// What each file is called, in whichever folder it lies.
    name: String,
    record: Record,
}

impl StagingStore {
    /// Must be called on a tokio runtime.
    pub(super) fn open(spec: &Spec, partition: usize, context: &TaskContext) -> Result<Self, TaskFailure> {
        let attempt = match &spec.staging {
            Some(StagingPlace::Folder(folder)) => Attempt::Files(local::Attempt::begin(folder.as_ref(), partition)?),
            Some(StagingPlace::Objects(url)) => Attempt::Objects(objects::Attempt::begin(url, context)?),
            None => return Err(TaskFailure::Query("a task's payload does not say where to write".into())),
        };
        Ok(Self { attempt, name: spec.name(partition), record: Record::default() })
    }

    /// A context whose every store is this one.
    pub(super) fn context(self: &Arc<Self>, of: &TaskContext) -> Arc<TaskContext> {
        let runtime = of.runtime_env();
        let runtime =
            RuntimeEnv { object_store_registry: Arc::new(Only(Arc::clone(self) as _)), ..RuntimeEnv::clone(&runtime) };
        Arc::new(TaskContext::new(
            of.task_id(),
            of.session_id(),
            of.session_config().clone(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            Arc::new(runtime),
        ))
    }

    /// What a sink's error was in the first place.
    pub(super) fn cause(&self, error: DataFusionError) -> DataFusionError {
        match self.record.state().failure.clone() {
            Some(failure) => DataFusionError::External(Box::new(failure)),
            None => error,
        }
    }

    /// What was written, which stays from here on.
    pub(super) fn finish(&self, rows: u64) -> Result<Manifest, TaskFailure> {
        match &self.attempt {
            Attempt::Files(attempt) => attempt.keep()?,
            Attempt::Objects(attempt) => attempt.keep(),
        }
        let mut files = std::mem::take(&mut self.record.state().written);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Manifest { rows, files })
    }

    async fn begin(&self, location: &Path) -> object_store::Result<Box<dyn MultipartUpload>> {
        let Some(number) = self.record.begin() else {
            return Err(self.record.failed(TaskFailure::Query(format!(
                "one task writes more than {MAX_FILES} files; partition by fewer columns, or by columns with fewer values"
            ))));
        };
        // Sinks choose a name of their own; which folder it lies in is what counts.
        let mut parts: Vec<_> = location.parts().collect();
        parts.pop();
        let path = Path::from_iter(parts).join(self.name.as_str());
        let record = self.record.clone();
        Ok(match &self.attempt {
            Attempt::Files(attempt) => Box::new(attempt.create(number, path.into(), record).await?),
            Attempt::Objects(attempt) => Box::new(attempt.create(path.into(), record).await?),
        })
    }
}

impl fmt::Display for StagingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StagingStore({})", self.name)
    }
}

fn write_only<T>() -> object_store::Result<T> {
    Err(object_store::Error::NotSupported { source: "a sink's store is written only".into() })
}

#[async_trait]
impl ObjectStore for StagingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
        let mut upload = self.begin(location).await?;
        upload.put_part(payload).await?;
        upload.complete().await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.begin(location).await
    }

    async fn get_opts(&self, _: &Path, _: GetOptions) -> object_store::Result<GetResult> {
        write_only()
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        Box::pin(futures::stream::iter([write_only()]))
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        Box::pin(futures::stream::iter([write_only()]))
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        write_only()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        write_only()
    }
}

/// A registry of one store for all URLs.
#[derive(Debug)]
struct Only(Arc<dyn ObjectStore>);

impl ObjectStoreRegistry for Only {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        not_impl_err!("taking the store of {url} from a sink")
    }

    fn get_store(&self, _: &Url) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::clone(&self.0))
    }
}
