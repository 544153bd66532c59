//! The built-in catalog `tpch`: the eight TPC-H tables at any scale, generated while they are read.
//!
//! A newcomer needs no data, and a test needs no files: `select count(*) from tpch.sf0_1.lineitem` works on a fresh
//! cluster. Nothing is stored. A scan is a *description* ([`TpchScan`]: table, scale, parts, columns) of which every
//! task generates its own part, so a payload is small whatever the scale.
//!
//! ```text
//! catalog() ──> TpchCatalog ──"sf0_1"──> TpchSchema ──"lineitem"──> TpchTable ──scan──> TpchScanExec
//!               any scale that parses    eight tables               partitions          one stream a kept part
//!
//!   driver:    TpchScanExec parts 1..=n ──encode──> payload
//!   executor:  payload ──try_decode──> TpchScanExec ──keep_partition(p)──> one partition ──> rows of part p+1
//! ```
//!
//! What holds:
//! - The rows of parts `1..=n` together are exactly the table, whatever `n` is, and in its order.
//! - The same scan gives the same rows in the same order, in every process: a lost task may be run again anywhere.
//! - Statistics are never exact, so that `count(*)` counts rows instead of believing a formula.
//! - Generating is computing: a stream gives its thread back after every batch.
//!
//! What it costs: comments are cut from one pool of text, 300 MiB that a process builds within a second when a scan first
//! reads a comment of a table other than `region` and `nation`, and then keeps, outside its memory pool. All other columns
//! do without. A generator makes whole rows, so a narrow projection saves memory, not computing.
//!
//! Read first: `tests.rs`, `partitions_together_are_the_table`.

mod codec;
mod fixed;
mod provider;
mod rows;
mod scale;
mod scan;
mod table;
#[cfg(test)]
mod tests;

pub use provider::{CATALOG_NAME, catalog};
pub use scale::Scale;
pub use scan::{MAX_BATCH_ROWS, MAX_PARTS, TpchScan, TpchScanExec};
pub use table::Table;
