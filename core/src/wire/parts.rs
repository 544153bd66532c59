//! What becomes of a message that is too large to send as one.

use super::{MAX_MESSAGE, check::MAX_BATCH};
use hearth_proto::v1::{self, task_up};
use prost::Message;

/// A message that may have to go in several parts, which mean the same as the whole, one after the other.
///
/// Only news of tasks can grow too large: results travel with them, and they pile up while a link is down.
pub trait Parts: Message + Sized + 'static {
    /// The message in parts that the other side takes; almost always one.
    fn parts(self) -> Vec<Self> {
        vec![self]
    }
}

impl Parts for v1::WorkerUp {}
impl Parts for v1::WorkerDown {}
impl Parts for v1::AppUp {}
impl Parts for v1::AppDown {}
/// A launch fills the slots of one executor, so it stays far below the bound.
impl Parts for v1::TaskDown {}

impl Parts for v1::TaskUp {
    fn parts(self) -> Vec<Self> {
        /// The largest single status, a map output of a million blocks, takes 8 MiB: with it, a part below this limit stays
        /// below that of a message.
        const FULL: usize = MAX_MESSAGE / 4;

        let statuses = match self.message {
            Some(task_up::Message::Statuses(batch)) => batch.statuses,
            message => return vec![Self { message }],
        };
        let mut parts = Vec::with_capacity(1);
        let (mut part, mut bytes) = (Vec::new(), 0);
        for status in statuses {
            if bytes > FULL || part.len() == MAX_BATCH {
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
            bytes += status.encoded_len();
            part.push(status);
        }
        parts.push(part);
        let batch = |statuses| Self { message: Some(task_up::Message::Statuses(task_up::Statuses { statuses })) };
        parts.into_iter().map(batch).collect()
    }
}
