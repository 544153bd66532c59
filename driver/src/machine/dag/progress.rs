//! What happens to stages, for whoever watches their jobs.

use super::{DagScheduler, Phase, StageState};
use crate::machine::{JobNews, metrics::StageRecord};
use hearth_core::{JobId, StageId, messages::task::TaskFailure};

impl DagScheduler {
    /// Something of a stage changed that only the TaskScheduler knows.
    pub(in crate::machine) fn mark_changed(&mut self, stage: StageId) {
        self.changed.insert(stage);
    }

    /// An attempt at one of this stage's tasks was launched.
    pub(in crate::machine) fn task_launched(&mut self, stage: StageId) {
        self.note(stage, StageRecord::launched);
    }

    /// One ended without an output.
    pub(in crate::machine) fn task_failed(&mut self, stage: StageId, failure: &TaskFailure) {
        self.note(stage, |record| record.failed(failure));
    }

    /// One is gone with its executor or its link.
    pub(in crate::machine) fn task_lost(&mut self, stage: StageId) {
        self.note(stage, StageRecord::lost);
    }

    fn note(&mut self, stage: StageId, note: impl FnOnce(&mut StageRecord)) {
        self.changed.insert(stage);
        if let Some(stage) = self.stages.get_mut(&stage) {
            note(&mut stage.record);
        }
    }

    /// The counts of every stage that changed, for whoever watches its job.
    pub(in crate::machine) fn take_progress(
        &mut self,
        running: impl Fn(JobId, StageId) -> u32,
    ) -> Vec<(JobId, JobNews)> {
        let is_open = |job: &JobId| self.jobs[job].phase == Phase::Open;
        std::mem::take(&mut self.changed)
            .into_iter()
            .filter_map(|id| self.stages.get(&id))
            .filter(|stage| {
                let is_told = is_open(&stage.job) || self.ended.iter().any(|(job, _)| *job == stage.job);
                stage.attempts > 0 && is_told
            })
            .map(|stage| {
                let done = stage
                    .shuffle()
                    .map_or_else(|| self.jobs[&stage.job].done(), |shuffle| self.outputs.available(shuffle));
                let over = stage.state != StageState::Running || !is_open(&stage.job);
                let news = JobNews::Stage {
                    stage: stage.id,
                    place: stage.place,
                    name: stage.name.clone(),
                    attempt: stage.attempts - 1,
                    tasks: stage.tasks,
                    running: running(stage.job, stage.id),
                    done,
                    over,
                    metrics: Box::new(stage.record.summary(over)),
                };
                (stage.job, news)
            })
            .collect()
    }
}
