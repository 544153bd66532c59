//! A write that runs: a job whose results say what its tasks left, and then the commit.
//!
//! A task of its own owns it, so that it is undone, or finished once its commit has begun, whatever becomes of the
//! [`QueryRun`](super::QueryRun).

use super::{QueryError, query::Job};
use crate::{machine::JobFailure, shell::StageProgress};
use datafusion::arrow::{
    array::{ArrayRef, RecordBatch, UInt64Array},
    datatypes::SchemaRef,
};
use hearth_core::messages::task::TaskMetrics;
use hearth_plan::{BegunWrite, MAX_WRITE_FILES, Manifest, WriteError};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::task::TaskTracker;

/// How long a write that failed looks for what its tasks left.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a write is undone that nobody waits for.
const ABANDONED: &str = "nobody waits for its results";

/// A write that runs. Dropping it undoes the write, unless its commit has begun.
#[derive(Debug)]
pub(super) struct WriteRun {
    /// Nothing once its answer was taken.
    done: Option<JoinHandle<Done>>,
    /// Takes the reason for an end.
    stop: mpsc::Sender<String>,
    pub(super) progress: watch::Receiver<Vec<StageProgress>>,
    pub(super) waiting: watch::Receiver<Option<String>>,
}

/// The rows written, and what the tasks did.
type Done = Result<(u64, TaskMetrics), QueryError>;

impl WriteRun {
    /// Follows the job, commits the write or undoes it. `tracker` counts it until then.
    pub(super) fn start(job: Job, begun: BegunWrite, tracker: &TaskTracker) -> Self {
        let (progress, waiting) = (job.progress(), job.waiting());
        let (stop, stopped) = mpsc::channel(1);
        let done = Some(tracker.spawn(drive(job, begun, stopped)));
        Self { done, stop, progress, waiting }
    }

    /// Its one row, under `schema`; then nothing. May be dropped and asked again.
    pub(super) async fn next(
        &mut self,
        schema: &SchemaRef,
        metrics: &mut TaskMetrics,
    ) -> Option<Result<RecordBatch, QueryError>> {
        let done = self.done.as_mut()?.await;
        self.done = None;
        let broken = |e: &dyn std::fmt::Display| WriteError::Internal(format!("a write broke off: {e}")).into();
        let row = match done {
            Ok(Ok((rows, sum))) => {
                *metrics = sum;
                let count: ArrayRef = Arc::new(UInt64Array::from(vec![rows]));
                RecordBatch::try_new(Arc::clone(schema), vec![count]).map_err(|e| broken(&e))
            }
            Ok(Err(error)) => Err(error),
            Err(panicked) => Err(broken(&panicked)),
        };
        Some(row)
    }

    /// Ends it with this reason, unless its commit has begun.
    pub(super) fn cancel(&self, reason: &str) {
        // One reason is enough.
        let _ = self.stop.try_send(reason.to_owned());
    }
}

async fn drive(mut job: Job, begun: BegunWrite, mut stop: mpsc::Receiver<String>) -> Done {
    let mut metrics = TaskMetrics::default();
    let stopped = async { stop.recv().await.unwrap_or_else(|| ABANDONED.to_owned()) };
    let mut manifests = Vec::new();
    let done = tokio::select! {
        biased;
        reason = stopped => {
            job.cancel(&reason).await;
            Err(JobFailure::Cancelled(reason).into())
        }
        done = read(&mut job, &mut manifests, &mut metrics) => done,
    };
    if done.is_err() && begun.is_undone_by_manifests() {
        // Whoever serves them may be gone.
        let _ = timeout(PATIENCE, read_arrived(&mut job, &mut manifests)).await;
    }
    // Its tasks end before their folder does, unless they are slow to.
    drop(job);
    match done {
        Ok(()) => Ok((begun.commit(manifests).await?, metrics)),
        Err(error) => {
            begun.undo(manifests).await;
            Err(error)
        }
    }
}

/// Reads the manifests of all tasks, once all are there.
async fn read(job: &mut Job, into: &mut Vec<Manifest>, metrics: &mut TaskMetrics) -> Result<(), QueryError> {
    job.complete(metrics).await?;
    let mut files = 0;
    while let Some(batch) = job.next(metrics).await {
        for manifest in Manifest::read(&batch?)? {
            files += manifest.files();
            into.push(manifest);
        }
        if files > MAX_WRITE_FILES {
            return Err(WriteError::TooManyFiles.into());
        }
    }
    Ok(())
}

/// Reads those of the tasks that were done when others failed.
async fn read_arrived(job: &mut Job, into: &mut Vec<Manifest>) {
    for mut rows in job.arrived() {
        while let Some(Ok(batch)) = rows.next().await {
            into.extend(Manifest::read(&batch).unwrap_or_default());
        }
    }
}
