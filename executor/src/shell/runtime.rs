//! The runtime on which tasks compute: threads of their own, so that links, heartbeats and the machine's loop never wait
//! behind a decode.

use super::panics;
use std::{future::Future, io};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// Threads for blocking work (reading files, spilling, committing outputs), beside one for each slot. They come when they
/// are needed and end when they are idle.
const SPARE_BLOCKING_THREADS: usize = 8;

/// Plans are executed by recursion: at the most levels that a plan may have (1,200), some 50 KiB each, which is what a join
/// takes without optimisation. Of what is not used, only addresses are taken.
const STACK: usize = 64 << 20;

/// One thread a slot.
#[derive(Debug)]
pub(super) struct TaskRuntime(Option<Runtime>);

impl TaskRuntime {
    pub(super) fn new(slots: u32) -> io::Result<Self> {
        let slots = slots.max(1) as usize;
        let runtime = Builder::new_multi_thread()
            .worker_threads(slots)
            .max_blocking_threads(slots + SPARE_BLOCKING_THREADS)
            .thread_name("hearth-task")
            .thread_stack_size(STACK)
            .on_thread_start(panics::watch_this_thread)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime().spawn(task)
    }

    pub(super) fn spawn_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) {
        self.runtime().spawn_blocking(work);
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("it is taken only when this is dropped")
    }
}

impl Drop for TaskRuntime {
    /// Does not wait: this may happen on a runtime, whose threads must not block, and a task may be in the middle of a
    /// long computation.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
