//! Rows that wait for their block: one buffer a reduce partition.

use super::Chunk;
use crate::{exchange::conform, optimize::row_width};
use arrow::{array::RecordBatch, compute::BatchCoalescer, datatypes::SchemaRef, ipc::CompressionType};
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use datafusion::{
    common::{Result, internal_datafusion_err},
    execution::memory_pool::MemoryReservation,
};
use std::{collections::VecDeque, mem};

/// Bytes of rows that a task should hold back, over all its reduce partitions: little beside the memory of a task.
const TARGET_BYTES: usize = 16 << 20;
/// Fewer rows than this make a batch whose header outweighs them, however many reduce partitions there are.
const MIN_BATCH_ROWS: usize = 128;

/// How many rows wait in a buffer until they are written. A buffer allocates for all of them at its first row, so that
/// the wider the shuffle, the smaller its batches must be.
fn rows_a_batch(schema: &SchemaRef, partitions: usize, batch_size: usize) -> usize {
    let row = row_width(schema).saturating_mul(partitions);
    (TARGET_BYTES / row).max(MIN_BATCH_ROWS).min(batch_size)
}

/// One reduce partition's rows that wait, and what was written of its block.
struct Buffer {
    /// Copies rows together, which also leaves behind what string views keep alive of larger batches.
    rows: BatchCoalescer,
    bytes: usize,
    /// None until something is written: most tasks of a wide shuffle write to few partitions.
    block: Option<StreamWriter<Vec<u8>>>,
}

/// All reduce partitions of a task.
pub(super) struct Buffers {
    schema: SchemaRef,
    batch_size: usize,
    buffers: Vec<Buffer>,
    /// The sum of the buffers' bytes.
    buffered: usize,
    /// The most it may be. Text longer than thought makes buffers larger than planned; twice is enough.
    max_buffered: usize,
    reservation: MemoryReservation,
    ready: VecDeque<Chunk>,
}

impl Buffers {
    pub(super) fn new(schema: SchemaRef, partitions: u32, batch_size: usize, reservation: MemoryReservation) -> Self {
        let count = partitions as usize;
        let batch_size = rows_a_batch(&schema, count, batch_size);
        let planned = count.saturating_mul(batch_size).saturating_mul(row_width(&schema));
        let max_buffered = planned.max(TARGET_BYTES).saturating_mul(2);
        let buffer = || Buffer { rows: BatchCoalescer::new(schema.clone(), batch_size), bytes: 0, block: None };
        let buffers = (0..partitions).map(|_| buffer()).collect();
        Self { schema, batch_size, buffers, buffered: 0, max_buffered, reservation, ready: VecDeque::new() }
    }

    /// The next piece of a block that is ready.
    pub(super) fn pop(&mut self) -> Option<Chunk> {
        self.ready.pop_front()
    }

    /// Takes rows. What becomes a full batch is written.
    pub(super) fn push(&mut self, partition: usize, batch: RecordBatch) -> Result<()> {
        let batch = conform(batch, Some(&self.schema))?;
        let buffer = self
            .buffers
            .get_mut(partition)
            .ok_or_else(|| internal_datafusion_err!("rows for reduce partition {partition}, which does not exist"))?;
        buffer.rows.push_batch(batch)?;
        self.write_full_batches(partition)?;
        self.account(partition);
        self.make_room()
    }

    /// Writes what waits and ends every block. An empty reduce partition has no block, unless `always`.
    pub(super) fn finish(&mut self, always: bool) -> Result<()> {
        for partition in 0..self.buffers.len() {
            self.flush(partition)?;
            if always {
                self.open(partition)?;
            }
            if let Some(mut block) = self.buffers[partition].block.take() {
                block.finish()?;
                self.emit(partition, block.into_inner()?);
            }
        }
        Ok(())
    }

    /// Reserves what is held, and writes the largest buffers until that fits.
    fn make_room(&mut self) -> Result<()> {
        while self.buffered > self.max_buffered || self.reservation.try_resize(self.buffered).is_err() {
            // Of buffers that allocated alike, the fullest.
            let size = |i: &usize| (self.buffers[*i].bytes, self.buffers[*i].rows.get_buffered_rows());
            let Some(largest) = (0..self.buffers.len()).max_by_key(size) else { break };
            if self.buffers[largest].bytes == 0 {
                // Nothing waits any more: there is nothing to reserve.
                self.reservation.free();
                break;
            }
            self.flush(largest)?;
        }
        Ok(())
    }

    fn flush(&mut self, partition: usize) -> Result<()> {
        self.buffers[partition].rows.finish_buffered_batch()?;
        self.write_full_batches(partition)?;
        // A coalescer keeps its allocations; a new one is how they are given back.
        self.buffers[partition].rows = BatchCoalescer::new(self.schema.clone(), self.batch_size);
        self.buffered -= mem::take(&mut self.buffers[partition].bytes);
        Ok(())
    }

