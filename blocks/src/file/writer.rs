//! Writing an output: plain blocking code. [`super::AsyncOutputWriter`] wraps it for tasks.

use super::{
    WriteError, index,
    partition::{Partition, Segment},
    temporary::{CreateFile, TemporaryFile, create_file},
};
use crate::OutputId;
use bytes::Bytes;
use hearth_core::{ExecutorId, failpoint_blocking, failpoint_file, stage::MAX_PARTITIONS};
use std::{io, path::PathBuf};

/// How a writer uses memory.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// Buffered bytes, of all partitions, above which they are spilled to a temporary file. 64 MiB by default: runs of
    /// that size are read back at the disk's full speed with a thousand partitions (64 KiB each).
    pub max_buffered: u64,
    /// Who writes, where several may write one output at once, each of them the same bytes.
    pub writer: Option<WriterId>,
}

/// One of several writers of an output. Its temporary files have names that no other writer's have, not even one's that was
/// killed and left them; whoever commits last leaves what the others did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterId {
    /// Whose it is.
    pub executor: ExecutorId,
    /// Which of that executor's it is.
    pub turn: u64,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { max_buffered: 64 * 1024 * 1024, writer: None }
    }
}

/// With one partition nothing needs to be sorted: bytes go to the data file in writes of this size.
const SINGLE_BUFFERED: u64 = 1024 * 1024;

/// What was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Bytes of each partition's block.
    pub sizes: Vec<u64>,
    /// Bytes that were written to the spill file first, and so written twice.
    pub bytes_spilled: u64,
}

/// Writes one output. Dropped without [`commit`](Self::commit), it leaves nothing behind.
#[derive(Debug)]
pub struct OutputWriter {
    dir: PathBuf,
    id: OutputId,
    max_buffered: u64,
    writer: Option<WriterId>,
    create: CreateFile,
    partitions: Vec<Partition>,
    buffered: u64,
    /// Where spilled bytes are: the spill file, or with one partition the data file itself.
    spilled: Option<TemporaryFile>,
    bytes_spilled: u64,
    /// A spill failed: the buffers and the spill file do not hold all bytes any more.
    broken: bool,
}

impl OutputWriter {
    /// A writer of `partitions` blocks (1 to [`MAX_PARTITIONS`]) into `dir`. Touches no file yet.
    pub fn create(dir: impl Into<PathBuf>, id: OutputId, partitions: u32, options: WriterOptions) -> Self {
        Self::create_with(dir.into(), id, partitions, options, create_file)
    }

    pub(super) fn create_with(
        dir: PathBuf,
        id: OutputId,
        partitions: u32,
        options: WriterOptions,
        create: CreateFile,
    ) -> Self {
        assert!((1..=MAX_PARTITIONS).contains(&partitions), "{id}: {partitions} partitions");
        let limit = if partitions == 1 { SINGLE_BUFFERED } else { u64::MAX };
        Self {
            dir,
            id,
            max_buffered: options.max_buffered.min(limit),
            writer: options.writer,
            create,
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            buffered: 0,
            spilled: None,
            bytes_spilled: 0,
            broken: false,
        }
    }

    /// Appends to a partition's block; spills when too much is buffered.
    pub fn write(&mut self, partition: u32, bytes: Bytes) -> Result<(), WriteError> {
        self.push(partition, bytes);
        if self.is_full() { self.spill() } else { Ok(()) }
    }

    /// Memory that the buffers hold.
    pub const fn buffered_bytes(&self) -> u64 {
        self.buffered
    }

    /// Appends to a partition's buffer, and nothing else.
    pub(super) fn push(&mut self, partition: u32, bytes: Bytes) {
        self.buffered += self.partitions[partition as usize].push(bytes);
    }

    /// Whether it is time to spill.
    pub(super) const fn is_full(&self) -> bool {
        self.buffered > self.max_buffered
    }

