//! Memory: one pool for the tasks of an executor.

use super::{disks::Disks, options::ShellOptions, spill::Spills};
use datafusion::execution::disk_manager::DiskManagerMode;
use hearth_core::messages::task::TaskFailure;
use hearth_plan::{TaskEnv, TaskEnvOptions};
use std::sync::{Arc, Mutex, PoisonError};

/// The pool, what spills and the functions, made when they are first needed.
#[derive(Debug)]
pub(super) struct Memory {
    bytes: usize,
    slots: u32,
    spills: Arc<Disks>,
    env: Mutex<Option<TaskEnv>>,
}

impl Memory {
    pub(super) fn of_options(options: &ShellOptions) -> Self {
        let spills = Arc::new(Disks::new(options.spill_dirs(), options.disk_reserve));
        Self { bytes: options.memory_bytes, slots: options.machine.cores, spills, env: Mutex::new(None) }
    }

    /// Of what exists already.
    #[cfg(test)]
    pub(super) fn of(env: TaskEnv) -> Self {
        let spills = Arc::new(Disks::new(Vec::new(), 0));
        Self { bytes: 0, slots: 1, spills, env: Mutex::new(Some(env)) }
    }

    /// What tasks share. Takes some milliseconds the first time, during which other callers block. When it fails, the
    /// next caller tries again.
    pub(super) fn env(&self) -> Result<TaskEnv, TaskFailure> {
        let mut made = self.env.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(env) = &*made {
            return Ok(env.clone());
        }
        let spill = DiskManagerMode::Custom(Arc::new(Spills::new(Arc::clone(&self.spills))));
        let options = TaskEnvOptions { memory_bytes: self.bytes, slots: self.slots, spill };
        let env = TaskEnv::with_limits(options).map_err(|e| TaskFailure::Transient(e.strip_backtrace()))?;
        Ok(made.insert(env).clone())
    }

    /// Waits until nothing of its tasks is left to be taken back.
    pub(super) async fn settle(&self) {
        let made = self.env.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(env) = made {
            env.settle().await;
        }
    }

    /// Says how large the pool is, which DataFusion's message does not.
    pub(super) fn explain(&self, failure: TaskFailure) -> TaskFailure {
        match failure {
            TaskFailure::OutOfMemory(message) => TaskFailure::OutOfMemory(format!(
                "{message} (the executor's pool has {} MiB for all its tasks; give it more with spark.executor.memory, or \
                 fewer cores)",
                self.bytes >> 20
            )),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_names_the_bound_and_what_to_do() {
        let spills = Arc::new(Disks::new(Vec::new(), 0));
        let memory = Memory { bytes: 100 << 20, slots: 2, spills, env: Mutex::new(None) };
        let TaskFailure::OutOfMemory(text) = memory.explain(TaskFailure::OutOfMemory("sort wants 1 GB".into())) else {
            panic!("another kind")
        };
        assert!(text.starts_with("sort wants 1 GB (the executor's pool has 100 MiB"), "{text}");
        assert_eq!(memory.explain(TaskFailure::Query("q".into())), TaskFailure::Query("q".into()));
    }
}
