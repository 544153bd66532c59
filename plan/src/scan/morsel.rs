//! Guards around the pieces of work that reading a file is made of.

use super::{arrow, failure::InFile, unchanged};
use ::arrow::array::RecordBatch;
use datafusion::{common::Result, datasource::listing::PartitionedFile};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer, PendingMorselPlanner};
use futures::{FutureExt, StreamExt, stream, stream::BoxStream};
use object_store::ObjectStore;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// The readers of a source's files.
#[derive(Clone, Debug)]
pub(super) enum Readers {
    /// One for all.
    One(Arc<dyn Morselizer>),
    /// By what a file begins with.
    Arrow { files: Arc<dyn Morselizer>, streams: Arc<dyn Morselizer> },
}

/// Looks at each file before its reader does.
pub(super) struct GuardedMorselizer {
    readers: Readers,
    store: Arc<dyn ObjectStore>,
    url: String,
}

impl GuardedMorselizer {
    pub(super) fn new(readers: Readers, store: Arc<dyn ObjectStore>, url: &str) -> Self {
        Self { readers, store, url: url.to_owned() }
    }
}

impl fmt::Debug for GuardedMorselizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guarded({:?})", self.readers)
    }
}

impl Morselizer for GuardedMorselizer {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let at = InFile::new(&self.url, &file);
        Ok(Box::new(Opening { readers: self.readers.clone(), store: Arc::clone(&self.store), file, at }))
    }
}

/// A file that nobody has looked at.
#[derive(Debug)]
struct Opening {
    readers: Readers,
    store: Arc<dyn ObjectStore>,
    file: PartitionedFile,
    at: InFile,
}

impl Opening {
    async fn open(self) -> Result<Box<dyn MorselPlanner>> {
        let Self { readers, store, file, at } = self;
        unchanged::check(store.as_ref(), &file.object_meta, &at).await?;
        let reader = match readers {
            Readers::One(reader) => reader,
            Readers::Arrow { files, streams } => {
                match arrow::check(store.as_ref(), &file.object_meta, file.range.as_ref(), &at).await? {
                    arrow::Form::File => files,
                    arrow::Form::Stream => streams,
                }
            }
        };
        let inner = caught(&at, || reader.plan_file(file))?;
        Ok(Box::new(Guarded { inner, at }))
    }
}

impl MorselPlanner for Opening {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        Ok(Some(MorselPlan::new().with_pending_planner(self.open())))
    }
}

/// A piece of work of a file's reader.
#[derive(Debug)]
struct Guarded<T> {
    inner: T,
    at: InFile,
}

impl MorselPlanner for Guarded<Box<dyn MorselPlanner>> {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { inner, at } = *self;
        let Some(mut plan) = caught(&at, || inner.plan())? else { return Ok(None) };
        let morsels = plan.take_morsels().into_iter();
        let morsels = morsels.map(|inner| Box::new(Guarded { inner, at: at.clone() }) as Box<dyn Morsel>);
        let planners = plan.take_ready_planners().into_iter();
        let planners = planners.map(|inner| Box::new(Guarded { inner, at: at.clone() }) as Box<dyn MorselPlanner>);
        let guarded = MorselPlan::new().with_morsels(morsels.collect()).with_planners(planners.collect());
        Ok(Some(match plan.take_pending_planner() {
            Some(pending) => guarded.with_pending_planner(wait(pending, at)),
            None => guarded,
        }))
    }
}

/// What a reader waits for.
async fn wait(pending: PendingMorselPlanner, at: InFile) -> Result<Box<dyn MorselPlanner>> {
    match AssertUnwindSafe(pending).catch_unwind().await {
        Ok(Ok(inner)) => Ok(Box::new(Guarded { inner, at })),
        Ok(Err(error)) => Err(at.explain(error)),
        Err(thrown) => Err(at.panicked(thrown.as_ref())),
    }
}

impl Morsel for Guarded<Box<dyn Morsel>> {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { inner, at } = *self;
        let batches = match catch_unwind(AssertUnwindSafe(|| inner.into_stream())) {
            Ok(batches) => batches,
            Err(thrown) => return stream::iter([Err(at.panicked(thrown.as_ref()))]).boxed(),
        };
        // After a panic the stream is over: `catch_unwind` ends it.
        let caught = AssertUnwindSafe(batches).catch_unwind().map(move |batch| match batch {
            Ok(Ok(batch)) => {
                at.came(batch.num_rows());
                Ok(batch)
            }
            Ok(Err(error)) => Err(at.explain(error)),
            Err(thrown) => Err(at.panicked(thrown.as_ref())),
        });
        caught.boxed()
    }
}

fn caught<T>(at: &InFile, work: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| at.explain(error)),
        Err(thrown) => Err(at.panicked(thrown.as_ref())),
    }
}
