//! The body of `hearth executor`.
//!
//! Threads: one for links, heartbeats and the machine's loop (the one that calls), one a slot for tasks, one that watches
//! the lifeline; beside them those for blocking work, which end when they are idle.

use super::{ExecutorExit, GrpcDriver, ShellOptions, StartError, start};
use hearth_core::{bootstrap::ExecutorBootstrap, lifeline};
use std::{
    io::{self, Read},
    sync::Arc,
};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

/// Threads that read files for the fetcher and for the own block server.
const BLOCKING_THREADS: usize = 8;

/// Runs an executor until its driver or its worker wants its end: `lifeline` (standard input, as a rule) ends when the
/// worker is gone; SIGTERM ends it too. Blocks.
pub fn run_executor_process(
    bootstrap: ExecutorBootstrap,
    lifeline: impl Read + Send + 'static,
) -> Result<ExecutorExit, StartError> {
    let runtime = control_runtime().map_err(StartError::Threads)?;
    let exit = runtime.block_on(run(bootstrap, lifeline));
    // A read of a file that hangs must not keep the process.
    runtime.shutdown_background();
    exit
}

fn control_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()
}

async fn run(bootstrap: ExecutorBootstrap, lifeline: impl Read + Send + 'static) -> Result<ExecutorExit, StartError> {
    let mut terminated = signal(SignalKind::terminate()).map_err(StartError::Signal)?;
    let cut = lifeline::watch(lifeline).map_err(StartError::Threads)?;
    let url = bootstrap.driver_url.clone();
    let options = ShellOptions::from_bootstrap(bootstrap)?;
    let name = format!("executor {} of {}", options.machine.executor, options.machine.application);
    tracing::info!(cores = options.machine.cores, memory_pool_mib = options.memory_bytes >> 20, driver = url, "{name}");
    let driver = Arc::new(GrpcDriver::new(&url, &options.machine)?);
    let executor = start(options, driver.clone(), driver).await?;
    let exit = tokio::select! {
        exit = executor.wait() => exit,
        reason = async {
            tokio::select! {
                _ = cut => "its worker is gone",
                _ = terminated.recv() => "SIGTERM",
            }
        } => {
            executor.stop(reason).await;
            executor.wait().await
        }
    };
    tracing::info!(code = exit.code, "{name} exits: {}", exit.reason);
    Ok(exit)
}
