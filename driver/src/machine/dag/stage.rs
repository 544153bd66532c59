//! A stage of a job.
//!
//! ```text
//!            inputs complete, partitions missing
//!  Waiting ──────────────────────────────────────> Running ── every partition done ──> Done
//!     ^                                               │                                  │
//!     │             resubmission timer                v                                  │
//!     ├──────────────────────────────────────────  Failed <── a reader's fetch failed ───┤
//!     │                                                                                  │
//!     └───────────────────── outputs lost with their executor or worker ─────────────────┘
//! ```
//!
//! A running stage that loses outputs stays running: its task set gets the lost partitions back.

use crate::machine::metrics::StageRecord;
use hearth_core::{
    Determinism, JobId, PayloadHash, ShuffleId, StageId,
    messages::task::{BlockServer, TaskTarget},
};
use std::collections::BTreeMap;

/// Where a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StageState {
    /// For its inputs, or until a reader needs it.
    Waiting,
    /// A task set works on its missing partitions.
    Running,
    /// Until the resubmission timer.
    Failed,
    /// Every partition is there.
    Done,
}

/// One incoming edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) stage: StageId,
    pub(crate) shuffle: ShuffleId,
}

/// One stage.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) id: StageId,
    pub(crate) job: JobId,
    /// Its place in the job's graph.
    pub(crate) place: u32,
    pub(crate) name: String,
    pub(crate) tasks: u32,
    /// Slots that each task takes.
    pub(crate) slots: u32,
    pub(crate) inputs: Vec<Input>,
    pub(crate) target: TaskTarget,
    pub(crate) payload: PayloadHash,
    pub(crate) determinism: Determinism,
    pub(crate) state: StageState,
    /// How many attempts were made; the newest has the number below.
    pub(crate) attempts: u32,
    /// How many attempts in a row failed to fetch.
    pub(crate) failures: u32,
    /// At which servers those fetches failed, with the attempt that did first.
    pub(crate) failed_from: BTreeMap<BlockServer, u32>,
    /// What its tasks did.
    pub(crate) record: StageRecord,
}

impl Stage {
    /// The shuffle it writes; nothing for a result stage.
    pub(crate) const fn shuffle(&self) -> Option<ShuffleId> {
        match self.target {
            TaskTarget::Shuffle { shuffle, .. } => Some(shuffle),
            TaskTarget::Result => None,
        }
    }

    /// Whether any of its tasks may have read its inputs.
    pub(crate) fn has_begun(&self) -> bool {
        self.attempts > 0
    }

    pub(crate) fn reads(&self, stage: StageId) -> bool {
        self.inputs.iter().any(|input| input.stage == stage)
    }

    /// Every partition is there.
    pub(crate) fn succeed(&mut self) {
        self.state = StageState::Done;
        self.failures = 0;
        self.failed_from.clear();
    }
}
