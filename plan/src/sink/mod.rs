//! Writing: what a task leaves, and how all of it becomes visible at once.
//!
//! ```text
//! driver                         task, one a partition                            driver
//! Write::begin ──> SinkExec: rows ──DataFusion's encoder──> StagingStore ──> Manifest ──> BegunWrite::commit
//!  a staging                                                 files that      one row of        renames, then
//!  folder                                                    no reader       the result        _SUCCESS
//!                                                            looks at
//! ```
//!
//! DataFusion's own sinks encode, partition by columns and compress. They write into a `StagingStore` instead
//! of the target's store, which leaves every file under a number in a folder of the attempt's own, below
//! `_temporary/<write>` of the target. What lies where travels back as the one row that the task gives, its
//! [`Manifest`]. The driver takes one result a partition, whatever attempts there were: that is what decides which
//! attempt is committed.
//!
//! ```text
//! planned ──begin──> begun ──all manifests──> committing ──> visible
//!                      └── a failure, a cancel, a drop ──> undone: as if it had never begun
//! ```
//!
//! What holds:
//! - Before the commit nothing lies in the target that a reader of tables looks at: names that begin with `_`.
//! - A new folder, and a single file, appear by one rename, whole, or not at all. Of two writers of one name exactly one
//!   succeeds.
//! - Files that are added to a folder get names that no other write has. They appear one by one; when one cannot, those
//!   before it are taken away again. So do the objects of a folder in an object store.
//! - `_SUCCESS` is in a folder only when everything else is, and it is gone while files are added. Files, and the folders
//!   they lie in, are on the disk before it.
//! - An attempt that fails or is dropped removes what it left; one that is killed leaves it to the driver. In an object
//!   store, uploads of an attempt that nobody knows of (killed, or done and not heard of) stay, unseen, until the store's
//!   own rules remove them.
//!
//! The test to read first: `plan/tests/it/writes.rs`.

mod commit;
mod error;
mod exec;
mod format;
mod local;
mod manifest;
mod objects;
mod spec;
mod staging;
mod target;

pub use commit::{BegunWrite, Write};
pub use error::WriteError;
pub(crate) use exec::SinkExec;
pub(crate) use format::{Writer, check_partition_columns, sink_of};
pub use manifest::{MAX_WRITE_FILES, Manifest};
pub(crate) use spec::Spec;
pub(crate) use target::{Kind, Place, Target};
