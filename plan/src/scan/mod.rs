//! Reading files that may be broken, or not what they were.
//!
//! ```text
//! DataSourceExec(source) ──guard──> DataSourceExec(Guarded(source))
//!                                       │ per file: unchanged? sane lengths? ──> the source's own reader
//!                                       └ its errors and panics ──> failures that name the file
//! ```
//!
//! What holds, for every file that a task reads:
//! - One that changed or vanished since it was planned fails the query, and says so.
//! - An error of a reader names the file, and where in it, and is the query's own: the same file is as broken the next time.
//! - A panic of a reader is such an error too.
//! - Lengths that readers would allocate by are compared with the file's size before.
//!
//! Guards are put around the plan of a task, after it was decoded: they never travel.

pub(crate) mod arrow;
mod compression;
mod failure;
mod morsel;
mod source;
mod tags;
mod unchanged;

pub(crate) use compression::{compressions, with_compressions};
pub(crate) use tags::{tags, with_tags};

use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    datasource::{
        physical_plan::{FileScanConfig, FileScanConfigBuilder},
        source::DataSourceExec,
    },
    physical_plan::ExecutionPlan,
};
use source::Guarded;
use std::sync::Arc;

/// The files that an operator reads, if it does.
fn scan_of(node: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    node.downcast_ref::<DataSourceExec>().and_then(|exec| exec.data_source().downcast_ref())
}

/// The plan with guards around the files that it reads.
pub(crate) fn guard(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let Some(scan) = scan_of(&node) else { return Ok(Transformed::no(node)) };
        let guarded = Arc::new(Guarded::new(Arc::clone(&scan.file_source)));
        let scan = FileScanConfigBuilder::from(scan.clone()).with_source(guarded).build();
        Ok(Transformed::yes(DataSourceExec::from_data_source(scan) as Arc<dyn ExecutionPlan>))
    })
    .data()
}
