//! Where operators spill to.
//!
//! DataFusion's own files stay open for as long as they are there, lie in directories of which none is ever left out, and
//! are read back without a look: it trusts the bytes, and bytes that are wrong are undefined behaviour. These are opened when
//! they are written and read, and each piece has a checksum in memory.
//!
//! A repartition reads a file while it is still written: it opens its reader when there is a first batch, and asks for another
//! one whenever that is there. So a reader goes by what is written when it asks, and not by what was when it was opened; and at
//! the end of that it waits for as long as somebody writes, because an end is an end for good.

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
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{io::AsyncReadExt, sync::watch};

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
        let file = Shared { path, disks: Arc::clone(&self.disks), written: watch::Sender::default() };
        Ok(Arc::new(Spilled(Arc::new(file))))
    }
}

/// One file. It goes when nobody needs it any more.
struct Spilled(Arc<Shared>);

struct Shared {
    path: PathBuf,
    disks: Arc<Disks>,
    written: watch::Sender<Written>,
}

/// The bytes written, the checksum of each piece of them, and how many still write.
#[derive(Debug, Default)]
struct Written {
    bytes: u64,
    pieces: Vec<u32>,
    writers: usize,
}

impl Written {
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

    /// How many bytes come after these and belong to one piece, and the checksum of that piece from its beginning to them.
    fn after(&self, given: u64) -> Option<(usize, u32)> {
        let piece = given / PIECE as u64;
        let end = self.bytes.min((piece + 1) * PIECE as u64);
        let sum = *self.pieces.get(usize::try_from(piece).ok()?)?;
        (end > given).then(|| ((end - given) as usize, sum))
    }
}

impl Shared {
    /// The failure of a write, or of a read: the disk is left out for a while.
    fn failed(&self, error: &io::Error) -> TaskFailure {
        self.disks.failed(&self.path);
        self.failure(error.to_string())
    }

    /// The failure of a read whose bytes are others: nobody else writes here, so that it is the disk's.
    fn changed(&self, from: u64, to: u64) -> TaskFailure {
        self.disks.failed(&self.path);
        self.failure(format!(
            "bytes {from} to {to}: the disk gave back other bytes than were written; check it, or take it out of \
             SPARK_LOCAL_DIRS / spark.local.dir"
        ))
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
        Some(self.0.written.borrow().bytes)
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let shared = Arc::clone(&self.0);
        let written = shared.written.subscribe();
        let state = Reading { shared, written, file: None, given: 0, sum: 0 };
        Ok(Box::pin(stream::try_unfold(state, |mut reading| async move {
            let bytes = reading.next().await.map_err(external)?;
            Ok(bytes.map(|bytes| (bytes, reading)))
        })))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        let opened = OpenOptions::new().append(true).create(true).open(&self.0.path);
        let file = opened.map_err(|e| external(self.0.failed(&e)))?;
        self.0.written.send_modify(|written| written.writers += 1);
        Ok(Box::new(Writer { shared: Arc::clone(&self.0), file }))
    }
}

/// Writes until it is dropped.
struct Writer {
    shared: Arc<Shared>,
    file: File,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.written.send_modify(|written| written.writers -= 1);
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes).map_err(|e| io::Error::other(self.shared.failed(&e)))?;
        // Only now may a reader go as far.
        self.shared.written.send_modify(|written| written.add(bytes));
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
    written: watch::Receiver<Written>,
    file: Option<tokio::fs::File>,
    /// Bytes given out.
    given: u64,
    /// The checksum of those of them that belong to a piece of which there is more.
    sum: u32,
}

impl Reading {
    /// What comes next, up to the end of its piece or of what is written, once it is known to be what was written. The
    /// checksum of a piece that was given out in part goes on from that part, so that every byte is verified before it is given.
    async fn next(&mut self) -> std::result::Result<Option<Bytes>, TaskFailure> {
        let from = self.given;
        // The other end of this is in the file, which is here: it does not close.
        let more = self.written.wait_for(|written| written.bytes > from || written.writers == 0).await.ok();
        let Some((size, sum)) = more.and_then(|written| written.after(from)) else { return Ok(None) };
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let opened = tokio::fs::File::open(&self.shared.path).await;
                self.file.insert(opened.map_err(|e| self.shared.failed(&e))?)
            }
        };
        let mut bytes = BytesMut::zeroed(size);
        file.read_exact(&mut bytes).await.map_err(|e| self.shared.failed(&e))?;
        if crc32c::crc32c_append(self.sum, &bytes) != sum {
            return Err(self.shared.changed(from, from + size as u64));
        }
        self.given += size as u64;
        self.sum = if self.given.is_multiple_of(PIECE as u64) { 0 } else { sum };
        Ok(Some(bytes.freeze()))
    }
}

fn external(failure: TaskFailure) -> DataFusionError {
    DataFusionError::External(Box::new(failure))
}

#[cfg(test)]
mod tests;
