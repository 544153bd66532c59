//! Rows that come a second time.
//!
//! A nested loop join reads its left side into memory, and when that does not fit it executes it once more, to spill it. Not
//! everything can be executed twice: a repartition panics, and a join still knows which of its rows found a partner the first
//! time. So the batches that the first reader was given are kept until its end, which takes no memory beyond that of the join,
//! which keeps them too; who asks again gets these, and then the rest.

use crate::leaf::passes_rows_on;
use arrow::array::RecordBatch;
use datafusion::{
    common::{DataFusionError, Result, resources_err},
    execution::{
        RecordBatchStream, SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_plan::{
        DisplayAs, DisplayFormatType, EmptyRecordBatchStream, ExecutionPlan, stream::RecordBatchStreamAdapter,
    },
};
use futures::{Stream, StreamExt, stream};
use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

/// Passes the rows of its only partition on, to its first reader and to a second one, if the first does not come to its end.
pub(super) struct AgainExec {
    input: Arc<dyn ExecutionPlan>,
    rows: Rows,
}

impl AgainExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input, rows: Rows::default() }
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input))
    }
}

/// Where the rows are.
#[derive(Clone, Default)]
struct Rows(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    #[default]
    Unread,
    /// Somebody reads them, or has read them to their end.
    Given,
    /// Their reader gave up after these.
    Left(Vec<RecordBatch>, SendableRecordBatchStream),
    Failed(Arc<DataFusionError>),
}

impl Rows {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AgainExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgainExec").field("input", &self.input).finish_non_exhaustive()
    }
}

impl DisplayAs for AgainExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgainExec")
    }
}

impl ExecutionPlan for AgainExec {
    fn name(&self) -> &'static str {
        "AgainExec"
    }

    passes_rows_on!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let reservation = MemoryConsumer::new("rows that come again").register(context.memory_pool());
        let state = mem::replace(&mut *self.rows.lock(), State::Given);
        match state {
            State::Unread => {
                let input = self.input.execute(partition, context)?;
                let (schema, rows) = (self.schema(), self.rows.clone());
                let rest = Rest::More(input);
                Ok(Box::pin(FirstReading { given: Vec::new(), rest, rows, reservation, schema }))
            }
            State::Left(given, rest) => Ok(second_reading(given, rest, reservation)),
            State::Failed(error) => {
                *self.rows.lock() = State::Failed(Arc::clone(&error));
                Err(DataFusionError::Shared(error))
            }
            State::Given => resources_err!("the left side of a nested loop join is no longer there to be spilled"),
        }
    }
}

/// Gives what was kept, whose memory is told of until it is given, and then the rest.
fn second_reading(
    given: Vec<RecordBatch>,
    rest: SendableRecordBatchStream,
    reservation: MemoryReservation,
) -> SendableRecordBatchStream {
    // It is there, whatever the pool says.
    reservation.grow(given.iter().map(RecordBatch::get_array_memory_size).sum());
    let schema = rest.schema();
    let given = stream::iter(given).map(move |batch| {
        reservation.shrink(batch.get_array_memory_size());
        Ok(batch)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, given.chain(rest)))
}

/// Gives rows, and keeps them until their end.
struct FirstReading {
    given: Vec<RecordBatch>,
    rest: Rest,
    rows: Rows,
    reservation: MemoryReservation,
    schema: arrow::datatypes::SchemaRef,
}

enum Rest {
    More(SendableRecordBatchStream),
    /// Nobody can ask again, or need not.
    Over,
}

impl FirstReading {
    /// A join asks for a bit a row once it has all rows. Here is the last place where it can be refused and have the rows again.
    fn can_end(&self) -> Result<()> {
        let rows: usize = self.given.iter().map(RecordBatch::num_rows).sum();
        self.reservation.try_grow(rows.div_ceil(8))?;
        self.reservation.free();
        Ok(())
    }
}

impl Stream for FirstReading {
    type Item = Result<RecordBatch>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Rest::More(rest) = &mut this.rest else { return Poll::Ready(None) };
        match ready!(rest.poll_next_unpin(cx)) {
            Some(Ok(batch)) => {
                this.given.push(batch.clone());
                Poll::Ready(Some(Ok(batch)))
            }
            Some(Err(error)) => {
                let error = Arc::new(error);
                this.rest = Rest::Over;
                *this.rows.lock() = State::Failed(Arc::clone(&error));
                Poll::Ready(Some(Err(DataFusionError::Shared(error))))
            }
            None => match this.can_end() {
                Ok(()) => {
                    this.rest = Rest::Over;
                    // Before the join makes one batch of them.
                    this.given = Vec::new();
                    Poll::Ready(None)
                }
                Err(refused) => {
                    this.rest = Rest::More(Box::pin(EmptyRecordBatchStream::new(Arc::clone(&this.schema))));
                    Poll::Ready(Some(Err(refused)))
                }
            },
        }
    }
}

