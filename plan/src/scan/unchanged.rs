//! Whether a file is still the one that was planned.

use super::failure::InFile;
use datafusion::common::Result;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

/// Compares a file with what is known of it; an error when they differ. Sizes and statistics in the plan would not fit.
pub(super) async fn check(store: &dyn ObjectStore, planned: &ObjectMeta, at: &InFile) -> Result<()> {
    let now = store.head(&planned.location).await?;
    if is_same(&now, planned) {
        return Ok(());
    }
    let message = format!(
        "the file changed after the query was planned: it had {} bytes, written {}, and has {}, written {}; run the query \
         again",
        planned.size, planned.last_modified, now.size, now.last_modified
    );
    Err(at.broken(message))
}

/// Tags count more than times, which are whole seconds in many stores.
fn is_same(now: &ObjectMeta, planned: &ObjectMeta) -> bool {
    let same = match (&now.e_tag, &planned.e_tag) {
        (Some(now), Some(planned)) => bare(now) == bare(planned),
        _ => same_time(now, planned),
    };
    same && now.size == planned.size
}

/// A tag without quotes and the mark of a weak one: Azure tells it bare in a list and quoted of a single object.
fn bare(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
}

/// Some stores tell whole seconds in one answer and fractions in another.
fn same_time(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    let (a, b) = (a.last_modified, b.last_modified);
    let exact = a.timestamp_subsec_nanos() > 0 && b.timestamp_subsec_nanos() > 0;
    if exact { a.timestamp_millis() == b.timestamp_millis() } else { a.timestamp() == b.timestamp() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::path::Path;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_tag_tells_what_size_and_second_do_not() {
        let file = |seconds, size, tag: Option<&str>| ObjectMeta {
            location: Path::from("x"),
            last_modified: (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).into(),
            size,
            e_tag: tag.map(str::to_owned),
            version: None,
        };
        let planned = file(7, 10, Some("\"a\""));
        for same in
            [file(7, 10, Some("\"a\"")), file(7, 10, None), file(8, 10, Some("a")), file(7, 10, Some("W/\"a\""))]
        {
            assert!(is_same(&same, &planned), "{same:?}");
        }
        for other in [file(7, 10, Some("\"b\"")), file(8, 10, None), file(7, 11, Some("\"a\""))] {
            assert!(!is_same(&other, &planned), "{other:?}");
        }
    }
}
