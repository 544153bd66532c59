//! What all tasks of one process share.

use crate::{
    codec::Functions,
    store::{StoreOptions, StorePool, Stores},
};
use datafusion::{
    common::Result,
    execution::{
        TaskContext,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{FairSpillPool, MemoryPool, TrackConsumersPool},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::SessionConfig,
};
use std::{
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How many of the largest consumers an out-of-memory message names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// What tasks may use.
#[derive(Clone, Debug)]
pub struct TaskEnvOptions {
    /// Bytes of memory for the rows that operators hold, all tasks together.
    pub memory_bytes: usize,
    /// Where operators spill to. Created at the first spill, in a directory that exists; files go when they were read.
    pub spill_dir: PathBuf,
}

/// The memory pool and the spill directory that tasks share. Cheap to clone.
#[derive(Clone)]
pub struct TaskEnv {
    runtime: Arc<RuntimeEnv>,
    stores: Arc<StorePool>,
    spill_dir: Option<Arc<Path>>,
}

impl TaskEnv {
    /// With a memory pool that gives every spilling operator its fair share, and spilling to a directory of its own.
    pub fn with_limits(options: TaskEnvOptions) -> Result<Self> {
        let pool = TrackConsumersPool::new(FairSpillPool::new(options.memory_bytes), NAMED_CONSUMERS);
        let spill_dir: Arc<Path> = options.spill_dir.as_path().into();
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![options.spill_dir]));
        let runtime =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).with_disk_manager_builder(disk).build_arc()?;
        Ok(Self { spill_dir: Some(spill_dir), ..Self::new(runtime) })
    }

    /// Over a runtime that exists already.
    pub fn new(runtime: Arc<RuntimeEnv>) -> Self {
        Self { runtime, stores: Arc::new(StorePool::here()), spill_dir: None }
    }

    /// The runtime.
    pub const fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.runtime
    }

    /// The same with another memory pool.
    pub(crate) fn with_pool(&self, pool: Arc<dyn MemoryPool>) -> Self {
        let runtime = RuntimeEnv { memory_pool: pool, ..RuntimeEnv::clone(&self.runtime) };
        Self { runtime: Arc::new(runtime), ..self.clone() }
    }

    /// Waits until what cancelled tasks had uploaded is taken back.
    pub async fn settle(&self) {
        self.stores.settle().await;
    }

    /// Where operators spill to, if that is known.
    pub(crate) fn spill_dir(&self) -> Option<&Path> {
        self.spill_dir.as_deref()
    }

    /// Bytes that the operators of all tasks hold now.
    pub fn memory_used(&self) -> usize {
        self.runtime.memory_pool.reserved()
    }

    /// The context of one task, which reaches files and these stores.
    pub(crate) fn context(&self, config: SessionConfig, stores: &[StoreOptions]) -> TaskContext {
        let stores = Stores::of_payload(stores.to_vec(), Arc::clone(&self.stores));
        let stores: Arc<Stores> = Arc::new(stores);
        let runtime = RuntimeEnv { object_store_registry: stores.clone(), ..RuntimeEnv::clone(&self.runtime) };
        // For those who ask more of a store than reading.
        let config = config.with_extension(stores);
        let Functions { scalar, higher_order, aggregate, window } = Functions::built_in();
        TaskContext::new(
            None,
            String::new(),
            config,
            scalar.clone(),
            higher_order.clone(),
            aggregate.clone(),
            window.clone(),
            Arc::new(runtime),
        )
    }
}

impl fmt::Debug for TaskEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskEnv").field("memory_used", &self.memory_used()).finish_non_exhaustive()
    }
}
