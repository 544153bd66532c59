//! Where operators spill to.
//!
//! DataFusion's own files stay open for as long as they are there, lie in directories of which none is ever left out, and
//! are read back without a look: it trusts the bytes, and bytes that are wrong are undefined behaviour. These are opened when
//! they are written and read, and each piece has a checksum in memory.

use super::disks::Disks;
use bytes::{Bytes, BytesMut};
use datafusion::{
    common::{DataFusionError, Result},
    execution::{SpillFile, SpillWriter, TempFileFactory},
};
use futures::{Stream, stream};
use hearth_core::messages::task::TaskFailure;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::io::AsyncReadExt;

/// Bytes that have a checksum together, and are read at once.
const PIECE: usize = 128 << 10;

/// Makes spill files.
pub(super) struct Spills {
    disks: Arc<Disks>,
    next: AtomicU64,
}

impl Spills {
    pub(super) fn new(disks: Arc<Disks>) -> Self {
        Self { disks, next: AtomicU64::new(0) }
    }
}

impl TempFileFactory for Spills {
    fn create_temp_file(&self, _: &str) -> Result<Arc<dyn SpillFile>> {
        let dir = self.disks.choose().map_err(external)?;
        let path = dir.join(format!("spill-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        let file = Shared { path, disks: Arc::clone(&self.disks), sums: Mutex::default() };
        Ok(Arc::new(Spilled(Arc::new(file))))
    }
}

/// One file. It goes when nobody needs it any more.
struct Spilled(Arc<Shared>);

struct Shared {
    path: PathBuf,
    disks: Arc<Disks>,
    sums: Mutex<Sums>,
}

/// The bytes written, and the checksum of each piece of them.
#[derive(Clone, Default)]
struct Sums {
    bytes: u64,
    pieces: Vec<u32>,
}

impl Sums {
    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let within = (self.bytes % PIECE as u64) as usize;
            if within == 0 {
                self.pieces.push(0);
            }
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE - within));
            if let Some(sum) = self.pieces.last_mut() {
                *sum = crc32c::crc32c_append(*sum, now);
            }
            self.bytes += now.len() as u64;
            bytes = rest;
        }
    }
}

impl Shared {
    fn sums(&self) -> Sums {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The failure of a write, or of a read: the disk is left out for a while.
    fn failed(&self, error: &io::Error) -> TaskFailure {
        self.disks.failed(&self.path);
        self.failure(error.to_string())
    }

    fn failure(&self, message: String) -> TaskFailure {
        TaskFailure::Disk { path: self.path.display().to_string(), message }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                // It goes with its directory.
                tracing::warn!("cannot remove {}: {e}", self.path.display());
            }
            _ => {}
        }
    }
}

impl SpillFile for Spilled {
    fn path(&self) -> Option<&Path> {
        Some(&self.0.path)
    }

    fn size(&self) -> Option<u64> {
        Some(self.0.sums.lock().unwrap_or_else(PoisonError::into_inner).bytes)
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let shared = Arc::clone(&self.0);
        let sums = shared.sums();
        let state = Reading { shared, sums, file: None, piece: 0 };
        Ok(Box::pin(stream::try_unfold(state, |mut reading| async move {
            let piece = reading.next().await.map_err(external)?;
            Ok(piece.map(|piece| (piece, reading)))
        })))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        let opened = OpenOptions::new().append(true).create(true).open(&self.0.path);
        let file = opened.map_err(|e| external(self.0.failed(&e)))?;
        Ok(Box::new(Writer { shared: Arc::clone(&self.0), file }))
    }
}

struct Writer {
    shared: Arc<Shared>,
    file: File,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes).map_err(|e| io::Error::other(self.shared.failed(&e)))?;
        self.shared.sums.lock().unwrap_or_else(PoisonError::into_inner).add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Reading {
    shared: Arc<Shared>,
    sums: Sums,
    file: Option<tokio::fs::File>,
    piece: usize,
}

