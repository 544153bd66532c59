//! A query that runs, or has run.

use super::{QueryError, results::Reader};
use crate::{
    machine::JobNews,
    shell::{self, JobHandle, StageProgress},
};
use datafusion::arrow::{array::RecordBatch, datatypes::SchemaRef};
use futures::{Stream, stream};
use hearth_core::messages::task::{ResultBlock, TaskMetrics};
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::watch;

/// A query's rows, as they come. Dropping it cancels the query, if it still runs, and lets its results be forgotten.
#[derive(Debug)]
pub struct QueryRun {
    schema: SchemaRef,
    explain: String,
    /// Rows that are decoded and not handed out: those of one partition.
    ready: VecDeque<RecordBatch>,
    job: Option<Job>,
    /// Progress of a statement that ran in the driver: nothing, for ever.
    nothing: watch::Sender<Vec<StageProgress>>,
    max_result_size: Option<u64>,
    metrics: TaskMetrics,
}

#[derive(Debug)]
struct Job {
    handle: JobHandle,
    reader: Reader,
    /// Results that are ahead of the reader.
    ahead: BTreeMap<u32, ResultBlock>,
    /// The partition to hand out next.
    next: u32,
    /// All results are in `ahead`.
    complete: bool,
}

impl QueryRun {
    pub(super) fn local(batches: Vec<RecordBatch>, schema: SchemaRef, max_result_size: Option<u64>) -> Self {
        Self { ready: batches.into(), ..Self::new(schema, String::new(), None, max_result_size) }
    }

    pub(super) fn job(
        handle: JobHandle,
        reader: Reader,
        schema: SchemaRef,
        explain: String,
        max_result_size: Option<u64>,
    ) -> Self {
        let job = Job { handle, reader, ahead: BTreeMap::new(), next: 0, complete: false };
        Self::new(schema, explain, Some(job), max_result_size)
    }

    fn new(schema: SchemaRef, explain: String, job: Option<Job>, max_result_size: Option<u64>) -> Self {
        let (nothing, _) = watch::channel(Vec::new());
        let metrics = TaskMetrics::default();
        Self { schema, explain, ready: VecDeque::new(), job, nothing, max_result_size, metrics }
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
        self.job.as_ref().map_or_else(|| self.nothing.subscribe(), |job| job.handle.progress())
    }

    /// Where each of its stages stands now.
    pub fn stages(&self) -> Vec<StageProgress> {
        self.progress().borrow().clone()
    }

    /// What its result tasks did so far, together.
    pub const fn metrics(&self) -> TaskMetrics {
        self.metrics
    }

    /// Why nothing of it runs, when that is so.
    pub fn waiting(&self) -> Option<String> {
        self.job.as_ref().and_then(|job| job.handle.waiting().borrow().clone())
    }

    /// The next rows, in the order of partitions; `None` when there are no more. Nothing comes after an error.
    ///
    /// May be dropped and asked again: no rows are lost.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(Ok(batch));
            }
            match self.job.as_mut()?.next_partition(&mut self.metrics).await {
                Some(Ok(batches)) => self.ready.extend(batches.into_iter().filter(|batch| batch.num_rows() > 0)),
                Some(Err(error)) => {
                    self.end();
                    return Some(Err(error));
                }
                None => {
                    self.end();
                    return None;
                }
            }
        }
    }

    /// Nothing more is wanted of the job: its results are forgotten, its progress stays.
    fn end(&mut self) {
        if let Some(job) = self.job.take() {
            self.nothing.send_replace(job.handle.progress().borrow().clone());
        }
    }

    /// The rows as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<RecordBatch, QueryError>> + Send {
        stream::unfold(self, |mut query| async move { query.next().await.map(|next| (next, query)) })
    }

    /// All rows. Fails before they take more memory than `spark.driver.maxResultSize`.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, QueryError> {
        let (mut batches, mut bytes) = (Vec::new(), 0_u64);
        while let Some(batch) = self.next().await {
            let batch = batch?;
            bytes = bytes.saturating_add(u64::try_from(batch.get_array_memory_size()).unwrap_or(u64::MAX));
            if let Some(limit) = self.max_result_size.filter(|limit| bytes > *limit) {
                return Err(QueryError::TooLarge { limit });
            }
            batches.push(batch);
        }
        Ok(batches)
    }

    /// Ends the query: [`QueryRun::next`] gives an error with this reason, unless all rows are there.
    pub async fn cancel(&self, reason: &str) {
        if let Some(job) = &self.job {
            job.handle.cancel(reason).await;
        }
    }
}

impl Job {
    /// The rows of the next partition.
    async fn next_partition(&mut self, sum: &mut TaskMetrics) -> Option<Result<Vec<RecordBatch>, QueryError>> {
        loop {
            // Copied, not taken: whoever drops this future in between still gets the rows from the next one.
            if let Some(block) = self.ahead.get(&self.next).cloned() {
                let batches = self.reader.read(self.next, block).await;
                self.handle.taken(self.next).await;
                self.ahead.remove(&self.next);
                self.next += 1;
                return Some(batches);
            }
            if self.complete {
                return None;
            }
            match self.handle.next().await {
                Some(JobNews::Result { partition, block, metrics }) => {
                    self.ahead.insert(partition, block);
                    add(sum, &metrics);
                }
                Some(JobNews::Over(Ok(()))) => self.complete = true,
                Some(JobNews::Over(Err(failure))) => return Some(Err(failure.into())),
                // They come by another way.
                Some(JobNews::Stage { .. } | JobNews::Waiting { .. }) => {}
                None => return Some(Err(shell::Error::Stopped.into())),
            }
        }
    }
}

fn add(sum: &mut TaskMetrics, more: &TaskMetrics) {
    sum.rows += more.rows;
    sum.bytes_written += more.bytes_written;
    sum.bytes_read += more.bytes_read;
    sum.bytes_spilled += more.bytes_spilled;
    sum.run_millis += more.run_millis;
}
