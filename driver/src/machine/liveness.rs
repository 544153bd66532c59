//! Liveness: a job that is open has something of it running, something that will happen by itself, or a reason that somebody
//! can do something about. Anything else would be a job that hangs.

use super::Driver;
use hearth_core::JobId;

/// Why a job is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Because {
    /// Tasks of it run: their ends are awaited, or the end of their executors.
    Runs,
    /// Its reader has all, or something to take before more may start; or what failed is submitted again by a timer.
    Held,
    /// No executor may run one of its tasks; a timer ends it.
    Stuck,
    /// Others hold the slots that it needs, or an executor that is large enough is on its way.
    Slots,
    /// Executors are being started, or are away: each has a timer.
    Executors,
    /// There is no executor, and none to be had; a timer ends it.
    Stranded,
    /// There is none yet; the master said why, or has still to answer, for which it has so long.
    Master,
}

impl Driver {
    /// Panics when a job is open for no reason.
    pub(super) fn check_liveness(&self) {
        for job in self.dag.open_jobs() {
            assert!(self.because(job).is_some(), "job {job} is open, and nothing of it will ever happen");
        }
        let unfinished = self.dag.open_jobs().into_iter().any(|job| self.dag.is_unfinished(job));
        let hopeless = self.executors.is_empty() && self.master.is_away() && unfinished;
        assert!(self.stranded_at.is_some() || !hopeless, "nothing bounds the wait for a master that is away");
    }

    fn because(&self, job: JobId) -> Option<Because> {
        let free = self.executors.free_slots().iter().any(|free| free.slots > 0);
        // A registered master says why it grants nothing, again and again.
        let answers = self.waiting.is_some() || self.master.is_registered() || self.master.deadline().is_some();
        let reasons = [
            (Because::Runs, self.tasks.runs(job)),
            (Because::Held, self.dag.is_held(job)),
            (Because::Stuck, self.tasks.is_stuck(job)),
            (Because::Slots, self.tasks.waits_for_others(job, &self.executors)),
            (Because::Executors, !free && !self.executors.is_empty() && self.executors.deadline().is_some()),
            (Because::Stranded, !free && self.stranded_at.is_some()),
            (Because::Master, !free && self.executors.is_empty() && (answers || self.master.is_dialing())),
        ];
        reasons.into_iter().find(|(_, holds)| *holds).map(|(because, _)| because)
    }
}
