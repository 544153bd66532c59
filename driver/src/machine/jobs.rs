//! The beginning and the end of jobs, and of the application.

use super::{Driver, Effect, JobNews, dag::Leftovers, failure::JobFailure};
use hearth_core::{
    ApplicationState, JobId, Level, Now, StageGraph,
    messages::{application::AppUp, task::TaskDown},
};

impl Driver {
    pub(super) fn job_submitted(&mut self, job: JobId, graph: StageGraph, pool: String, fx: &mut Vec<Effect>) {
        if self.dag.knows(job) {
            let text = format!("job {job} was submitted twice; the second one is ignored");
            fx.push(Effect::Log { level: Level::Error, text });
            return;
        }
        if let Err(failure) = self.admit(&graph) {
            fx.push(Effect::Job { job, news: JobNews::Over(Err(failure)) });
            return;
        }
        self.dag.submit(job, graph, pool);
        if let Some(reason) = self.waiting.clone().filter(|_| !self.executors.has_connected()) {
            fx.push(Effect::Job { job, news: JobNews::Waiting { reason } });
        }
    }

    fn admit(&self, graph: &StageGraph) -> Result<(), JobFailure> {
        if let Some(failure) = &self.over {
            return Err(failure.clone());
        }
        graph.validate()?;
        let open = self.dag.open_jobs().len();
        if open >= self.options.max_jobs { Err(JobFailure::TooManyJobs(open)) } else { Ok(()) }
    }

    /// Tells the executors what they need not keep any more.
    pub(super) fn forget(&mut self, left: Leftovers, fx: &mut Vec<Effect>) {
        if !left.is_empty() {
            let Leftovers { payloads, shuffles, results } = left;
            self.executors.tell_all(&TaskDown::Forget { payloads, shuffles, results }, fx);
        }
    }

    /// All open jobs end with this failure.
    fn close_all(&mut self, failure: &JobFailure) {
        for job in self.dag.open_jobs() {
            self.dag.close(job, Err(failure.clone()));
        }
    }

    /// When there is a failure it is the end of the application: no job can run any more.
    pub(super) fn end_if(&mut self, failure: Option<JobFailure>, fx: &mut Vec<Effect>) {
        let Some(failure) = failure.filter(|_| self.over.is_none()) else { return };
        // Open jobs and those to come fail with it: whoever waits for them says so.
        fx.push(Effect::Log { level: Level::Info, text: failure.to_string() });
        self.close_all(&failure);
        self.master.close(None, fx);
        self.dismiss_executors(&failure.to_string(), fx);
        self.over = Some(failure);
    }

    /// Every executor is to exit; nothing is heard from it any more.
    fn dismiss_executors(&mut self, reason: &str, fx: &mut Vec<Effect>) {
        for id in self.executors.ids() {
            self.executors.tell(id, TaskDown::Stop { reason: reason.to_owned() }, fx);
            self.drop_executor(id, None, fx);
        }
    }

    /// Nobody can be had to run the open jobs.
    pub(super) fn fail_stranded(&mut self) {
        let reason = self.waiting.clone().filter(|_| self.master.is_registered());
        let reason = reason.unwrap_or_else(|| self.master.trouble());
        let seconds = self.options.executor_grace.as_secs();
        let failure = JobFailure::NoExecutors { seconds, reason };
        for job in self.dag.open_jobs().into_iter().filter(|job| self.dag.is_unfinished(*job)).collect::<Vec<_>>() {
            self.dag.close(job, Err(failure.clone()));
        }
    }

    /// The end, because the user wants it.
    pub(super) fn stop(&mut self, now: Now, state: ApplicationState, message: String, fx: &mut Vec<Effect>) {
        self.close_all(&JobFailure::Cancelled(message.clone()));
        self.dismiss_executors(&message, fx);
        for job in self.dag.all_jobs() {
            self.dag.release(job);
        }
        self.settle(now, fx);
        self.master.close(Some(AppUp::Unregister { state, message }), fx);
        self.stopped = true;
        self.stranded_at = None;
        fx.push(Effect::Stopped);
    }
}
