//! Where a task's input comes from: the blocks that its map statuses name, by way of the executor's fetcher.

use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use hearth_blocks::{Fetcher, OutputId, Wanted};
use hearth_core::{
    ApplicationId,
    messages::task::{MapStatus, MapStatuses, TaskFailure},
};
use hearth_plan::{BlockSource, Maps, Selection};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The input of one task.
#[derive(Debug)]
pub(super) struct ShuffleSource {
    application: ApplicationId,
    fetcher: Fetcher,
    /// One an input.
    inputs: Vec<Arc<MapStatuses>>,
    bytes_read: Arc<AtomicU64>,
}

impl ShuffleSource {
    pub(super) fn new(application: ApplicationId, fetcher: Fetcher, inputs: Vec<Arc<MapStatuses>>) -> Self {
        Self { application, fetcher, inputs, bytes_read: Arc::default() }
    }

    /// Bytes of blocks that the task has taken so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// What a selection means, or why it means nothing. Blocks without bytes have no rows and are not asked for.
    fn wanted(&self, input: usize, blocks: Selection) -> Result<Vec<Wanted>, TaskFailure> {
        let inputs = self.inputs.len();
        let statuses = self.inputs.get(input).ok_or_else(|| malformed(format!("input {input} of {inputs}")))?;
        let maps = match blocks.maps {
            Maps::All => statuses.statuses.as_slice(),
            Maps::One(map) => {
                let status = statuses.statuses.get(map as usize);
                let found = status.ok_or_else(|| malformed(format!("map {map} of {}", statuses.statuses.len())))?;
                std::slice::from_ref(found)
            }
        };
        let mut wanted = Vec::with_capacity(maps.len());
        for status in maps {
            let MapStatus { partition, task, location, sizes } = status;
            let partitions = sizes.len();
            let size = sizes.get(blocks.reduce as usize);
            let size = *size.ok_or_else(|| malformed(format!("reduce partition {} of {partitions}", blocks.reduce)))?;
            if size > 0 {
                let output = OutputId::Map { shuffle: statuses.shuffle, map_partition: *partition, task: *task };
                wanted.push(Wanted { location: location.clone(), id: output.block(blocks.reduce), size });
            }
        }
        Ok(wanted)
    }
}

/// The plan and its inputs do not fit each other, and will not fit the next time either.
fn malformed(what: String) -> TaskFailure {
    TaskFailure::Query(format!("the plan reads {what}, which is not there; please report this with the query"))
}

impl BlockSource for ShuffleSource {
    fn read(&self, input: usize, blocks: Selection) -> BoxStream<'static, Result<Bytes, TaskFailure>> {
        let wanted = match self.wanted(input, blocks) {
            Ok(wanted) => wanted,
            Err(failure) => return stream::iter([Err(failure)]).boxed(),
        };
        let bytes_read = self.bytes_read.clone();
        let fetched = self.fetcher.fetch(&self.application, wanted);
        fetched
            .map(move |block| {
                let (_, bytes) = block?;
                bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(bytes)
            })
            .boxed()
    }
}
