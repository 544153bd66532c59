//! Lengths in Arrow files. The readers allocate what a file says, so what it says is compared with its size before.

use super::failure::InFile;
use arrow_ipc::{Block, Message, root_as_footer, root_as_message};
use datafusion::{common::Result, datasource::listing::FileRange};
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::ops::Range;

/// What an Arrow file begins and ends with.
pub(crate) const MAGIC: &[u8] = b"ARROW1";
/// The footer's length and the magic, at the end of a file.
pub(crate) const TRAILER: u64 = 10;
/// Both magics, padding and the footer's length.
const SMALLEST: u64 = 18;
/// What a message of a stream begins with, since 2019.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Where the footer of an Arrow file of `size` bytes lies, by its last [`TRAILER`] bytes; or what is wrong with them.
pub(crate) fn footer(size: u64, trailer: &[u8]) -> std::result::Result<Range<u64>, &'static str> {
    if size < SMALLEST || !trailer.ends_with(MAGIC) {
        return Err("the file is cut off");
    }
    let length = trailer.first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
    if length > size - SMALLEST {
        return Err("its footer is said to be longer than the file");
    }
    Ok(size - TRAILER - length..size - TRAILER)
}

/// The two forms of Arrow's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// With a footer.
    File,
    /// Message after message.
    Stream,
}

/// Which form a file has, when the lengths in the part of it that is read make sense.
pub(super) async fn check(
    store: &dyn ObjectStore,
    file: &ObjectMeta,
    part: Option<&FileRange>,
    at: &InFile,
) -> Result<Form> {
    let ends = [0..file.size.min(MAGIC.len() as u64), file.size.saturating_sub(TRAILER)..file.size];
    let ends = store.get_ranges(&file.location, &ends).await?;
    if let [first, trailer] = &ends[..]
        && first == MAGIC
    {
        let footer = footer(file.size, trailer).map_err(|problem| at.broken(problem))?;
        check_footer(store, file, footer, part, at).await?;
        return Ok(Form::File);
    }
    check_messages(store, file, at).await?;
    Ok(Form::Stream)
}

async fn check_footer(
    store: &dyn ObjectStore,
    file: &ObjectMeta,
    Range { start, end }: Range<u64>,
    part: Option<&FileRange>,
    at: &InFile,
) -> Result<()> {
    let bytes = store.get_range(&file.location, start..end).await?;
    let footer = root_as_footer(&bytes).map_err(|e| at.broken(format!("its footer at byte {start} is broken: {e}")))?;
    if footer.schema().is_none() {
        return Err(at.broken(format!("its footer at byte {start} has no schema")));
    }
    let dictionaries = footer.dictionaries().into_iter().flatten();
    // As the reader chooses them; of dictionaries it takes all.
    let is_read = |block: &&Block| part.is_none_or(|part| (part.start..part.end).contains(&block.offset()));
    let batches = footer.recordBatches().into_iter().flatten();
    if let Some(block) = dictionaries.clone().chain(batches.clone()).find(|block| !lies_in(block, start)) {
        let message = format!(
            "its footer tells of a batch of {} + {} bytes at byte {}, where there are none",
            block.metaDataLength(),
            block.bodyLength(),
            block.offset()
        );
        return Err(at.broken(message));
    }
    let blocks: Vec<Extent> = dictionaries.chain(batches.filter(is_read)).map(Extent::of).collect();
    let checks: Vec<BoxFuture<'_, Result<()>>> =
        together(&blocks).into_iter().map(|blocks| check_blocks(store, file, at, blocks).boxed()).collect();
    stream::iter(checks).buffered(AT_ONCE).try_collect().await
}

/// Bytes of blocks that are looked into with one request: what lies between their heads may be fetched with them.
const TOGETHER: u64 = 8 << 20;
/// A mark and a length, and then the message.
const SMALLEST_HEAD: u64 = 8;
/// Such requests at once. With [`TOGETHER`], 32 MiB a file that is opened.
const AT_ONCE: usize = 4;

/// Where a block of a file lies: a message of a stream, and then its body.
#[derive(Clone, Copy, Debug)]
struct Extent {
    from: u64,
    head: u64,
    body: u64,
}

impl Extent {
    /// Of a block that lies in its file, so that nothing of it is negative.
    fn of(block: &Block) -> Self {
        let (head, body) = (block.metaDataLength().unsigned_abs(), block.bodyLength().unsigned_abs());
        Self { from: block.offset().unsigned_abs(), head: head.into(), body }
    }
}

/// Blocks in runs of [`TOGETHER`] bytes, or of one that is larger.
fn together(blocks: &[Extent]) -> Vec<&[Extent]> {
    let (mut runs, mut rest) = (Vec::new(), blocks);
    while !rest.is_empty() {
        let mut bytes = 0_u64;
        let fits = |block: &&Extent| {
            bytes = bytes.saturating_add(block.head).saturating_add(block.body);
            bytes <= TOGETHER
        };
        let (run, others) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        runs.push(run);
        rest = others;
    }
    runs
}

