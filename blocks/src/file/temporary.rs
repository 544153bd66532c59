//! A file under a temporary name, which is gone unless it is committed.

use super::WriteError;
use hearth_core::failpoint_blocking;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// What all temporary names end in.
const SUFFIX: &str = ".tmp";

/// Small writes are gathered to this; larger ones go straight to the file.
const BUFFER: usize = 256 * 1024;

/// How a file is made. Tests put a device that is always full in its place.
pub(super) type CreateFile = fn(&Path) -> io::Result<File>;

/// Makes a new file, readable too, because a spill is read back through the same handle.
pub(super) fn create_file(path: &Path) -> io::Result<File> {
    // An output's id and its writer's name are never used twice together, so a file of this name is somebody's mistake: it
    // must not be written over.
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

/// Makes a directory and what leads to it. What is in it are users' rows: nobody else reads them.
fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Removes a path when it is dropped, unless it was renamed.
#[derive(Debug)]
struct Guard(Option<PathBuf>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // Already gone is fine; anything else cannot be mended here, and the directory is removed as a whole later.
            let _ = fs::remove_file(path);
        }
    }
}

/// A file being written under a temporary name.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    file: BufWriter<File>,
    written: u64,
    path: PathBuf,
    guard: Guard,
}

impl TemporaryFile {
    /// Makes `<dir>/<name>.tmp`, and the directory if it is not there.
    pub(super) fn create(dir: &Path, name: &str, create: CreateFile) -> Result<Self, WriteError> {
        let path = dir.join(format!("{name}{SUFFIX}"));
        let made = create(&path).or_else(|e| match e.kind() {
            io::ErrorKind::NotFound => make_dir(dir).and_then(|()| create(&path)),
            _ => Err(e),
        });
        match made {
            Ok(file) => {
                let guard = Guard(Some(path.clone()));
                Ok(Self { file: BufWriter::with_capacity(BUFFER, file), written: 0, path, guard })
            }
            Err(source) => Err(WriteError { path, source }),
        }
    }

    /// Bytes written so far.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        failpoint_blocking!("disk.write", path = self.path.display(); error => return Err(self.error(error)));
        self.file.write_all(bytes).map_err(|source| WriteError { path: self.path.clone(), source })?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Appends `len` bytes of another file, from `offset`; the kernel copies them where it can.
    pub(super) fn append_from(&mut self, other: &mut Self, offset: u64, len: u64) -> Result<(), WriteError> {
        let mut source = other.file.get_ref();
        source.seek(SeekFrom::Start(offset)).map_err(|e| other.error(e))?;
        let copied = io::copy(&mut source.take(len), &mut self.file).map_err(|e| self.error(e))?;
        self.written += copied;
        if copied == len { Ok(()) } else { Err(other.error(io::ErrorKind::UnexpectedEof.into())) }
    }

    /// Hands everything to the system.
    pub(super) fn flush(&mut self) -> Result<(), WriteError> {
        self.file.flush().map_err(|source| WriteError { path: self.path.clone(), source })
    }

    /// Gives the file its final name; [`Renamed::keep`] makes that last.
    pub(super) fn rename(mut self, name: &str) -> Result<Renamed, WriteError> {
        self.flush()?;
        let path = self.path.with_file_name(name);
        fs::rename(&self.path, &path).map_err(|source| WriteError { path: path.clone(), source })?;
        self.guard.0 = Some(path);
        Ok(Renamed(self.guard))
    }

    fn error(&self, source: io::Error) -> WriteError {
        WriteError { path: self.path.clone(), source }
    }
}

/// A file that has its final name, and is removed again unless it is kept.
#[derive(Debug)]
pub(super) struct Renamed(Guard);

impl Renamed {
    /// It stays.
    pub(super) fn keep(mut self) {
        self.0.0 = None;
    }
}
