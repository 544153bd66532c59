//! Where a query's rows go: standard output, or a file that gets its name when all rows are in it.

use super::Failure;
use std::{
    fs::{self, File},
    io::{self, BufWriter, IsTerminal, Write},
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tempfile::TempPath;

/// Does what may wait for a reader on a thread of its own, so that signals are heard meanwhile. Whoever does not wait for its
/// end leaves the thread behind.
pub(super) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The process is ending.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// What a target's bytes go to: held by the target, and by whatever thread writes to it.
#[derive(Clone)]
pub(super) struct Stream(Arc<Mutex<Buffer>>);

/// Drops what it still holds: to write that could take for ever, and whoever wants it written flushes.
struct Buffer(Option<BufWriter<Box<dyn Write + Send>>>);

impl Stream {
    fn new(out: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Buffer(Some(BufWriter::new(Box::new(out)))))))
    }

    /// Hands every write on.
    fn unbuffered(out: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(Buffer(Some(BufWriter::with_capacity(0, out))))))
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer().0.as_mut().map_or(Ok(bytes.len()), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.buffer().0.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(out) = self.0.take() {
            // Only so is nothing written.
            drop(out.into_parts());
        }
    }
}

/// Where a query's rows go.
pub(super) struct Target {
    pub(super) stream: Stream,
    /// What errors call it.
    name: String,
    /// The reader of standard output went away.
    reader_left: Arc<AtomicBool>,
    /// Its rows come on the terminal.
    takes_screen: bool,
    /// A pager shows it, which has the keys.
    paged: Arc<AtomicBool>,
    /// A file under its temporary name, and the name it gets.
    file: Option<(TempPath, PathBuf)>,
}

impl Target {
    /// Standard output (`-` too), or the file of `-o`. What is there already and is no ordinary file, such as a pipe, is written
    /// straight into; a link is followed.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        // Under these names standard output may be a file that somebody else is writing: it is not to be replaced.
        let Some(path) = path.filter(|path| *path != Path::new("-") && *path != Path::new("/dev/stdout")) else {
            let reader_left = Arc::new(AtomicBool::new(false));
            // Not through the library's buffer, which the end of the process would write out, whoever reads.
            let stdout = io::stdout().as_fd().try_clone_to_owned();
            let stdout = File::from(stdout.map_err(|e| Failure::failed(format!("standard output: {e}")))?);
            let stream = Stream::new(Quiet { stdout, reader_left: Arc::clone(&reader_left) });
            let takes_screen = io::stdout().is_terminal();
            return Ok(Self { reader_left, takes_screen, ..Self::to(stream, "standard output") });
        };
        let name = path.display().to_string();
        let failed = |e: io::Error| Failure::failed(format!("-o {name}: {e}"));
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            // It is not there yet, or a link to what is not there.
            Err(e) if e.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(e) => return Err(failed(e)),
        };
        match fs::metadata(&path) {
            Ok(about) if about.is_dir() => Err(failed(io::ErrorKind::IsADirectory.into())),
            Ok(about) if !about.is_file() => {
                let file = fs::OpenOptions::new().write(true).open(&path).map_err(failed)?;
                Ok(Self::to(Stream::new(file), &name))
            }
            _ => {
                let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
                if !dir.is_dir() {
                    let text = format!("-o {name}: there is no directory {}; make it first", dir.display());
                    return Err(Failure::failed(text));
                }
                let temporary = tempfile::Builder::new()
                    .prefix(".hearth-")
                    // What any new file gets, less the umask; a temporary file's default hides it from everybody else.
                    .permissions(fs::Permissions::from_mode(0o666))
                    .tempfile_in(dir)
                    // Its temporary name says nothing to anybody.
                    .map_err(|e| failed(e.kind().into()))?;
                let (file, temporary) = temporary.into_parts();
                Ok(Self { file: Some((temporary, path)), ..Self::to(Stream::new(file), &name) })
            }
        }
    }

    /// What a pager shows, which sets `paged` when it takes over the terminal, and `reader_left` when it is quit.
    pub(super) fn pager(out: Box<dyn Write + Send>, paged: Arc<AtomicBool>, reader_left: Arc<AtomicBool>) -> Self {
        Self { reader_left, takes_screen: true, paged, ..Self::to(Stream::unbuffered(out), "the pager") }
    }

    /// Takes rows that nobody wants.
    pub(super) fn nowhere() -> Self {
        Self::to(Stream::new(io::sink()), "nowhere")
    }

    fn to(stream: Stream, name: &str) -> Self {
        let (reader_left, paged) = (Arc::default(), Arc::default());
        Self { stream, name: name.to_owned(), reader_left, takes_screen: false, paged, file: None }
    }

    /// True while a pager has the terminal's keys.
    pub(super) fn paged(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.paged)
    }

    /// Whether nothing else may be drawn on the terminal once rows come.
    pub(super) const fn takes_screen(&self) -> bool {
        self.takes_screen
    }

    /// True once nobody wants what is still to come.
    pub(super) fn reader_left(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.reader_left)
    }

    /// An error of writing to it.
    pub(super) fn failed(name: &str, error: &dyn std::fmt::Display) -> Failure {
        Failure::failed(format!("{name}: {error}"))
    }

    /// What errors call it.
    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    /// All rows are in it.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.stream.flush().map_err(|e| Self::failed(&self.name, &e))?;
        if let Some((temporary, path)) = self.file {
            temporary.persist(&path).map_err(|e| Self::failed(&self.name, &e.error))?;
        }
        Ok(())
    }
}

/// Standard output whose reader may go away (`| head`) without that being a failure.
struct Quiet {
    stdout: File,
    reader_left: Arc<AtomicBool>,
}

impl Quiet {
    /// What was done, or nothing in its stead once the reader is gone.
    fn unless_left<T>(&self, done: io::Result<T>, nothing: T) -> io::Result<T> {
        match done {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_left.store(true, Ordering::Relaxed);
                Ok(nothing)
            }
            done => done,
        }
    }
}

impl Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = self.stdout.write(bytes);
        self.unless_left(done, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.stdout.flush();
        self.unless_left(done, ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn write(path: &Path, text: &str) -> Result<(), Failure> {
        let mut target = Target::open(Some(path))?;
        target.stream.write_all(text.as_bytes()).unwrap();
        target.finish()
    }

    #[test]
    fn a_link_is_followed_and_a_device_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("rows"), dir.path().join("link"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let null = dir.path().join("null");
        symlink("/dev/null", &null).unwrap();
        write(&null, "gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    /// A reader that stopped must not be waited for by whoever gives up.
    #[test]
    fn what_is_not_finished_is_dropped_without_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rows");
        let mut stream = Stream::new(File::create(&file).unwrap());
        stream.write_all(b"first").unwrap();
        stream.flush().unwrap();
        stream.write_all(b"second").unwrap();
        drop(stream);
        assert_eq!(fs::read_to_string(&file).unwrap(), "first");
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let failure = Target::open(Some(&dir.path().join("missing/rows"))).err().unwrap();
        let missing = dir.path().join("missing");
        let expected = format!("-o {0}/rows: there is no directory {0}; make it first", missing.display());
        assert_eq!(failure.message, expected);
    }

    #[test]
    fn a_directory_is_refused_and_a_dropped_target_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Target::open(Some(dir.path())).is_err());
        assert!(Target::open(Some(&dir.path().join("missing/rows"))).is_err());
        drop(Target::open(Some(&dir.path().join("rows"))).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
