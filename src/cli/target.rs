//! Where a query's rows go: standard output, or a file that gets its name when all rows are in it.

use super::Failure;
use std::{
    fs,
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tempfile::TempPath;

/// Where a query's rows go.
pub(super) struct Target {
    pub(super) stream: Box<dyn Write + Send>,
    /// What errors call it.
    name: String,
    /// The reader of standard output went away.
    reader_left: Arc<AtomicBool>,
    /// It may take over the terminal.
    takes_screen: bool,
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
            let stdout = Quiet { stdout: io::stdout(), reader_left: Arc::clone(&reader_left) };
            let stream = Box::new(BufWriter::new(stdout));
            return Ok(Self { stream, name: "standard output".into(), reader_left, takes_screen: false, file: None });
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
                Ok(Self {
                    stream: Box::new(BufWriter::new(file)),
                    name,
                    reader_left: Arc::default(),
                    takes_screen: false,
                    file: None,
                })
            }
            _ => {
                let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let temporary = tempfile::Builder::new()
                    .prefix(".hearth-")
                    // What any new file gets, less the umask; a temporary file's default hides it from everybody else.
                    .permissions(fs::Permissions::from_mode(0o666))
                    .tempfile_in(dir)
                    .map_err(failed)?;
                let (file, temporary) = temporary.into_parts();
                let stream = Box::new(BufWriter::new(file));
                let file = Some((temporary, path));
                Ok(Self { stream, name, reader_left: Arc::default(), takes_screen: false, file })
            }
        }
    }

    /// What a pager shows, which takes over the terminal and sets `reader_left` when it is quit.
    pub(super) fn pager(stream: Box<dyn Write + Send>, reader_left: Arc<AtomicBool>) -> Self {
        Self { stream, name: "the pager".into(), reader_left, takes_screen: true, file: None }
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
    stdout: io::Stdout,
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

    #[test]
    fn a_directory_is_refused_and_a_dropped_target_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Target::open(Some(dir.path())).is_err());
        assert!(Target::open(Some(&dir.path().join("missing/rows"))).is_err());
        drop(Target::open(Some(&dir.path().join("rows"))).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
