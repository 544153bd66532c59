//! [`OutputWriter`] for a task on a runtime.
//!
//! Almost every write only appends to a buffer, so it is done in place. The rare one that spills (once in 64 MiB), and
//! the commit, move the whole writer to the runtime's blocking pool and back: a move of a few pointers. The others do
//! not serve: `block_in_place` panics on a current-thread runtime and stalls whatever else runs in the same task;
//! writing in small pieces between yields still holds the thread while the disk is slow; and `tokio::fs` makes one hop
//! to the pool for each piece where this makes one for all of them.

use super::{Committed, OutputWriter, WriteError, WriterOptions};
use crate::OutputId;
use bytes::Bytes;
use hearth_core::failpoint;
use std::{io, path::PathBuf};

/// Writes one output without holding the runtime's threads. Dropped without [`commit`](Self::commit), it leaves nothing
/// behind; nor does a call whose future is dropped, but then the writer is lost and says so.
#[derive(Debug)]
pub struct AsyncOutputWriter {
    /// Away only while the blocking pool has it.
    writer: Option<OutputWriter>,
    path: PathBuf,
}

impl AsyncOutputWriter {
    /// A writer of `partitions` blocks into `dir`. Touches no file yet.
    pub fn create(dir: impl Into<PathBuf>, id: OutputId, partitions: u32, options: WriterOptions) -> Self {
        let dir = dir.into();
        let path = dir.join(id.data_file());
        Self { writer: Some(OutputWriter::create(dir, id, partitions, options)), path }
    }

    /// Appends to a partition's block; spills when too much is buffered.
    pub async fn write(&mut self, partition: u32, bytes: Bytes) -> Result<(), WriteError> {
        failpoint!(
            "output.write", path = self.path.display(), buffered = self.buffered_bytes();
            error => return Err(WriteError { path: self.path.clone(), source: error })
        );
        match &mut self.writer {
            Some(writer) => writer.push(partition, bytes),
            None => return Err(self.lost("an earlier call was cancelled")),
        }
        match &self.writer {
            Some(writer) if writer.is_full() => self.spill().await,
            _ => Ok(()),
        }
    }

    /// Memory that the buffers hold.
    pub fn buffered_bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, OutputWriter::buffered_bytes)
    }

    /// Empties the buffers to a file. [`write`](Self::write) does this by itself; call it when memory is short elsewhere.
    pub async fn spill(&mut self) -> Result<(), WriteError> {
        let (writer, spilled) = self
            .blocking(|mut writer| {
                let spilled = writer.spill();
                (writer, spilled)
            })
            .await?;
        self.writer = Some(writer);
        spilled
    }

    /// Makes the output appear under its name.
    pub async fn commit(mut self) -> Result<Committed, WriteError> {
        self.blocking(OutputWriter::commit).await?
    }

    /// Gives up; the same as dropping it.
    pub fn abort(self) {}

    async fn blocking<T, F>(&mut self, work: F) -> Result<T, WriteError>
    where
        T: Send + 'static,
        F: FnOnce(OutputWriter) -> T + Send + 'static,
    {
        let writer = self.writer.take().ok_or_else(|| self.lost("an earlier call was cancelled"))?;
        tokio::task::spawn_blocking(move || work(writer)).await.map_err(|e| self.lost(&e.to_string()))
    }

    fn lost(&self, why: &str) -> WriteError {
        WriteError { path: self.path.clone(), source: io::Error::other(why.to_owned()) }
    }
}
