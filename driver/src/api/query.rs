//! A query that runs, or has run.

use super::{
    QueryError,
    analyze::Analysis,
    results::{Reader, Rows},
    write::WriteRun,
};
use crate::{
    machine::JobNews,
    shell::{self, JobHandle, StageProgress},
};
use datafusion::arrow::{
    array::{Array, ArrayRef, RecordBatch},
    datatypes::SchemaRef,
};
use hearth_blocks::FetchError;
use hearth_core::{
    Determinism, TaskId,
    messages::task::{BlockServer, FetchCause, ResultBlock, TaskMetrics},
};
use hearth_plan::{BegunWrite, PlanError};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// A query's rows, as they come. Dropping it cancels the query, if it still runs, and lets its results be forgotten. A
/// write gives one row, the number of rows written, once all of them are visible; until then dropping it undoes it.
#[derive(Debug)]
pub struct QueryRun {
    schema: SchemaRef,
    explain: String,
    /// Rows of a statement that ran in the driver.
    ready: VecDeque<RecordBatch>,
    job: Option<Job>,
    write: Option<WriteRun>,
    /// Progress of a statement that ran in the driver: nothing, for ever.
    nothing: watch::Sender<Vec<StageProgress>>,
    max_result_size: Option<u64>,
    /// Bytes of the rows that were handed out, when the caller holds them all.
    held: Option<u64>,
    metrics: TaskMetrics,
    /// What is to be told in place of its rows.
    analysis: Option<Analysis>,
}

#[derive(Debug)]
pub(super) struct Job {
    handle: JobHandle,
    reader: Arc<Reader>,
    /// The partition that is handed out.
    current: Option<Current>,
    /// Results that are ahead of the reader.
    ahead: BTreeMap<u32, ResultBlock>,
    /// The partition that is handed out, or the next one.
    next: u32,
    /// Rows of it that were handed out before it was lost.
    seen: u64,
    /// Why the partition that was handed out cannot be read to its end.
    lost: Option<Box<FetchError>>,
    /// The job is over: all has been handed out.
    over: bool,
}

/// A partition that is handed out.
#[derive(Debug)]
struct Current {
    rows: Rows,
    /// The attempt that stored it, when it can be lost.
    stored: Option<TaskId>,
    /// Rows that are still to be left out: they were handed out when it was read before.
    skip: u64,
    /// Rows that were handed out, those left out among them.
    seen: u64,
}

impl QueryRun {
    pub(super) fn local(batches: Vec<RecordBatch>, schema: SchemaRef, max_result_size: Option<u64>) -> Self {
        Self { ready: batches.into(), ..Self::new(schema, String::new(), max_result_size) }
    }

    pub(super) fn job(
        handle: JobHandle,
        reader: Arc<Reader>,
        schema: SchemaRef,
        explain: String,
        max_result_size: Option<u64>,
    ) -> Self {
        Self { job: Some(Job::new(handle, reader)), ..Self::new(schema, explain, max_result_size) }
    }

    /// A query that gives a report of what it did.
    pub(super) fn analyzed(handle: JobHandle, reader: Arc<Reader>, analysis: Analysis) -> Self {
        let run = Self::job(handle, reader, Analysis::schema(), String::new(), None);
        Self { analysis: Some(analysis), ..run }
    }

    /// Each partition of the job gives a manifest, which `begun` commits. Until that is done, or undone, `tracker` counts it.
    pub(super) fn write(
        handle: JobHandle,
        reader: Arc<Reader>,
        schema: SchemaRef,
        explain: String,
        (begun, tracker): (BegunWrite, &TaskTracker),
    ) -> Self {
        let write = WriteRun::start(Job::new(handle, reader), begun, tracker);
        Self { write: Some(write), ..Self::new(schema, explain, None) }
    }

    fn new(schema: SchemaRef, explain: String, max_result_size: Option<u64>) -> Self {
        let (nothing, _) = watch::channel(Vec::new());
        let (ready, metrics) = Default::default();
        let (job, write, analysis) = (None, None, None);
        Self { schema, explain, ready, job, write, nothing, max_result_size, held: None, metrics, analysis }
    }

    /// The columns of its rows.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Its stages for people; empty for a statement that ran in the driver.
    pub fn explain(&self) -> &str {
        &self.explain
    }

    /// Where each of its stages stands that has begun. The last value stays when the query is over.
    pub fn progress(&self) -> watch::Receiver<Vec<StageProgress>> {
        match (&self.job, &self.write) {
            (Some(job), _) => job.progress(),
            (None, Some(write)) => write.progress.clone(),
            (None, None) => self.nothing.subscribe(),
        }
    }

    /// Where each of its stages stands now.
    pub fn stages(&self) -> Vec<StageProgress> {
        self.progress().borrow().clone()
    }

