//! A look at a file's first and last bytes, before a reader believes them.

use super::kind::Kind;
use crate::scan::arrow;
use datafusion::{common::Result, datasource::listing::ListingTableUrl};
use object_store::{ObjectMeta, ObjectStore, path::Path};
use std::sync::Arc;

const PARQUET: &[u8] = b"PAR1";
const AVRO: &[u8] = b"Obj\x01";
/// Magic, length of the footer, magic.
const SMALLEST_PARQUET: u64 = 12;
/// The length of the footer and the magic.
const PARQUET_TRAILER: usize = 8;

/// The URL of a file in a location; its path, when it lies on this machine.
pub(super) fn url(root: &ListingTableUrl, path: &Path) -> String {
    match root.scheme() {
        "file" => format!("/{path}"),
        _ => format!("{}{path}", root.object_store().as_str()),
    }
}

/// The problem that a file's ends show, if they show one.
pub(super) async fn ends(
    store: &Arc<dyn ObjectStore>,
    file: &ObjectMeta,
    kind: Kind,
    compressed: bool,
) -> Result<Option<&'static str>> {
    if compressed || file.size == 0 {
        return Ok((file.size == 0).then_some("the file is empty"));
    }
    let first = 0..file.size.min(8);
    // Of the formats that are looked at, Arrow's has the longer trailer.
    let last = file.size.saturating_sub(arrow::TRAILER)..file.size;
    let read = store.get_ranges(&file.location, &[first, last]).await?;
    let [first, last] = &read[..] else { return Ok(None) };
    let parquet_footer = || {
        let length = last.last_chunk::<PARQUET_TRAILER>().and_then(|trailer| trailer.first_chunk());
        length.map_or(0, |length| u64::from(u32::from_le_bytes(*length)))
    };
    Ok(match kind {
        Kind::Parquet if !first.starts_with(PARQUET) => Some("not a Parquet file"),
        Kind::Parquet if file.size < SMALLEST_PARQUET || !last.ends_with(PARQUET) => Some("the file is cut off"),
        // The readers take these lengths as they are.
        Kind::Parquet if parquet_footer() > file.size - SMALLEST_PARQUET => {
            Some("its footer is said to be longer than the file")
        }
        Kind::Avro if !first.starts_with(AVRO) => Some("not an Avro file"),
        Kind::Arrow if first.starts_with(arrow::MAGIC) => arrow::footer(file.size, last).err(),
        Kind::Csv | Kind::Tsv | Kind::Json if first.starts_with(PARQUET) => Some("this is a Parquet file"),
        Kind::Csv | Kind::Tsv | Kind::Json if first.starts_with(AVRO) => Some("this is an Avro file"),
        Kind::Csv | Kind::Tsv | Kind::Json if first.starts_with(arrow::MAGIC) => Some("this is an Arrow file"),
        Kind::Csv | Kind::Tsv | Kind::Json if first.starts_with(b"\x1f\x8b") => {
            Some("this is compressed by gzip, and its name should end with .gz")
        }
        _ => None,
    })
}
