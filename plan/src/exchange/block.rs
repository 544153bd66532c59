//! Blocks as Arrow IPC streams.

use super::Piece;
use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    buffer::Buffer,
    datatypes::SchemaRef,
    error::ArrowError,
};
use arrow_ipc::reader::StreamDecoder;
use futures::{
    Stream, TryStreamExt,
    stream::{self, BoxStream},
};
use hearth_core::messages::task::TaskFailure;

/// How every finished IPC stream ends: the continuation marker and a length of zero.
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Decodes blocks, one after the other, batch by batch. A block without bytes is no batches.
pub struct BlockDecoder {
    decoder: StreamDecoder,
    rest: Buffer,
    /// What every batch must look like; the block's own schema when not given.
    expected: Option<SchemaRef>,
    /// Bytes of the block so far.
    length: u64,
    /// The last of them: a block cut off between two messages would decode to fewer rows, and its missing end tells.
    tail: [u8; END_OF_STREAM.len()],
    /// They are all of its bytes.
    is_whole: bool,
}

impl BlockDecoder {
    /// A decoder whose batches get the schema `expected`, after their types were compared with it.
    pub fn new(expected: Option<SchemaRef>) -> Self {
        let (decoder, rest) = (StreamDecoder::new(), Buffer::default());
        Self { decoder, rest, expected, length: 0, tail: [0; END_OF_STREAM.len()], is_whole: false }
    }

    /// Takes what follows. Only when [`BlockDecoder::next_batch`] has given nothing.
    pub fn push(&mut self, piece: Piece) {
        let Piece { bytes, last } = piece;
        self.length += bytes.len() as u64;
        let shown = &bytes[bytes.len().saturating_sub(self.tail.len())..];
        self.tail.rotate_left(shown.len());
        let kept = self.tail.len() - shown.len();
        self.tail[kept..].copy_from_slice(shown);
        self.is_whole = last;
        self.rest = Buffer::from(bytes);
    }

    /// The next batch. Nothing when more bytes are wanted first. After an error nothing is to be asked any more.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, TaskFailure> {
        if let Some(batch) = self.decoder.decode(&mut self.rest).map_err(undecodable)? {
            return conform(batch, self.expected.as_ref()).map(Some).map_err(undecodable);
        }
        if self.is_whole {
            self.end()?;
            self.decoder.finish().map_err(undecodable)?;
            *self = Self::new(self.expected.take());
        }
        Ok(None)
    }

    /// Fails when bytes of a block are still to come.
    pub fn end(&self) -> Result<(), TaskFailure> {
        if self.length == 0 || self.is_whole && self.tail == END_OF_STREAM {
            return Ok(());
        }
        Err(TaskFailure::Transient("a block is cut off: it does not end as an IPC stream does".into()))
    }
}

fn undecodable(error: ArrowError) -> TaskFailure {
    TaskFailure::Transient(format!("a block cannot be decoded: {error}"))
}

/// The batches of all blocks in a stream of their pieces; with the schema `expected`, when that is known.
pub(crate) fn decode(
    pieces: BoxStream<'static, Result<Piece, TaskFailure>>,
    expected: Option<SchemaRef>,
) -> impl Stream<Item = Result<RecordBatch, TaskFailure>> + Send + 'static {
    let state = (pieces, BlockDecoder::new(expected));
    stream::try_unfold(state, |(mut pieces, mut decoder)| async move {
        loop {
            if let Some(batch) = decoder.next_batch()? {
                return Ok(Some((batch, (pieces, decoder))));
            }
            match pieces.try_next().await? {
                Some(piece) => decoder.push(piece),
                None => return decoder.end().map(|()| None),
            }
        }
    })
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
pub(crate) fn decode_result(block: bytes::Bytes) -> Result<(Option<SchemaRef>, Vec<RecordBatch>), TaskFailure> {
    let mut decoder = BlockDecoder::new(None);
    decoder.push(Piece { bytes: block, last: false });
    let mut batches = Vec::new();
    while let Some(batch) = decoder.next_batch()? {
        batches.push(batch);
    }
    let schema = decoder.decoder.schema();
    decoder.is_whole = true;
    decoder.end()?;
    decoder.decoder.finish().map_err(undecodable)?;
    Ok((schema, batches))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{ArrayRef, Int64Array, StringArray},
        datatypes::{DataType, Field, Schema},
    };
    use bytes::Bytes;
    use futures::StreamExt;
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
        let mut decoder = BlockDecoder::new(Some(expected));
        decoder.push(block(1).into());
        assert!(decoder.next_batch().is_err());
    }

    /// Wherever blocks are cut into pieces, they decode to the same.
    #[test]
    fn pieces_may_end_anywhere() {
        let whole = block(2);
        for length in [1, 7, 8, 9, whole.len() - 8, whole.len() - 1, whole.len()] {
            let mut decoder = BlockDecoder::new(Some(batch().schema()));
            let mut batches = Vec::new();
            for _ in 0..2 {
                for (i, bytes) in whole.chunks(length).enumerate() {
                    decoder.push(Piece { bytes: Bytes::copy_from_slice(bytes), last: (i + 1) * length >= whole.len() });
                    while let Some(batch) = decoder.next_batch().unwrap() {
                        batches.push(batch);
                    }
                    let is_over = (i + 1) * length >= whole.len();
                    assert_eq!(decoder.end().is_ok(), is_over, "{length}: {i}");
                }
                decoder.push(Bytes::new().into());
                assert_eq!(decoder.next_batch().unwrap(), None, "an empty block");
            }
            assert_eq!(batches, vec![batch(); 4], "{length}");
        }
    }

    #[test]
    fn a_stream_that_ends_inside_a_block_fails() {
        let whole = block(1);
        for pieces in
            [vec![Piece { bytes: whole.slice(..50), last: false }], vec![Piece { bytes: whole.clone(), last: false }]]
        {
            let pieces = stream::iter(pieces.into_iter().map(Ok)).boxed();
            let decoded: Vec<_> = futures::executor::block_on(decode(pieces, Some(batch().schema())).collect());
            assert!(matches!(decoded.last(), Some(Err(TaskFailure::Transient(_)))), "{decoded:?}");
        }
    }
}
