//! A range exchange: rows go where their sort key lies between sampled bounds, so that partitions come in order.
//!
//! ```text
//!            ┌─> sample ──(broadcast)──> bounds
//!   input ───┤                             │
//!            └───────────────────────────> route ──(range)──> sort each partition ──> result, in order
//! ```
//!
//! - A task of the sampling stage gives a small [sample](RangeSampleExec) of its keys, each with how many rows it stands
//!   for.
//! - Every task of the routing stage makes the same [`Bounds`] of all samples, and [routes](RangeRouter) its rows by them.
//!
//! What holds:
//! - Keys are compared as arrow's row format, which has the order's own options in it: byte by byte, the same in every
//!   process of one version.
//! - Equal keys go to one partition, and partition `p` holds nothing that is above anything in partition `p + 1`, whatever
//!   the bounds are. A bad sample costs balance, never rows or order.
//! - There is no randomness: the same rows in the same order give the same sample. A sample of rows in another order is
//!   another one; since routing by two samples must never mix, such a sample is indeterminate, and losing it makes the
//!   routing begin anew.

mod bounds;
mod keys;
mod router;
mod sample;

use bounds::Bounds;
pub(crate) use bounds::Samples;
pub(crate) use keys::Keys;
pub(crate) use router::RangeRouter;
pub(crate) use sample::{RangeSampleExec, sample_rows};
