//! Whether a file is still the one that was planned.

use super::failure::InFile;
use datafusion::common::Result;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

/// Compares a file with what is known of it; an error when they differ. Sizes and statistics in the plan would not fit.
pub(super) async fn check(store: &dyn ObjectStore, planned: &ObjectMeta, at: &InFile) -> Result<()> {
    let now = store.head(&planned.location).await?;
    if now.size == planned.size && same_time(&now, planned) {
        return Ok(());
    }
    let message = format!(
        "the file changed after the query was planned: it had {} bytes, written {}, and has {}, written {}; run the query \
         again",
        planned.size, planned.last_modified, now.size, now.last_modified
    );
    Err(at.broken(message))
}

/// Some stores tell whole seconds in one answer and fractions in another.
fn same_time(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    let (a, b) = (a.last_modified, b.last_modified);
    let exact = a.timestamp_subsec_nanos() > 0 && b.timestamp_subsec_nanos() > 0;
    if exact { a.timestamp_millis() == b.timestamp_millis() } else { a.timestamp() == b.timestamp() }
}
