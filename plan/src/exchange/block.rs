//! Blocks as Arrow IPC streams.

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    buffer::Buffer,
    datatypes::SchemaRef,
    error::ArrowError,
};
use arrow_ipc::reader::StreamDecoder;
use bytes::Bytes;
use hearth_core::messages::task::TaskFailure;

/// How every finished IPC stream ends: the continuation marker and a length of zero.
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Decodes one block, batch by batch. A block without bytes is no batches.
pub struct BlockDecoder {
    decoder: StreamDecoder,
    rest: Buffer,
    /// What every batch must look like; the block's own schema when not given.
    expected: Option<SchemaRef>,
    failed: bool,
}

impl BlockDecoder {
    /// A decoder of `block`, whose batches get the schema `expected` after their types were compared with it.
    pub fn new(block: Bytes, expected: Option<SchemaRef>) -> Self {
        // A block cut off between two messages would decode to fewer rows; its missing end tells.
        let failed = !block.is_empty() && !block.ends_with(&END_OF_STREAM);
        let rest = if failed { Buffer::default() } else { Buffer::from(block) };
        Self { decoder: StreamDecoder::new(), rest, expected, failed }
    }

    fn decode_next(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        match self.decoder.decode(&mut self.rest)? {
            Some(batch) => conform(batch, self.expected.as_ref()).map(Some),
            None => self.decoder.finish().map(|()| None),
        }
    }
}

impl Iterator for BlockDecoder {
    type Item = Result<RecordBatch, TaskFailure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            self.failed = false;
            return Some(Err(TaskFailure::Transient(
                "a block is cut off: it does not end as an IPC stream does".into(),
            )));
        }
        let next = self.decode_next().map_err(|e| TaskFailure::Transient(format!("a block cannot be decoded: {e}")));
        if next.is_err() {
            self.rest = Buffer::default();
            self.decoder = StreamDecoder::new();
        }
        next.transpose()
    }
}

/// The same columns under the schema that the plan expects. Names, nullability and metadata may differ from what the
/// writer had (a branch of a union is an example), types may not.
pub(crate) fn conform(batch: RecordBatch, expected: Option<&SchemaRef>) -> Result<RecordBatch, ArrowError> {
    match expected {
        None => Ok(batch),
        Some(schema) if batch.schema_ref() == schema => Ok(batch),
        Some(schema) => {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)
        }
    }
}

/// All rows of a block. Its schema is missing when there is no block at all.
#[cfg(test)]
pub(crate) fn decode_result(block: Bytes) -> Result<(Option<SchemaRef>, Vec<RecordBatch>), TaskFailure> {
    let mut decoder = BlockDecoder::new(block, None);
    let batches = decoder.by_ref().collect::<Result<Vec<_>, _>>()?;
    let schema = batches.first().map(RecordBatch::schema).or_else(|| decoder.decoder.schema());
    Ok((schema, batches))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{ArrayRef, Int64Array, StringArray},
        datatypes::{DataType, Field, Schema},
    };
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let columns: [(&str, ArrayRef); 2] =
            [("n", Arc::new(Int64Array::from(vec![1, 2, 3]))), ("s", Arc::new(StringArray::from(vec!["a", "b", "c"])))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn block(batches: usize) -> Bytes {
        let batch = batch();
        let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        for _ in 0..batches {
            writer.write(&batch).unwrap();
        }
        writer.finish().unwrap();
        writer.into_inner().unwrap().into()
    }

    #[test]
    fn a_block_decodes_to_what_was_written() {
        let (schema, batches) = decode_result(block(2)).unwrap();
        assert_eq!(schema.unwrap(), batch().schema());
        assert_eq!(batches, [batch(), batch()]);
        assert_eq!(decode_result(Bytes::new()).unwrap(), (None, vec![]));
        assert_eq!(decode_result(block(0)).unwrap(), (Some(batch().schema()), vec![]));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = block(2);
        for length in 1..whole.len() {
            let failure = decode_result(whole.slice(..length)).unwrap_err();
            assert!(matches!(failure, TaskFailure::Transient(_)), "{length}: {failure}");
        }
    }

    #[test]
    fn other_columns_are_an_error() {
        let expected =
            Arc::new(Schema::new(vec![Field::new("n", DataType::Utf8, false), Field::new("s", DataType::Utf8, false)]));
        let mut decoder = BlockDecoder::new(block(1), Some(expected));
        assert!(decoder.next().unwrap().is_err());
        assert!(decoder.next().is_none(), "an iterator that failed ends");
    }
}