    /// What its result tasks did so far, together.
    pub const fn metrics(&self) -> &TaskMetrics {
        &self.metrics
    }

    /// Why nothing of it runs, when that is so.
    pub fn waiting(&self) -> Option<String> {
        match (&self.job, &self.write) {
            (Some(job), _) => job.waiting().borrow().clone(),
            (None, Some(write)) => write.waiting.borrow().clone(),
            (None, None) => None,
        }
    }

    /// For a caller who holds all rows until the end: from here on [`QueryRun::next`] fails before it hands out more than
    /// `spark.driver.maxResultSize` bytes of rows.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.held.get_or_insert(0);
        self
    }

    /// The next rows, in the order of partitions; `None` when there are no more. Nothing comes after an error.
    ///
    /// May be dropped and asked again: no rows are lost.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        loop {
            let next = match (self.ready.pop_front(), &mut self.job, &mut self.write) {
                (Some(batch), ..) => Some(Ok(batch)),
                (None, Some(job), _) => job.next(&mut self.metrics).await,
                (None, None, Some(write)) => write.next(&self.schema, &mut self.metrics).await,
                (None, None, None) => None,
            };
            match next.map(|batch| self.count(batch?)) {
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => return Some(Ok(batch)),
                Some(Err(error)) => {
                    self.end();
                    self.analysis = None;
                    return Some(Err(error));
                }
                None => {
                    self.end();
                    return self.report();
                }
            }
        }
    }

    /// What it did, once, after its end.
    fn report(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        let report = self.analysis.take()?.report(&self.stages());
        Some(report.map_err(|e| PlanError::Internal(e.to_string()).into()))
    }

    /// Counts what the caller is about to hold.
    fn count(&mut self, batch: RecordBatch) -> Result<RecordBatch, QueryError> {
        if let Some(held) = &mut self.held {
            *held = held.saturating_add(bytes(&batch));
            if let Some(limit) = self.max_result_size.filter(|limit| *held > *limit) {
                return Err(QueryError::TooLarge { limit });
            }
        }
        Ok(batch)
    }

    /// Nothing more is wanted of the job: its results are forgotten, its progress stays.
    fn end(&mut self) {
        self.ready.clear();
        let progress = self.progress().borrow().clone();
        self.nothing.send_replace(progress);
        self.job = None;
        self.write = None;
    }

    /// All rows. Fails before they take more memory than `spark.driver.maxResultSize`.
    pub async fn collect(self) -> Result<Vec<RecordBatch>, QueryError> {
        let mut query = self.bounded();
        let mut batches = Vec::new();
        while let Some(batch) = query.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }

    /// Ends the query: [`QueryRun::next`] gives an error with this reason, unless all rows are here already, or what was written
    /// is becoming visible.
    pub async fn cancel(&self, reason: &str) {
        if let Some(job) = &self.job {
            job.cancel(reason).await;
        }
        if let Some(write) = &self.write {
            write.cancel(reason);
        }
    }
}

impl Job {
    fn new(handle: JobHandle, reader: Arc<Reader>) -> Self {
        Self { handle, reader, current: None, ahead: BTreeMap::new(), next: 0, seen: 0, lost: None, over: false }
    }

    pub(super) fn progress(&self) -> watch::Receiver<Vec<StageProgress>> {
        self.handle.progress()
    }

    pub(super) fn waiting(&self) -> watch::Receiver<Option<String>> {
        self.handle.waiting()
    }

    pub(super) async fn cancel(&self, reason: &str) {
        self.handle.cancel(reason).await;
    }

    /// The next rows. May be dropped and asked again.
    pub(super) async fn next(&mut self, sum: &mut TaskMetrics) -> Option<Result<RecordBatch, QueryError>> {
        loop {
            if let Some(current) = &mut self.current {
                match current.rows.next().await {
                    Some(Ok(batch)) => match current.unseen(batch) {
                        Some(batch) => return Some(Ok(batch)),
                        None => continue,
                    },
                    Some(Err(QueryError::Lost { source, .. })) if self.can_be_made_again() => self.lost = Some(source),
                    Some(Err(error)) => return Some(Err(self.why(error))),
                    None => {}
                }
                self.end_partition().await;
                continue;
            }
            if let Some(block) = self.ahead.get(&self.next) {
                // Only then removed: whoever drops this future in between comes here again, and to say it twice is harmless.
                if matches!(block, ResultBlock::Inline(_)) {
                    self.handle.taken(self.next).await;
                }
                self.begin_partition();
                continue;
            }
            if self.over {
                return None;
            }
            if let Err(error) = self.hear(sum).await {
                return Some(Err(error));
            }
        }
    }

