//! A store that loses answers.

use super::*;
use async_trait::async_trait;
use futures::{TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    PutMultipartOptions, PutOptions, PutResult, Result, memory::InMemory,
};
use std::sync::Mutex;

/// What becomes of a request that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It is done, and its answer is lost.
    Done,
    /// It is done and tried again: its upload is gone.
    Gone,
    /// It is not done.
    NotDone,
    /// It is not done, and another writer's object comes to lie there, of as many bytes; nothing is known of the upload any more.
    Overtaken,
}

/// Objects in memory, with tags as S3 gives them.
#[derive(Debug, Default)]
struct Store {
    inner: InMemory,
    /// Of the completion of an upload.
    complete: Option<Fault>,
    /// Of the mark.
    put: Option<Fault>,
    /// Of each object that was uploaded.
    tags: Mutex<Vec<(Path, String)>>,
    aborted: Mutex<Vec<Path>>,
}

/// The MD5 of a part, or what a store gives in its place.
const SUM: &str = "0cc175b9c0f1b6a831c399e269772661";
/// The tag of an object of one such part.
const TAG: &str = "\"b6ff9a06b7e20bcb2858c5b8ff744aea-1\"";
const ANOTHERS: &str = "\"00000000000000000000000000000000-1\"";

fn lost() -> Error {
    Error::Generic { store: "test", source: "the answer is lost".into() }
}

fn gone(path: &Path) -> Error {
    Error::NotFound { path: path.to_string(), source: "no such upload".into() }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that loses answers")
    }
}

impl Store {
    async fn lies_there(&self, path: &Path, tag: &str) {
        self.inner.put(path, "same".into()).await.unwrap();
        self.tags.lock().unwrap().push((path.clone(), tag.to_owned()));
    }

    async fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.inner.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
        names.sort();
        names
    }
}

#[async_trait]
impl MultipartStore for Store {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.inner.create_multipart(path).await
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, part: usize, data: PutPayload) -> Result<PartId> {
        self.inner.put_part(path, id, part, data).await
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        match self.complete {
            Some(Fault::NotDone) => return Err(lost()),
            Some(Fault::Overtaken) => {
                self.inner.abort_multipart(path, id).await?;
                self.lies_there(path, ANOTHERS).await;
                return Err(gone(path));
            }
            None | Some(Fault::Done | Fault::Gone) => {}
        }
        let completed = self.inner.complete_multipart(path, id, parts).await?;
        self.tags.lock().unwrap().push((path.clone(), TAG.to_owned()));
        match self.complete {
            Some(Fault::Done) => Err(lost()),
            Some(Fault::Gone) => Err(gone(path)),
            _ => Ok(completed),
        }
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.inner.abort_multipart(path, id).await.map_err(|_| gone(path))?;
        self.aborted.lock().unwrap().push(path.clone());
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for Store {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.put {
            None => self.inner.put_opts(path, payload, options).await,
            Some(Fault::Done) => {
                self.inner.put_opts(path, payload, options).await?;
                Err(lost())
            }
            Some(_) => Err(lost()),
        }
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let mut got = self.inner.get_opts(path, options).await?;
        got.meta.e_tag = self.tags.lock().unwrap().iter().find(|(of, _)| of == path).map(|(_, tag)| tag.clone());
        Ok(got)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn uploads(store: &Arc<Store>, kind: Kind) -> Uploads {
    let url = Url::parse("s3://bucket/out").unwrap();
    Uploads {
        path: object_path(&url).unwrap(),
        url,
        kind,
        store: Arc::clone(store) as _,
        parts: Arc::clone(store) as _,
    }
}

/// As a task leaves it: an upload of one part.
async fn leave(uploads: &Uploads, path: &str, sum: &str) -> StagedFile {
    let mut file =
        StagedFile { path: path.into(), bytes: 4, parts: vec![format!("\"{sum}\"")], ..StagedFile::default() };
    let at = uploads.at(&file);
    file.staged = uploads.parts.create_multipart(&at).await.unwrap();
    uploads.parts.put_part(&at, &file.staged, 0, "same".into()).await.unwrap();
    file
}

#[tokio::test]
async fn a_single_file_whose_answer_is_lost_is_there_if_it_is_known_to_be_this_one() {
    for (fault, sum, is_there) in [
        (Fault::Gone, SUM, true),
        (Fault::Done, SUM, true),
        // Nothing that the store says tells whose it is.
        (Fault::Gone, "AAAAB3NzaC1yc2EAAAA", false),
        (Fault::Overtaken, SUM, false),
        (Fault::NotDone, SUM, false),
    ] {
        let store = Arc::new(Store { complete: Some(fault), ..Store::default() });
        let uploads = uploads(&store, Kind::File);
        let file = leave(&uploads, "out", sum).await;
        let committed = uploads.commit(vec![file]).await;
        assert_eq!(committed.is_ok(), is_there, "{fault:?} {sum}: {committed:?}");
        let there: &[&str] = if fault == Fault::NotDone { &[] } else { &["out"] };
        assert_eq!(store.names().await, there, "{fault:?}: another's is left alone");
        assert_eq!(store.aborted.lock().unwrap().len(), usize::from(fault == Fault::NotDone), "{fault:?}");
    }
}

#[tokio::test]
async fn an_object_of_as_many_bytes_is_no_proof_while_the_upload_is_there() {
    let store = Arc::new(Store { complete: Some(Fault::NotDone), ..Store::default() });
    let uploads = uploads(&store, Kind::File);
    let file = leave(&uploads, "out", SUM).await;
    let error = {
        let (there, at) = (Arc::clone(&store), uploads.path.clone());
        let error = uploads.parts.complete_multipart(&at, &file.staged, vec![]).await.unwrap_err();
        // Another writer's, which even has the same bytes.
        there.lies_there(&at, TAG).await;
        error
    };
    uploads.settle(&file, &error).await.unwrap_err();
    assert_eq!(store.names().await, ["out"]);
    assert_eq!(store.aborted.lock().unwrap().as_slice(), std::slice::from_ref(&uploads.path));
}

#[tokio::test]
async fn a_mark_whose_answer_is_lost_goes_with_what_it_vouched_for() {
    for fault in [Fault::Done, Fault::NotDone] {
        let store = Arc::new(Store { put: Some(fault), ..Store::default() });
        let uploads = uploads(&store, Kind::NewFolder);
        let files = vec![leave(&uploads, "part-0", SUM).await, leave(&uploads, "k=1/part-1", SUM).await];
        uploads.commit(files).await.unwrap_err();
        assert_eq!(store.names().await, [""; 0], "{fault:?}");
    }
}

#[tokio::test]
async fn a_mark_that_is_anothers_stays() {
    let store = Arc::new(Store { put: Some(Fault::NotDone), ..Store::default() });
    let uploads = uploads(&store, Kind::NewFolder);
    let mark = uploads.path.clone().join(SUCCESS);
    // Of a writer that came in between.
    store.inner.put(&mark, PutPayload::new()).await.unwrap();
    uploads.put_mark(&mark).await.unwrap_err();
    assert_eq!(store.names().await, ["out/_SUCCESS"]);
}