impl RecordBatchStream for FirstReading {
    fn schema(&self) -> arrow::datatypes::SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Drop for FirstReading {
    fn drop(&mut self) {
        if let Rest::More(rest) = mem::replace(&mut self.rest, Rest::Over) {
            *self.rows.lock() = State::Left(mem::take(&mut self.given), rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{AsArray, Int64Array},
        datatypes::Int64Type,
    };
    use datafusion::{
        datasource::memory::MemorySourceConfig,
        execution::{
            disk_manager::{DiskManagerBuilder, DiskManagerMode},
            memory_pool::GreedyMemoryPool,
            runtime_env::RuntimeEnvBuilder,
        },
        physical_expr::expressions::col,
        physical_plan::{Partitioning, coalesce_partitions::CoalescePartitionsExec, repartition::RepartitionExec},
        prelude::SessionConfig,
    };
    use futures::TryStreamExt;

    /// A thousand numbers out of a repartition, which cannot be executed twice, in batches of fifty.
    fn numbers() -> AgainExec {
        let batch = |from: i64| {
            let numbers = Arc::new(Int64Array::from_iter_values(from..from + 50));
            RecordBatch::try_from_iter([("n", numbers as _)]).unwrap()
        };
        let batches: Vec<_> = (0..20).map(|i| batch(i * 50)).collect();
        let schema = batches[0].schema();
        let key = col("n", &schema).unwrap();
        let source = MemorySourceConfig::try_new_exec(&[batches], schema, None).unwrap();
        let spread = RepartitionExec::try_new(source, Partitioning::Hash(vec![key], 3)).unwrap();
        AgainExec::new(Arc::new(CoalescePartitionsExec::new(Arc::new(spread))))
    }

    fn context(memory: usize) -> Arc<TaskContext> {
        let pool = Arc::new(GreedyMemoryPool::new(memory));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().unwrap();
        let context = TaskContext::default().with_session_config(SessionConfig::new().with_batch_size(50));
        Arc::new(context.with_runtime(runtime))
    }

    async fn all(reader: SendableRecordBatchStream) -> Result<Vec<i64>> {
        let batches: Vec<_> = reader.try_collect().await?;
        let mut all: Vec<i64> =
            batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        all.sort_unstable();
        Ok(all)
    }

    fn exhausted<T>(result: Result<T>) -> bool {
        matches!(result.map_err(|e| matches!(e.find_root(), DataFusionError::ResourcesExhausted(_))), Err(true))
    }

    #[tokio::test]
    async fn who_asks_again_gets_all_rows() {
        for taken in [0, 1, 7] {
            let (plan, context) = (numbers(), context(1 << 20));
            let mut first = plan.execute(0, Arc::clone(&context)).unwrap();
            for _ in 0..taken {
                first.try_next().await.unwrap().unwrap();
            }
            drop(first);
            let second = plan.execute(0, Arc::clone(&context)).unwrap();
            assert_eq!(context.memory_pool().reserved() > 0, taken > 0, "what is kept is told of");
            assert_eq!(all(second).await.unwrap(), (0..1000).collect::<Vec<_>>(), "{taken}");
            assert_eq!(context.memory_pool().reserved(), 0);
        }
    }

    #[tokio::test]
    async fn rows_that_were_read_to_their_end_are_not_kept() {
        let (plan, context) = (numbers(), context(1 << 20));
        let first = plan.execute(0, Arc::clone(&context)).unwrap();
        assert_eq!(all(first).await.unwrap().len(), 1000);
        assert!(exhausted(plan.execute(0, context)));
    }

    /// The join would ask when it is too late.
    #[tokio::test]
    async fn a_reader_without_memory_for_its_bits_is_refused_before_the_end() {
        let (plan, context) = (numbers(), context(1 << 20));
        let first = plan.execute(0, Arc::clone(&context)).unwrap();
        let rest = MemoryConsumer::new("rest").register(context.memory_pool());
        // A thousand bits are 125 bytes.
        rest.grow((1 << 20) - 124);
        assert!(exhausted(all(first).await));
        rest.free();
        let second = plan.execute(0, context).unwrap();
        assert_eq!(all(second).await.unwrap(), (0..1000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_failure_is_the_same_for_who_asks_again() {
        let plan = numbers();
        // A repartition that may neither keep rows nor spill them.
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(0)));
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = runtime.with_disk_manager_builder(disk).build_arc().unwrap();
        let context = Arc::new(TaskContext::default().with_runtime(runtime));
        let first = all(plan.execute(0, Arc::clone(&context)).unwrap()).await.unwrap_err();
        for _ in 0..2 {
            let again = plan.execute(0, Arc::clone(&context)).err().unwrap();
            assert_eq!(again.to_string(), first.to_string());
        }
    }
}