    /// Empties the buffers to a file. [`write`](Self::write) does this by itself; call it when memory is short elsewhere.
    pub fn spill(&mut self) -> Result<(), WriteError> {
        self.check_whole()?;
        if self.buffered == 0 {
            return Ok(());
        }
        let spilled = self.spill_buffers();
        if spilled.is_err() {
            self.broken = true;
            self.spilled = None;
        }
        spilled
    }

    fn spill_buffers(&mut self) -> Result<(), WriteError> {
        let single = self.partitions.len() == 1;
        let file = match &mut self.spilled {
            Some(file) => file,
            none => {
                let name = temporary_name(&self.id, self.writer, if single { "data" } else { "spill" });
                none.insert(TemporaryFile::create(&self.dir, &name, self.create)?)
            }
        };
        let before = file.written();
        for partition in self.partitions.iter_mut().filter(|p| !p.chunks.is_empty()) {
            let offset = file.written();
            for chunk in std::mem::take(&mut partition.chunks) {
                file.write(&chunk)?;
            }
            partition.segments.push(Segment { offset, len: file.written() - offset });
        }
        file.flush()?;
        if !single {
            self.bytes_spilled += file.written() - before;
        }
        self.buffered = 0;
        Ok(())
    }

    /// Makes the output appear under its name: data first, then the index.
    pub fn commit(mut self) -> Result<Committed, WriteError> {
        self.check_whole()?;
        failpoint_blocking!(
            "output.commit", output = self.id;
            error => return Err(WriteError { path: self.dir.join(self.id.data_file()), source: error })
        );
        let data = self.write_data()?;
        let blocks = self.partitions.iter().map(|p| (p.len(), p.crcs()));
        let mut index = self.temporary("index")?;
        index.write(&index::encode(blocks))?;
        index.flush()?;
        let data = data.rename(&self.id.data_file())?;
        index.rename(&self.id.index_file())?.keep();
        data.keep();
        failpoint_file!("output.damage", &self.dir.join(self.id.data_file()), output = self.id);
        failpoint_blocking!("output.committed", output = self.id);
        let sizes = self.partitions.iter().map(Partition::len).collect();
        Ok(Committed { sizes, bytes_spilled: self.bytes_spilled })
    }

    /// Gives up; the same as dropping it.
    pub fn abort(self) {}

    fn write_data(&mut self) -> Result<TemporaryFile, WriteError> {
        if self.partitions.len() == 1 && self.spilled.is_some() {
            self.spill_buffers()?;
            return Ok(self.spilled.take().expect("it was just there"));
        }
        let mut data = self.temporary("data")?;
        for partition in &mut self.partitions {
            for Segment { offset, len } in std::mem::take(&mut partition.segments) {
                let spilled = self.spilled.as_mut().expect("a segment lies in the spill file");
                data.append_from(spilled, offset, len)?;
            }
            for chunk in std::mem::take(&mut partition.chunks) {
                data.write(&chunk)?;
            }
        }
        data.flush()?;
        let expected: u64 = self.partitions.iter().map(Partition::len).sum();
        assert_eq!(data.written(), expected, "{}: bytes went missing between write and commit", self.id);
        Ok(data)
    }

    fn temporary(&self, what: &str) -> Result<TemporaryFile, WriteError> {
        TemporaryFile::create(&self.dir, &temporary_name(&self.id, self.writer, what), self.create)
    }

    fn check_whole(&self) -> Result<(), WriteError> {
        if self.broken {
            let source = io::Error::other("an earlier spill of this output failed");
            return Err(WriteError { path: self.dir.join(self.id.data_file()), source });
        }
        Ok(())
    }
}

/// What a temporary file is called, but for its suffix. Begins as the output is called, by which it is removed.
fn temporary_name(id: &OutputId, writer: Option<WriterId>, what: &str) -> String {
    match writer {
        Some(WriterId { executor, turn }) => format!("{id}.{executor}-{turn}.{what}"),
        None => format!("{id}.{what}"),
    }
}
