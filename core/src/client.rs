//! What an executor asks its driver, beside the link between them: questions with one answer each.
//!
//! In local mode the driver's handle answers directly; between processes a gRPC client does, over the connection that
//! carries the link. Either way the caller keeps what it is told: a payload for as long as its stage, map statuses until
//! a task names a newer epoch.

use crate::{Payload, PayloadHash, Refusal, ShuffleId, link::Pending, messages::task::MapStatuses};
use std::fmt;

/// A driver, as its executors see it.
///
/// Both questions may be asked again: they change nothing. A question that cannot reach the driver within its time ends
/// in [`Refusal::Gone`], which says how it failed; it never waits for ever.
pub trait DriverClient: fmt::Debug + Send + Sync + 'static {
    /// What the tasks of a stage compute. The answer's bytes have been checked against `hash`.
    ///
    /// [`Refusal::Gone`] when the job is over.
    fn payload(&self, hash: PayloadHash) -> Pending<'_, Result<Payload, Refusal>>;

    /// Where the outputs of `shuffle` are, as of `epoch` or later: one status a map partition, in order.
    ///
    /// [`Refusal::Gone`] while some of them are missing or when the job is over: the task cannot run now, and its driver
    /// knows it.
    fn map_statuses(&self, shuffle: ShuffleId, epoch: u64) -> Pending<'_, Result<MapStatuses, Refusal>>;
}
