//! `hearth executor` and `hearth blocks`: what a worker starts. Their first line of standard input says what to do, and its
//! end that the worker is gone.

use super::{Failure, logging, output};
use hearth_core::bootstrap::{BlocksBootstrap, ExecutorBootstrap};
use serde::de::DeserializeOwned;
use std::{
    io::{self, BufRead, BufReader, Read, StdinLock},
    process::ExitCode,
};

/// Bytes of a bootstrap: it holds the configuration, which is bounded by 1 MiB, twice over for JSON's escapes.
const MAX_BOOTSTRAP: u64 = 4 << 20;

/// Run one executor (started by a worker).
#[derive(Debug, clap::Args)]
pub(crate) struct ExecutorArgs {
    /// For people who look at a list of processes: what counts comes through standard input.
    #[arg(value_name = "APPLICATION")]
    _application: String,
    #[arg(value_name = "ID")]
    _executor: u32,
}

/// Runs an executor.
pub(crate) fn executor() -> ExitCode {
    logging::start("info");
    let done = bootstrap::<ExecutorBootstrap>().and_then(|bootstrap| {
        hearth_executor::shell::run_executor_process(bootstrap, io::stdin()).map_err(Failure::failed)
    });
    match done {
        Ok(exit) => ExitCode::from(u8::try_from(exit.code).unwrap_or(1)),
        Err(failure) => fail(&failure),
    }
}

/// Runs a block service.
pub(crate) fn blocks() -> ExitCode {
    logging::start("info");
    let done = bootstrap::<BlocksBootstrap>().and_then(|bootstrap| {
        let runtime =
            hearth_blocks::server::runtime().map_err(|e| Failure::failed(format!("cannot start threads: {e}")))?;
        let served = runtime.block_on(hearth_blocks::run_block_service(bootstrap, io::stdout(), io::stdin()));
        // A read of a file that hangs must not keep the process.
        runtime.shutdown_background();
        served.map_err(Failure::failed)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    output::complain(&failure.message);
    ExitCode::from(failure.code)
}

/// Reads the first line and not a byte more than a buffered reader does: nothing follows it but the end.
fn bootstrap<T: DeserializeOwned>() -> Result<T, Failure> {
    let mut line = String::new();
    let stdin: StdinLock<'_> = io::stdin().lock();
    BufReader::new(stdin.take(MAX_BOOTSTRAP))
        .read_line(&mut line)
        .map_err(|e| Failure::failed(format!("standard input: {e}")))?;
    serde_json::from_str(&line).map_err(|e| {
        Failure::usage(format!(
            "this command is for workers: its first line of standard input is not a bootstrap ({e})"
        ))
    })
}
