//! Threads with stacks for deep trees.
//!
//! Parsing, planning and dropping what they made recurse as deep as a statement is nested. That is bounded
//! ([`super::nesting`], [`crate::depth`]), but not to what fits into the stack of just any thread. So they have threads of
//! their own, which also keeps the caller's free: planning computes for as long as a statement is large.

use crate::PlanError;
use std::{future::Future, io, thread};
use tokio::{runtime::Builder, sync::oneshot};

/// Bytes of stack: at the limits, 64 KiB for each of some thousand levels that parsing, planning and types add up to. Of
/// what is not used, only addresses are taken.
const STACK: usize = 256 << 20;

fn builder() -> thread::Builder {
    thread::Builder::new().name("hearth-plan".into()).stack_size(STACK)
}

fn no_thread(error: &io::Error) -> PlanError {
    PlanError::Query(format!(
        "no thread to plan on: {error}; the machine, or this user, has too many threads or too \
                              little memory"
    ))
}

fn panicked() -> PlanError {
    PlanError::Internal("the planner panicked".into())
}

/// Computes on a thread with a large stack, while this one waits.
pub(super) fn compute<T: Send>(work: impl FnOnce() -> Result<T, PlanError> + Send) -> Result<T, PlanError> {
    thread::scope(|scope| {
        let thread = builder().spawn_scoped(scope, work).map_err(|e| no_thread(&e))?;
        thread.join().unwrap_or_else(|_| Err(panicked()))
    })
}

/// Runs a future on a thread with a large stack, and on a runtime of that thread, so that what the future spawns has that
/// stack too. When what is returned is dropped, the future is dropped as soon as it waits for anything; what it computes
/// until then is lost.
pub(super) async fn run<T, F, W>(work: W) -> Result<T, PlanError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, PlanError>>,
    W: FnOnce() -> F + Send + 'static,
{
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| no_thread(&e))?;
    let (mut answer, answered) = oneshot::channel();
    let thread = move || {
        let done = runtime.block_on(async {
            tokio::select! {
                biased;
                () = answer.closed() => None,
                done = work() => Some(done),
            }
        });
        // Waits for what still blocks, which nobody else should.
        drop(runtime);
        if let Some(done) = done {
            // If it is not taken, nobody waits any more.
            let _ = answer.send(done);
        }
    };
    builder().spawn(thread).map_err(|e| no_thread(&e))?;
    answered.await.unwrap_or_else(|_| Err(panicked()))
}
