//! What all tasks of one process share.

use super::{
    memory::{Shares, TaskMemory},
    thrifty,
};
use crate::{
    codec::Functions,
    store::{StoreOptions, StorePool, Stores},
};
use datafusion::{
    common::Result,
    execution::{
        TaskContext,
        disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode},
        memory_pool::{MemoryLimit, MemoryPool},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::SessionConfig,
};
use std::{fmt, path::Path, sync::Arc};

/// What tasks may use.
#[derive(Clone, Debug)]
pub struct TaskEnvOptions {
    /// Bytes of memory for the rows that operators hold, all tasks together.
    pub memory_bytes: usize,
    /// Tasks of one slot that run at once.
    pub slots: u32,
    /// Where operators spill to; files go when they were read.
    pub spill: DiskManagerMode,
}

/// The memory pool and the spill directory that tasks share. Cheap to clone.
#[derive(Clone)]
pub struct TaskEnv {
    runtime: Arc<RuntimeEnv>,
    shares: Arc<Shares>,
    stores: Arc<StorePool>,
    spill_dir: Option<Arc<Path>>,
    /// For tasks that are thrifty.
    thrifty_disk: Option<Arc<DiskManager>>,
    slots: u32,
    thrifty: bool,
}

impl TaskEnv {
    /// With a memory pool that gives every task its fair share, and spilling to a directory of its own.
    pub fn with_limits(options: TaskEnvOptions) -> Result<Self> {
        let shares = Arc::new(Shares::new(options.memory_bytes, options.slots));
        let pool = TaskMemory::new(&shares, 0, false);
        let spill_dir = match &options.spill {
            DiskManagerMode::Directories(dirs) => dirs.first().map(|dir| dir.as_path().into()),
            // Whoever makes the files names them.
            _ => None,
        };
        // How much may be spilled is for the disks to say.
        let disk = || {
            let disk = DiskManagerBuilder::default().with_max_temp_directory_size(u64::MAX);
            disk.with_mode(options.spill.clone())
        };
        let runtime =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).with_disk_manager_builder(disk()).build_arc()?;
        let thrifty = disk().with_max_spill_merge_fan_in(thrifty::FILES_AT_ONCE).build()?;
        let thrifty_disk = Some(Arc::new(thrifty));
        Ok(Self { shares, spill_dir, thrifty_disk, ..Self::new(runtime) })
    }

    /// Over a runtime that exists already.
    pub fn new(runtime: Arc<RuntimeEnv>) -> Self {
        Self {
            shares: Arc::new(Shares::over(Arc::clone(&runtime.memory_pool))),
            runtime,
            stores: Arc::new(StorePool::here()),
            spill_dir: None,
            thrifty_disk: None,
            slots: 1,
            thrifty: false,
        }
    }

    /// The same for a task that takes so many slots, of which there is one unless this says so.
    #[must_use]
    pub fn with_slots(&self, slots: u32) -> Self {
        Self { slots, ..self.clone() }
    }

    /// The same for a task that ran out of memory before: it takes operators that spill, where there are such.
    #[must_use]
    pub fn thrifty(&self) -> Self {
        let disk_manager = self.thrifty_disk.as_ref().unwrap_or(&self.runtime.disk_manager);
        let runtime = RuntimeEnv { disk_manager: Arc::clone(disk_manager), ..RuntimeEnv::clone(&self.runtime) };
        Self { runtime: Arc::new(runtime), thrifty: true, ..self.clone() }
    }

    pub(crate) const fn is_thrifty(&self) -> bool {
        self.thrifty
    }

    /// The memory of a task that begins, and the same over it.
    pub(super) fn begin(&self) -> (Arc<TaskMemory>, Self) {
        let memory = Arc::new(TaskMemory::new(&self.shares, self.slots, self.thrifty));
        let memory_pool: Arc<dyn MemoryPool> = Arc::<TaskMemory>::clone(&memory);
        let runtime = Arc::new(RuntimeEnv { memory_pool, ..RuntimeEnv::clone(&self.runtime) });
        (memory, Self { runtime, ..self.clone() })
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
        let mut config = if self.thrifty { thrifty::settings(config) } else { config };
        config.options_mut().execution.sort_spill_reservation_bytes = merge_bytes(&self.runtime.memory_pool);
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

/// Bytes that each sort sets aside for its merges before it needs them: DataFusion's 10 MiB, which are too many for a small
/// pool.
fn merge_bytes(pool: &Arc<dyn MemoryPool>) -> usize {
    const LEAST: usize = 1 << 20;
    const MOST: usize = 10 << 20;
    match pool.memory_limit() {
        MemoryLimit::Finite(bytes) => (bytes / 16).clamp(LEAST, MOST),
        MemoryLimit::Infinite | MemoryLimit::Unknown => MOST,
    }
}

impl fmt::Debug for TaskEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskEnv").field("memory_used", &self.memory_used()).finish_non_exhaustive()
    }
}
