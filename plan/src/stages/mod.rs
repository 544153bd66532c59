//! A physical plan cut into a graph of stages.
//!
//! ```text
//!   SortPreservingMergeExec                   stage 2   SortPreservingMergeExec
//!     SortExec                                            ExchangeReaderExec (per map) <─┐ single
//!       AggregateExec: final                  stage 1   SortExec ────────────────────────┘
//!         RepartitionExec: hash      ──cut──>             AggregateExec: final
//!           AggregateExec: partial                          ExchangeReaderExec (partition) <─┐ hash
//!             DataSourceExec                  stage 0   AggregateExec: partial ──────────────┘
//!                                                         DataSourceExec
//! ```
//!
//! Where it is cut, bottom-up:
//! - at a hash repartition, and at every repartition that was asked for;
//! - at the sort of a large result, by ranges of its keys (`range`);
//! - at a coalesce or a merge of several partitions, unless those partitions cannot be computed apart;
//! - at the collected side of a join that several tasks probe, and at a scalar subquery: each is computed once, and read
//!   by every task.
//!
//! What holds:
//! - A stage either has one task a partition, each of which computes that partition alone, or it *runs whole*: one task
//!   computes all of its partitions in one process, because they depend on one another
//!   (`task::specialise` decides). An exchange that DataFusion can do inside that process is not cut. What is below the
//!   operator because of which a stage runs whole is computed apart, if it is more than reading.
//! - A recursive query is never cut inside: its terms run again and again over state they share.
//! - Scalar subqueries are scoped: a stage below one that uses its result gets the subquery's result too.
//! - Where the whole cluster is one executor, a query need not be cut at all (`fuse`).
//! - Every payload is decoded once here, so that a plan that executors could not decode fails before it is sent.

mod cutter;
mod determinism;
mod fuse;
mod name;
mod range;
mod text;

pub use cutter::{CutOptions, StageText, cut};
pub(crate) use fuse::{can_fuse, fuse, is_flat};
pub use name::TableNames;
pub use text::render;
