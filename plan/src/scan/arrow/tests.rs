//! What a look at an Arrow file costs, and what it finds.

use super::*;
use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    ipc::{
        CompressionType,
        writer::{FileWriter, IpcWriteOptions},
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, memory::InMemory, path::Path,
};
use std::{
    fmt,
    sync::{Arc, Mutex},
};

/// A store that remembers the ranges of each request.
#[derive(Debug, Default)]
struct Asked {
    inner: InMemory,
    requests: Mutex<Vec<Vec<Range<u64>>>>,
}

impl Asked {
    fn take(&self) -> Vec<Vec<Range<u64>>> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("asked")
    }
}

#[async_trait]
impl ObjectStore for Asked {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(at, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let got = self.inner.get_opts(at, options).await?;
        self.requests.lock().unwrap().push(vec![got.range.clone()]);
        Ok(got)
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.requests.lock().unwrap().push(ranges.to_vec());
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A file of compressed batches.
fn file(batches: usize) -> Vec<u8> {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..1000).map(|i| i % 7)));
    let batch = RecordBatch::try_from_iter([("a", numbers.clone()), ("b", numbers)]).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    for _ in 0..batches {
        writer.write(&batch).unwrap();
    }
    writer.into_inner().unwrap()
}

/// Where the blocks of a file are.
fn extents(bytes: &[u8]) -> Vec<Extent> {
    let size = bytes.len() as u64;
    let Range { start, end } = footer(size, &bytes[bytes.len() - TRAILER as usize..]).unwrap();
    let footer = root_as_footer(&bytes[start as usize..end as usize]).unwrap();
    footer.recordBatches().unwrap().iter().map(Extent::of).collect()
}

async fn looked_at(bytes: &[u8], part: Option<&FileRange>) -> (Result<Form>, Vec<Vec<Range<u64>>>) {
    let (store, path) = (Asked::default(), Path::from("x.arrow"));
    store.put(&path, bytes.to_vec().into()).await.unwrap();
    let file = PartitionedFile::new_from_meta(store.head(&path).await.unwrap());
    store.take();
    let checked = check(&store, &file.object_meta, part, &InFile::new("memory:///", &file)).await;
    (checked, store.take())
}

#[tokio::test]
async fn many_batches_are_few_requests() {
    let bytes = file(200);
    let (form, requests) = looked_at(&bytes, None).await;
    assert_eq!(form.unwrap(), Form::File);
    // Both ends, the footer, the heads of all batches, and the beginnings of their buffers.
    assert_eq!(requests.len(), 4, "{requests:?}");
    assert_eq!(requests[2].len(), 200);
    assert!(requests[3].len() >= 400, "{}", requests[3].len());
}

#[tokio::test]
async fn a_task_looks_at_its_own_part() {
    let mut bytes = file(10);
    let blocks = extents(&bytes);
    let middle = blocks[5].from as i64;
    let (first, second) = (FileRange { start: 0, end: middle }, FileRange { start: middle, end: bytes.len() as i64 });
    let (form, requests) = looked_at(&bytes, Some(&first)).await;
    assert_eq!(form.unwrap(), Form::File);
    assert_eq!(requests[2], blocks[..5].iter().map(|b| b.from..b.from + b.head).collect::<Vec<_>>());
    // The last batch's last buffer with bytes says that it is far too long.
    let Extent { from, head, .. } = blocks[9];
    let message = root_as_message(&bytes[from as usize + 8..(from + head) as usize]).unwrap();
    let buffers = message.header_as_record_batch().unwrap().buffers().unwrap();
    let offset = buffers.iter().rfind(|buffer| buffer.length() > 0).unwrap().offset() as usize;
    let place = (from + head) as usize + offset;
    bytes[place..place + 8].copy_from_slice(&i64::MAX.to_le_bytes());
    assert!(looked_at(&bytes, Some(&first)).await.0.is_ok());
    for part in [Some(&second), None] {
        let error = looked_at(&bytes, part).await.0.unwrap_err().to_string();
        assert!(error.contains("x.arrow: a buffer of") && error.contains("is said to have"), "{error}");
    }
}

#[test]
fn blocks_are_looked_at_together_up_to_a_size() {
    let block = |body| Extent { from: 0, head: 100, body };
    let sizes = |bodies: &[u64]| {
        let blocks: Vec<_> = bodies.iter().map(|body| block(*body)).collect();
        together(&blocks).iter().map(|run| run.len()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&[]), [0; 0]);
    assert_eq!(sizes(&[1, 2, 3]), [3]);
    assert_eq!(sizes(&[TOGETHER / 2, TOGETHER / 2, 1, TOGETHER * 3, 1]), [1, 2, 1, 1]);
    assert_eq!(sizes(&[u64::MAX, u64::MAX]), [1, 1]);
}
