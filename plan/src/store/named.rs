//! A store whose errors say where they arose, and what to do.

use super::{StoreError, error::About};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use std::{fmt, ops::Range, sync::Arc};

/// What errors are called after.
#[derive(Clone, Debug)]
struct Names {
    /// The store's URL; nothing for files.
    url: Arc<str>,
    about: Arc<About>,
}

impl Names {
    fn new(url: &str, about: About) -> Self {
        Self { url: url.into(), about: Arc::new(about) }
    }

    /// The same error, with what is told to people in the place of its source. Its kind stays, which callers look at.
    fn error(&self, path: Option<&Path>, error: Error) -> Error {
        let url = match path {
            Some(path) => format!("{}/{path}", self.url),
            None => self.url.to_string(),
        };
        let source = Box::new(StoreError::of_client(url.clone(), &self.about, &error));
        match error {
            Error::NotFound { .. } => Error::NotFound { path: url, source },
            Error::AlreadyExists { .. } => Error::AlreadyExists { path: url, source },
            Error::Precondition { .. } => Error::Precondition { path: url, source },
            Error::NotModified { .. } => Error::NotModified { path: url, source },
            Error::PermissionDenied { .. } => Error::PermissionDenied { path: url, source },
            Error::Unauthenticated { .. } => Error::Unauthenticated { path: url, source },
            Error::NotSupported { .. } | Error::NotImplemented { .. } => Error::NotSupported { source },
            _ => Error::Generic { store: self.about.provider.name(), source },
        }
    }

    fn stream<T: 'static>(
        self,
        path: Option<Path>,
        items: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        items.map(move |item| item.map_err(|e| self.error(path.as_ref(), e))).boxed()
    }
}

/// A store whose errors say where they arose.
#[derive(Debug)]
pub(super) struct Named {
    inner: Arc<dyn ObjectStore>,
    names: Names,
}

impl Named {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, url: &str, about: About) -> Self {
        Self { inner, names: Names::new(url, about) }
    }

    fn at(&self, path: &Path) -> impl Fn(Error) -> Error {
        let (names, path) = (self.names.clone(), path.clone());
        move |error| names.error(Some(&path), error)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.names.url.is_empty() { "files" } else { &self.names.url })
    }
}

#[async_trait]
impl ObjectStore for Named {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await.map_err(self.at(location))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, options).await.map_err(self.at(location))?;
        Ok(Box::new(NamedUpload { inner, location: location.clone(), names: self.names.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut got = self.inner.get_opts(location, options).await.map_err(self.at(location))?;
        if let GetResultPayload::Stream(bytes) = got.payload {
            let bytes = self.names.clone().stream(Some(location.clone()), bytes);
            got.payload = GetResultPayload::Stream(bytes);
        }
        Ok(got)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await.map_err(self.at(location))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.names.clone().stream(None, self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.names.clone().stream(prefix.cloned(), self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.names.clone().stream(prefix.cloned(), self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let listed = self.inner.list_with_delimiter(prefix).await;
        listed.map_err(|e| self.names.error(prefix, e))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await.map_err(self.at(from))
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await.map_err(self.at(from))
    }
}

/// An upload whose errors say where they arose.
#[derive(Debug)]
struct NamedUpload {
    inner: Box<dyn MultipartUpload>,
    location: Path,
    names: Names,
}

#[async_trait]
impl MultipartUpload for NamedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, names, location) = (self.inner.put_part(data), self.names.clone(), self.location.clone());
        Box::pin(async move { part.await.map_err(|e| names.error(Some(&location), e)) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await.map_err(|e| self.names.error(Some(&self.location), e))
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await.map_err(|e| self.names.error(Some(&self.location), e))
    }
}

/// Uploads in parts whose errors say where they arose.
pub(super) struct NamedParts {
    inner: Arc<dyn MultipartStore>,
    names: Names,
}

impl NamedParts {
    pub(super) fn new(inner: Arc<dyn MultipartStore>, url: &str, about: About) -> Self {
        Self { inner, names: Names::new(url, about) }
    }

    fn at(&self, path: &Path) -> impl Fn(Error) -> Error {
        let (names, path) = (self.names.clone(), path.clone());
        move |error| names.error(Some(&path), error)
    }
}

#[async_trait]
impl MultipartStore for NamedParts {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.inner.create_multipart(path).await.map_err(self.at(path))
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, part: usize, data: PutPayload) -> Result<PartId> {
        self.inner.put_part(path, id, part, data).await.map_err(self.at(path))
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        self.inner.complete_multipart(path, id, parts).await.map_err(self.at(path))
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.inner.abort_multipart(path, id).await.map_err(self.at(path))
    }
}
