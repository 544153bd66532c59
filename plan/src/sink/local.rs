//! Files of an attempt on a local, or mounted, file system.

use super::{manifest::StagedFile, staging::Record};
use async_trait::async_trait;
use hearth_core::messages::task::TaskFailure;
use object_store::{MultipartUpload, PutPayload, PutResult, UploadPart};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

/// A folder of one attempt, in the staging folder of its write.
#[derive(Debug)]
pub(super) struct Attempt {
    dir: TempDir,
    keep: AtomicBool,
}

impl Attempt {
    /// The staging folder is the driver's to make: where it is not, this is another machine's disk.
    pub(super) fn begin(staging: &Path, partition: usize) -> Result<Self, TaskFailure> {
        let prefix = format!("{partition:05}-");
        match tempfile::Builder::new().prefix(&prefix).tempdir_in(staging) {
            Ok(mut dir) => {
                dir.disable_cleanup(true);
                Ok(Self { dir, keep: AtomicBool::new(false) })
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(TaskFailure::Query(format!(
                "{}, which the driver made, is not there on an executor's machine: driver and executors must see the \
                 same folder under the same path; write to a shared file system",
                staging.display()
            ))),
            Err(e) => Err(disk(staging, &e)),
        }
    }

    /// Its files stay.
    pub(super) fn keep(&self) -> Result<(), TaskFailure> {
        // They are on the disk; their names must be as well.
        sync_dir(self.dir.path()).map_err(|e| disk(self.dir.path(), &e))?;
        self.keep.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A new file. Its folder is never made again: once it is gone, the attempt is over.
    pub(super) async fn create(&self, number: usize, path: String, record: Record) -> object_store::Result<Upload> {
        let at = self.dir.path().join(number.to_string());
        let created = at.clone();
        let file = blocking(move || File::create_new(created)).await.map_err(|e| record.failed(disk(&at, &e)))?;
        // Made from UTF-8.
        let folder = self.dir.path().file_name().unwrap_or_default().to_string_lossy();
        let staged = format!("{folder}/{number}");
        Ok(Upload { file: Arc::new(file), at, path, staged, written: 0, record })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !*self.keep.get_mut()
            && let Err(e) = std::fs::remove_dir_all(self.dir.path())
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove what a task left in {}: {e}", self.dir.path().display());
        }
    }
}

/// One file while it is written.
#[derive(Debug)]
pub(super) struct Upload {
    file: Arc<File>,
    at: PathBuf,
    path: String,
    staged: String,
    written: u64,
    record: Record,
}

impl Upload {
    fn failed(&self) -> impl FnOnce(io::Error) -> object_store::Error + Send + use<> {
        let (record, at) = (self.record.clone(), self.at.clone());
        move |e| record.failed(disk(&at, &e))
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (file, begin, failed) = (Arc::clone(&self.file), self.written, self.failed());
        self.written += data.content_length() as u64;
        Box::pin(async move {
            let write = move || {
                data.iter().try_fold(begin, |at, bytes| file.write_all_at(bytes, at).map(|()| at + bytes.len() as u64))
            };
            blocking(write).await.map(drop).map_err(failed)
        })
    }

    /// The file is on the disk before anybody hears of it.
    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let file = Arc::clone(&self.file);
        blocking(move || file.sync_all()).await.map_err(self.failed())?;
        let (path, staged) = (self.path.clone(), self.staged.clone());
        self.record.written(StagedFile { path, staged, bytes: self.written, parts: Vec::new() });
        Ok(PutResult { e_tag: None, version: None })
    }

    /// It goes with its attempt.
    async fn abort(&mut self) -> object_store::Result<()> {
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}

fn disk(path: &Path, error: &io::Error) -> TaskFailure {
    TaskFailure::Disk { path: path.display().to_string(), message: error.to_string() }
}

/// Makes the names in a folder last.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
