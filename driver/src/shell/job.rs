//! A submitted job, as whoever submitted it sees it.

use super::links::Links;
use crate::machine::{Event, JobNews, StageMetrics};
use hearth_core::{Determinism, JobId, StageGraph, StageId, TaskId};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// Where a stage of a running job stands. `Display` is one line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageProgress {
    /// Which stage.
    pub id: StageId,
    /// Its place in the query's graph, from 0; the stage that gives the result is the last.
    pub place: u32,
    /// What it does.
    pub name: String,
    /// Its newest attempt, from 0.
    pub attempt: u32,
    /// How many tasks it has.
    pub tasks: u32,
    /// How many of them run.
    pub running: u32,
    /// How many are done.
    pub done: u32,
    /// Nothing of it starts any more.
    pub over: bool,
    /// When it began.
    pub begun: Instant,
    /// How long after that these counts were true; the time it took, once it is over.
    pub elapsed: Duration,
    /// What its tasks did so far.
    pub metrics: StageMetrics,
}

impl fmt::Display for StageProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, done, tasks, name, .. } = self;
        write!(f, "stage {id}: {done}/{tasks} tasks in {:.3} s: {name}", self.elapsed.as_secs_f64())?;
        if self.attempt > 0 {
            write!(f, " (attempt {})", self.attempt + 1)?;
        }
        Ok(())
    }
}

/// Where the performer puts a job's news.
///
/// The queue of results is bounded by what the machine lets run ahead of the reader
/// ([`result_buffer_bytes`](crate::machine::DriverOptions::result_buffer_bytes)) and by each partition coming once;
/// progress is only ever the newest.
#[derive(Debug)]
pub(super) struct JobSink {
    results: mpsc::UnboundedSender<JobNews>,
    stages: watch::Sender<Vec<StageProgress>>,
    waiting: watch::Sender<Option<String>>,
}

impl JobSink {
    /// Takes one piece of news; true when it was the last.
    pub(super) fn take(&self, news: JobNews) -> bool {
        let is_over = matches!(news, JobNews::Over(_));
        match news {
            JobNews::Stage { stage, place, name, attempt, tasks, running, done, over, metrics } => {
                let now = Instant::now();
                let begun =
                    self.stages.borrow().iter().find(|known| known.id == stage).map_or(now, |known| known.begun);
                let elapsed = now - begun;
                let progress = StageProgress {
                    id: stage,
                    place,
                    name,
                    attempt,
                    tasks,
                    running,
                    done,
                    over,
                    begun,
                    elapsed,
                    metrics: *metrics,
                };
                if running > 0 {
                    self.waiting.send_if_modified(|waiting| waiting.take().is_some());
                }
                self.stages.send_modify(|stages| match stages.iter_mut().find(|known| known.id == stage) {
                    Some(known) => *known = progress,
                    None => stages.push(progress),
                });
            }
            JobNews::Waiting { reason } => {
                self.waiting.send_replace(Some(reason));
            }
            // Whoever submitted it may have gone.
            news => drop(self.results.send(news)),
        }
        is_over
    }
}

/// A submitted job. Dropping it cancels the job, if it still runs, and lets its results be forgotten.
pub struct JobHandle {
    job: JobId,
    partitions: u32,
    /// Of its results.
    determinism: Determinism,
    links: Arc<Links>,
    results: mpsc::UnboundedReceiver<JobNews>,
    stages: watch::Receiver<Vec<StageProgress>>,
    waiting: watch::Receiver<Option<String>>,
}

impl fmt::Debug for JobHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle").field("job", &self.job).finish_non_exhaustive()
    }
}

impl JobHandle {
    pub(super) fn new(job: JobId, graph: &StageGraph, links: Arc<Links>) -> (Self, JobSink) {
        let result = graph.stages.last();
        let partitions = result.map_or(0, |stage| stage.tasks);
        let determinism = result.map_or(Determinism::Determinate, |stage| stage.determinism);
        let (results, from_sink) = mpsc::unbounded_channel();
        let (stages, stages_seen) = watch::channel(Vec::new());
        let (waiting, waiting_seen) = watch::channel(None);
        let handle = Self {
            job,
            partitions,
            determinism,
            links,
            results: from_sink,
            stages: stages_seen,
            waiting: waiting_seen,
        };
        (handle, JobSink { results, stages, waiting })
    }

    /// Its number.
    pub const fn id(&self) -> JobId {
        self.job
    }

    /// How many partitions its result has.
    pub const fn partitions(&self) -> u32 {
        self.partitions
    }

    /// What is known of a result that is made again.
    pub const fn determinism(&self) -> Determinism {
        self.determinism
    }

    /// The next [`JobNews::Result`], in any order of partitions, or [`JobNews::Over`], the last. `None` after that, or
    /// when the driver is gone.
    pub async fn next(&mut self) -> Option<JobNews> {
        self.results.recv().await
    }

    /// The next of them, when it is here already.
    pub fn try_next(&mut self) -> Option<JobNews> {
        self.results.try_recv().ok()
    }

    /// Says that the result of a partition has been taken, in the order of partitions: more tasks may run ahead. Of a stored
    /// one, all has been read: it cannot be lost any more.
    pub async fn taken(&self, partition: u32) {
        self.links.post(Event::ResultTaken { job: self.job, partition }).await;
    }

    /// Says that a stored result cannot be read: it comes once more, or the job fails.
    pub async fn lost(&self, partition: u32, task: TaskId, reason: String) {
        self.links.post(Event::ResultLost { job: self.job, partition, task, reason }).await;
    }

    /// Where each stage stands that has begun, in the order in which they did.
    pub fn progress(&self) -> watch::Receiver<Vec<StageProgress>> {
        self.stages.clone()
    }

    /// Why nothing of it runs, when that is so.
    pub fn waiting(&self) -> watch::Receiver<Option<String>> {
        self.waiting.clone()
    }

    /// Ends the job; its last news says so, with this reason.
    pub async fn cancel(&self, reason: impl Into<String>) {
        self.links.post(Event::JobCancelled { job: self.job, reason: reason.into() }).await;
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        let (job, reason) = (self.job, "nobody waits for its results".to_owned());
        self.links.post_later([Event::JobCancelled { job, reason }, Event::JobReleased { job }]);
    }
}
