//! Memory: one pool for the tasks of an executor.

use hearth_core::messages::task::TaskFailure;
use hearth_plan::{TaskEnv, TaskEnvOptions};
use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// The pool, the spill directory and the functions, made when they are first needed.
#[derive(Debug)]
pub(super) struct Memory {
    options: TaskEnvOptions,
    env: Mutex<Option<TaskEnv>>,
}

impl Memory {
    pub(super) const fn new(memory_bytes: usize, slots: u32, spill_dir: PathBuf) -> Self {
        Self { options: TaskEnvOptions { memory_bytes, slots, spill_dir }, env: Mutex::new(None) }
    }

    /// Of what exists already.
    #[cfg(test)]
    pub(super) fn of(env: TaskEnv) -> Self {
        Self { env: Mutex::new(Some(env)), ..Self::new(0, 1, PathBuf::new()) }
    }

    /// What tasks share. Takes some milliseconds the first time, during which other callers block. When it fails, the
    /// next caller tries again.
    pub(super) fn env(&self) -> Result<TaskEnv, TaskFailure> {
        let mut made = self.env.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(env) = &*made {
            return Ok(env.clone());
        }
        let dir = &self.options.spill_dir;
        let disk = |message: String| TaskFailure::Disk { path: dir.display().to_string(), message };
        fs::create_dir_all(dir).map_err(|e| disk(e.to_string()))?;
        let env = TaskEnv::with_limits(self.options.clone()).map_err(|e| disk(e.strip_backtrace()))?;
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
                self.options.memory_bytes >> 20
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
        let memory = Memory::new(100 << 20, 2, "/nowhere".into());
        let TaskFailure::OutOfMemory(text) = memory.explain(TaskFailure::OutOfMemory("sort wants 1 GB".into())) else {
            panic!("another kind")
        };
        assert!(text.starts_with("sort wants 1 GB (the executor's pool has 100 MiB"), "{text}");
        assert_eq!(memory.explain(TaskFailure::Query("q".into())), TaskFailure::Query("q".into()));
    }
}