async fn check_blocks(store: &dyn ObjectStore, file: &ObjectMeta, at: &InFile, blocks: &[Extent]) -> Result<()> {
    if let Some(block) = blocks.iter().find(|block| block.head < SMALLEST_HEAD) {
        return Err(at.broken(format!("the batch at byte {} has no message", block.from)));
    }
    let heads: Vec<_> = blocks.iter().map(|block| block.from..block.from + block.head).collect();
    let mut buffers = Vec::new();
    for (bytes, Extent { from, head, .. }) in store.get_ranges(&file.location, &heads).await?.iter().zip(blocks) {
        let message = bytes.get(if bytes.starts_with(&CONTINUATION) { 8 } else { 4 }..).unwrap_or_default();
        let message = root_as_message(message).map_err(|e| at.broken(format!("no message at byte {from}: {e}")))?;
        buffers.extend(compressed(&message, from + head, file, at)?);
    }
    check_buffers(store, file, at, &buffers).await
}

/// Bytes that one compressed buffer may have when it is not, whatever its size; above, what LZ4 at its best makes of it.
const LARGE: u64 = 256 << 20;
const BEST: u64 = 256;
/// What a compressed buffer begins with: its length when it is not.
const PREFIX: u64 = 8;

/// The compressed buffers of a batch, whose body begins at byte `body`. They lie in the file.
fn compressed(message: &Message<'_>, body: u64, file: &ObjectMeta, at: &InFile) -> Result<Vec<Range<u64>>> {
    let batch = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let Some(batch) = batch.or_else(|| message.header_as_record_batch()) else { return Ok(Vec::new()) };
    if batch.compression().is_none() {
        return Ok(Vec::new());
    }
    let place = |offset: i64, length: i64| {
        let (offset, length) = (u64::try_from(offset).ok()?, u64::try_from(length).ok().filter(|l| *l >= PREFIX)?);
        let from = body.checked_add(offset)?;
        Some(from..from.checked_add(length).filter(|to| *to <= file.size)?)
    };
    let filled = batch.buffers().into_iter().flatten().filter(|buffer| buffer.length() > 0);
    let placed = filled.map(|buffer| {
        place(buffer.offset(), buffer.length()).ok_or_else(|| {
            at.broken(format!(
                "a batch has a buffer of {} bytes after byte {body}, where there are none",
                buffer.length()
            ))
        })
    });
    placed.collect()
}

/// Compares what compressed buffers say of their lengths with what they can be.
async fn check_buffers(store: &dyn ObjectStore, file: &ObjectMeta, at: &InFile, buffers: &[Range<u64>]) -> Result<()> {
    if buffers.is_empty() {
        return Ok(());
    }
    let prefixes: Vec<_> = buffers.iter().map(|buffer| buffer.start..buffer.start + PREFIX).collect();
    for (prefix, Range { start, end }) in store.get_ranges(&file.location, &prefixes).await?.iter().zip(buffers) {
        let (said, length) = (prefix.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes)), end - start);
        // -1 is a buffer that is not compressed after all.
        let fits = said == -1 || u64::try_from(said).is_ok_and(|said| said <= LARGE.max(length.saturating_mul(BEST)));
        if !fits {
            let message =
                format!("a buffer of {length} bytes at byte {start} is said to have {said} when it is not compressed");
            return Err(at.broken(message));
        }
    }
    Ok(())
}

fn lies_in(block: &Block, end: u64) -> bool {
    let parts = [block.offset(), i64::from(block.metaDataLength()), block.bodyLength()];
    let parts = parts.iter().map(|part| u64::try_from(*part).ok()).collect::<Option<Vec<_>>>();
    parts.and_then(|parts| parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part))).is_some_and(|to| to <= end)
}

async fn check_messages(store: &dyn ObjectStore, file: &ObjectMeta, at: &InFile) -> Result<()> {
    let mut place = 0;
    while place + 4 <= file.size {
        let head = store.get_range(&file.location, place..file.size.min(place + 8)).await?;
        let (from, length) = match (head.first_chunk::<4>(), head.get(4..8).and_then(|b| b.try_into().ok())) {
            (Some(&CONTINUATION), Some(length)) => (place + 8, u32::from_le_bytes(length)),
            (Some(&CONTINUATION), None) => return Err(at.broken(format!("the stream is cut off at byte {place}"))),
            (Some(length), _) => (place + 4, u32::from_le_bytes(*length)),
            (None, _) => return Ok(()),
        };
        if length == 0 {
            return Ok(());
        }
        let to = from + u64::from(length);
        if to > file.size {
            let message = format!("a message at byte {place} is said to have {length} bytes, more than the file");
            return Err(at.broken(message));
        }
        let bytes = store.get_range(&file.location, from..to).await?;
        let message = root_as_message(&bytes).map_err(|e| at.broken(format!("no message at byte {place}: {e}")))?;
        let body = u64::try_from(message.bodyLength()).ok().and_then(|body| body.checked_add(to));
        match body.filter(|end| *end <= file.size) {
            Some(end) => {
                check_buffers(store, file, at, &compressed(&message, to, file, at)?).await?;
                place = end;
            }
            None => {
                let message = format!(
                    "a batch at byte {place} is said to have {} bytes, more than the file",
                    message.bodyLength()
                );
                return Err(at.broken(message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
