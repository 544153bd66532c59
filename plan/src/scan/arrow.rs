//! Lengths in Arrow files. The readers allocate what a file says, so what it says is compared with its size before.

use super::failure::InFile;
use arrow_ipc::{Block, root_as_footer, root_as_message};
use datafusion::common::Result;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

const MAGIC: &[u8] = b"ARROW1";
/// The footer's length and the magic, at the end of a file.
const TRAILER: u64 = 10;
/// Both magics, padding and the footer's length.
const SMALLEST: u64 = 18;
/// What a message of a stream begins with, since 2019.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// The two forms of Arrow's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// With a footer.
    File,
    /// Message after message.
    Stream,
}

/// Which form a file has, when its lengths make sense.
pub(super) async fn check(store: &dyn ObjectStore, file: &ObjectMeta, at: &InFile) -> Result<Form> {
    let first = store.get_range(&file.location, 0..file.size.min(MAGIC.len() as u64)).await?;
    if first == MAGIC {
        check_footer(store, file, at).await?;
        return Ok(Form::File);
    }
    check_messages(store, file, at).await?;
    Ok(Form::Stream)
}

async fn check_footer(store: &dyn ObjectStore, file: &ObjectMeta, at: &InFile) -> Result<()> {
    let size = file.size;
    if size < SMALLEST {
        return Err(at.broken("the file is cut off"));
    }
    let trailer = store.get_range(&file.location, size - TRAILER..size).await?;
    if !trailer.ends_with(MAGIC) {
        return Err(at.broken("the file is cut off: it does not end with \"ARROW1\""));
    }
    let length = trailer.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if u64::from(length) > size - SMALLEST {
        return Err(at.broken(format!("its footer is said to have {length} bytes, more than the file")));
    }
    let start = size - TRAILER - u64::from(length);
    let bytes = store.get_range(&file.location, start..size - TRAILER).await?;
    let footer = root_as_footer(&bytes).map_err(|e| at.broken(format!("its footer at byte {start} is broken: {e}")))?;
    if footer.schema().is_none() {
        return Err(at.broken(format!("its footer at byte {start} has no schema")));
    }
    let blocks = footer.dictionaries().into_iter().flatten().chain(footer.recordBatches().into_iter().flatten());
    for block in blocks {
        if !lies_in(block, start) {
            let message = format!(
                "its footer tells of a batch of {} + {} bytes at byte {}, where there are none",
                block.metaDataLength(),
                block.bodyLength(),
                block.offset()
            );
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
            Some(end) => place = end,
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