    fn account(&mut self, partition: usize) {
        let buffer = &mut self.buffers[partition];
        let bytes = if buffer.rows.is_empty() { 0 } else { buffer.rows.size() };
        self.buffered = self.buffered - buffer.bytes + bytes;
        buffer.bytes = bytes;
    }

    fn write_full_batches(&mut self, partition: usize) -> Result<()> {
        while let Some(batch) = self.buffers[partition].rows.next_completed_batch() {
            let block = self.open(partition)?;
            block.write(&batch)?;
            let bytes = mem::take(block.get_mut());
            self.emit(partition, bytes);
        }
        Ok(())
    }

    fn open(&mut self, partition: usize) -> Result<&mut StreamWriter<Vec<u8>>> {
        let buffer = &mut self.buffers[partition];
        let block = match buffer.block.take() {
            Some(block) => block,
            None => {
                let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
                StreamWriter::try_new_with_options(Vec::new(), &self.schema, options)?
            }
        };
        Ok(buffer.block.insert(block))
    }

    fn emit(&mut self, partition: usize, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            // Made from a u32.
            self.ready.push_back(Chunk { partition: partition as u32, bytes: bytes.into() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::decode_result;
    use arrow::{
        array::{ArrayRef, AsArray, Int64Array, StringViewArray},
        datatypes::Int64Type,
    };
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
    use std::sync::Arc;

    fn buffers(batch: &RecordBatch, partitions: u32, memory: usize) -> Buffers {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(memory));
        Buffers::new(batch.schema(), partitions, 8192, MemoryConsumer::new("test").register(&pool))
    }

    fn blocks(buffers: &mut Buffers, partitions: usize) -> Vec<Vec<u8>> {
        let mut blocks = vec![Vec::new(); partitions];
        while let Some(chunk) = buffers.pop() {
            blocks[chunk.partition as usize].extend_from_slice(&chunk.bytes);
        }
        blocks
    }

    fn numbers(from: i64, count: i64) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + count));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    /// Pushes slices of 10 rows to one partition after the other; gives the batches of each block.
    fn spread(memory: usize) -> Vec<Vec<RecordBatch>> {
        const PARTITIONS: usize = 300;
        let mut buffers = buffers(&numbers(0, 1), PARTITIONS as u32, memory);
        let mut out = vec![Vec::new(); PARTITIONS];
        for round in 0..200 {
            for partition in 0..PARTITIONS {
                buffers.push(partition, numbers(round * 10, 10)).unwrap();
            }
        }
        buffers.finish(false).unwrap();
        for (all, block) in out.iter_mut().zip(blocks(&mut buffers, PARTITIONS)) {
            *all = decode_result(block.into()).unwrap().1;
        }
        out
    }

    fn assert_in_order(batches: &[RecordBatch]) {
        let rows = batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec());
        assert!(rows.eq(0..2000), "rows keep their order inside a reduce partition");
    }

    #[test]
    fn small_slices_become_large_batches() {
        for batches in spread(1 << 30) {
            assert_eq!(batches.len(), 1);
            assert_in_order(&batches);
        }
    }

    #[test]
    fn without_memory_rows_are_written_early() {
        let blocks = spread(100 << 10);
        blocks.iter().for_each(|b| assert_in_order(b));
        assert!(blocks.iter().all(|b| b.len() > 1), "{:?}", blocks.iter().map(Vec::len).collect::<Vec<_>>());
    }

    #[test]
    fn views_leave_behind_what_they_do_not_show() {
        let long = "x".repeat(1 << 20);
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![long.as_str(), "short, but longer than a view"]));
        let batch = RecordBatch::try_from_iter([("s", texts)]).unwrap();
        let mut buffers = buffers(&batch, 1, 1 << 30);
        buffers.push(0, batch.slice(1, 1)).unwrap();
        buffers.finish(false).unwrap();
        let block = blocks(&mut buffers, 1).remove(0);
        assert!(block.len() < 4096, "{} bytes", block.len());
    }

    #[test]
    fn a_result_has_its_stream_even_without_rows() {
        let mut none = buffers(&numbers(0, 1), 2, 1 << 30);
        none.finish(false).unwrap();
        assert_eq!(blocks(&mut none, 2), [vec![0; 0], vec![]]);
        let mut result = buffers(&numbers(0, 1), 1, 1 << 30);
        result.finish(true).unwrap();
        let (schema, batches) = decode_result(blocks(&mut result, 1).remove(0).into()).unwrap();
        assert_eq!((schema, batches.len()), (Some(numbers(0, 1).schema()), 0));
    }
}