    /// A job that fails takes its stored results along: then that it failed is what happened.
    fn why(&mut self, error: QueryError) -> QueryError {
        if !matches!(error, QueryError::Lost { .. }) {
            return error;
        }
        let failures = std::iter::from_fn(|| self.handle.try_next());
        let mut failures = failures.filter_map(|news| match news {
            JobNews::Over(Err(failure)) => Some(failure),
            _ => None,
        });
        failures.next().map_or(error, QueryError::from)
    }

    /// Whether a stored result that is lost halfway comes again in a way that nobody notices.
    fn can_be_made_again(&self) -> bool {
        let Some(current) = &self.current else { return false };
        let same = self.handle.determinism() == Determinism::Determinate;
        current.stored.is_some() && (current.seen == 0 || same)
    }

    fn begin_partition(&mut self) {
        let Some(block) = self.ahead.remove(&self.next) else { return };
        let stored = match &block {
            ResultBlock::Inline(_) => None,
            ResultBlock::Stored { task, .. } => Some(*task),
        };
        let (skip, seen) = (self.seen, 0);
        self.current = Some(Current { rows: self.reader.rows(self.next, block), stored, skip, seen });
    }

    /// Says what became of the partition that was handed out. May be dropped and asked again: to say it twice is harmless.
    async fn end_partition(&mut self) {
        let Some(current) = &self.current else { return };
        match (&self.lost, current.stored) {
            (Some(why), Some(task)) => {
                self.handle.lost(self.next, task, why.to_string()).await;
                self.seen = self.seen.max(current.seen);
                if why.kind == FetchCause::Unreachable {
                    // Nothing else that lies there is worth the same patience again.
                    let (server, reason) = (why.location.server(), why.to_string());
                    while let Some((partition, task)) = self.ahead_at(&server) {
                        self.handle.lost(partition, task, reason.clone()).await;
                        self.ahead.remove(&partition);
                    }
                }
            }
            (_, stored) => {
                if stored.is_some() {
                    self.handle.taken(self.next).await;
                }
                self.next += 1;
                self.seen = 0;
            }
        }
        self.lost = None;
        self.current = None;
    }

    /// A result that is ahead of the reader and lies there.
    fn ahead_at(&self, server: &BlockServer) -> Option<(u32, TaskId)> {
        self.ahead.iter().find_map(|(partition, block)| match block {
            ResultBlock::Stored { task, location, .. } if location.server() == *server => Some((*partition, *task)),
            _ => None,
        })
    }

    /// Waits until all results are there. None is read: until then each may be made again.
    pub(super) async fn complete(&mut self, sum: &mut TaskMetrics) -> Result<(), QueryError> {
        while self.ahead.len() < self.handle.partitions() as usize {
            let Some(partition) = self.hear(sum).await? else { continue };
            if matches!(self.ahead.get(&partition), Some(ResultBlock::Inline(_))) {
                // It takes no room at the driver, where results that are still to come need it.
                self.handle.taken(partition).await;
            }
        }
        Ok(())
    }

    /// The results that are here and were not read, in no order.
    pub(super) fn arrived(&mut self) -> Vec<Rows> {
        let ahead = std::mem::take(&mut self.ahead);
        ahead.into_iter().map(|(partition, block)| self.reader.rows(partition, block)).collect()
    }

    /// Takes the next news; gives the partition whose result it was.
    async fn hear(&mut self, sum: &mut TaskMetrics) -> Result<Option<u32>, QueryError> {
        match self.handle.next().await {
            Some(JobNews::Result { partition, block, metrics }) => {
                self.ahead.insert(partition, block);
                sum.add(&metrics);
                return Ok(Some(partition));
            }
            Some(JobNews::Over(Ok(()))) => self.over = true,
            Some(JobNews::Over(Err(failure))) => return Err(failure.into()),
            // They come by another way.
            Some(JobNews::Stage { .. } | JobNews::Waiting { .. }) => {}
            None => return Err(shell::Error::Stopped.into()),
        }
        Ok(None)
    }
}

impl Current {
    /// What of these rows was not handed out before.
    fn unseen(&mut self, batch: RecordBatch) -> Option<RecordBatch> {
        let rows = batch.num_rows() as u64;
        let known = self.skip.min(rows);
        self.skip -= known;
        self.seen += rows;
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        (known == 0 || known < batch.num_rows()).then(|| batch.slice(known, batch.num_rows() - known))
    }
}

/// Bytes of the rows themselves: several batches may share the memory that they were decoded from.
fn bytes(batch: &RecordBatch) -> u64 {
    let size =
        |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size());
    u64::try_from(batch.columns().iter().map(size).sum::<usize>()).unwrap_or(u64::MAX)
}