impl Reading {
    /// The next piece, once it is known to be what was written.
    async fn next(&mut self) -> std::result::Result<Option<Bytes>, TaskFailure> {
        let Some(sum) = self.sums.pieces.get(self.piece) else { return Ok(None) };
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let opened = tokio::fs::File::open(&self.shared.path).await;
                self.file.insert(opened.map_err(|e| self.shared.failed(&e))?)
            }
        };
        let from = self.piece as u64 * PIECE as u64;
        let size = (self.sums.bytes - from).min(PIECE as u64) as usize;
        let mut bytes = BytesMut::zeroed(size);
        file.read_exact(&mut bytes).await.map_err(|e| self.shared.failed(&e))?;
        if crc32c::crc32c(&bytes) != *sum {
            self.shared.disks.failed(&self.shared.path);
            return Err(self.shared.failure(format!("bytes {from} to {} are not those written", from + size as u64)));
        }
        self.piece += 1;
        Ok(Some(bytes.freeze()))
    }
}

fn external(failure: TaskFailure) -> DataFusionError {
    DataFusionError::External(Box::new(failure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;
    use hearth_plan::failure_of;

    fn spills(dir: &Path) -> Spills {
        Spills::new(Arc::new(Disks::new(vec![dir.to_owned()], 0)))
    }

    async fn read(file: &Arc<dyn SpillFile>) -> Result<Vec<u8>> {
        Ok(file.read_stream()?.try_collect::<Vec<_>>().await?.concat())
    }

    fn written(spills: &Spills, sizes: &[usize]) -> (Arc<dyn SpillFile>, Vec<u8>) {
        let file = spills.create_temp_file("test").unwrap();
        let mut all = Vec::new();
        let mut writer = file.open_writer().unwrap();
        for (n, size) in sizes.iter().enumerate() {
            let bytes: Vec<u8> = (0..*size).map(|i| (i * 7 + n) as u8).collect();
            writer.write_all(&bytes).unwrap();
            all.extend(bytes);
        }
        writer.finish().unwrap();
        (file, all)
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let spills = spills(dir.path());
        for sizes in [&[][..], &[1], &[PIECE], &[PIECE - 1, 2, PIECE], &[3 * PIECE + 5]] {
            let (file, bytes) = written(&spills, sizes);
            assert_eq!(file.size(), Some(bytes.len() as u64));
            assert_eq!(read(&file).await.unwrap(), bytes);
            assert_eq!(read(&file).await.unwrap(), bytes, "as often as one likes");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn bytes_that_changed_are_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let (file, mut bytes) = written(&spills(dir.path()), &[2 * PIECE]);
        bytes[PIECE + 9] ^= 1;
        fs::write(file.path().unwrap(), &bytes).unwrap();
        let TaskFailure::Disk { path, message } = failure_of(&read(&file).await.unwrap_err()) else {
            panic!("another failure")
        };
        assert_eq!(Path::new(&path), file.path().unwrap());
        assert_eq!(message, "bytes 131072 to 262144 are not those written");
        fs::write(file.path().unwrap(), &bytes[..PIECE]).unwrap();
        assert!(matches!(failure_of(&read(&file).await.unwrap_err()), TaskFailure::Disk { .. }));
    }

    #[test]
    fn a_full_disk_is_that_through_arrow() {
        let dir = tempfile::tempdir().unwrap();
        let file = spills(dir.path()).create_temp_file("test").unwrap();
        std::os::unix::fs::symlink("/dev/full", file.path().unwrap()).unwrap();
        let mut writer = file.open_writer().unwrap();
        let error = writer.write_all(b"x").unwrap_err();
        let error = DataFusionError::from(datafusion::arrow::error::ArrowError::from(error));
        let TaskFailure::Disk { path, message } = failure_of(&error) else { panic!("another failure: {error}") };
        assert_eq!(Path::new(&path), file.path().unwrap());
        assert!(message.contains("No space left on device"), "{message}");
    }
}
