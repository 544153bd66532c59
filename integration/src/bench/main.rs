//! Benchmarks: TPC-H on Hearth, on plain DataFusion and on other engines, in one run on the same files.
//!
//! ```text
//!   bench tpch ──> data.rs      Parquet files, made once
//!              ──> engine.rs    one child process an engine; all speak protocol.rs, a JSON object a line:
//!                                 bench serve        Hearth through its library, or plain DataFusion (serve/)
//!                                 bench/peer.py      DuckDB, Spark, Sail (peers.rs installs them)
//!              ──> measure.rs   query by query, run by run, engine by engine in turn
//!              ──> judge.rs     every output compared, row by row
//!              ──> report/      table, JSON, picture
//! ```
//!
//! What holds:
//! - Only a query's planning, running and the collecting of its rows is timed, by the process that does it; neither starts of
//!   processes, nor registering tables, nor writing rows down for the comparison are.
//! - A wrong row fails the run, whoever gave it. So does a query that Hearth or plain DataFusion cannot answer; a peer that
//!   cannot is shown.
//! - A query is waited for so long and no longer (`--timeout`); every child is ended by its id, whichever way the run ends.
//!
//! Read first: `measure.rs`.

mod args;
mod cluster;
mod data;
mod engine;
mod failure;
mod judge;
mod machine;
mod measure;
mod memory;
mod peers;
mod process;
mod protocol;
mod queries;
mod report;
mod say;
mod serve;
mod tpch;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::{ffi::OsString, os::unix::process::CommandExt, path::PathBuf, process::ExitCode};

// What `hearth` has, so that both sides of the comparison allocate alike.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Hearth against plain DataFusion and other engines.
#[derive(Debug, Parser)]
#[command(name = "bench", disable_help_subcommand = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The 22 queries of TPC-H.
    Tpch(args::Tpch),
    /// Run one engine of this binary (started by it).
    #[command(hide = true)]
    Serve,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // A cluster of one's own starts its children from the program that it is part of. Here that is this one.
    if let Some(command) = arguments.next().filter(|first| first == "executor" || first == "blocks") {
        return become_hearth(command, arguments);
    }
    let done = match Cli::parse().command {
        Command::Tpch(args) => tpch::run(&args),
        Command::Serve => serve::run(),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            say::remark(&format!("bench: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Becomes the `hearth` that was built beside this program, with these arguments.
fn become_hearth(command: OsString, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let failure = match hearth_binary() {
        Ok(hearth) => {
            let error = std::process::Command::new(&hearth).arg(command).args(arguments).exec();
            Failure::new(format!("{}: {error}", hearth.display()))
        }
        Err(failure) => failure,
    };
    say::remark(&format!("bench: {failure}"));
    ExitCode::FAILURE
}

/// The binary that is measured: `HEARTH_BIN`, or the one that was built beside this program.
fn hearth_binary() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os("HEARTH_BIN") {
        return Ok(path.into());
    }
    let own =
        std::env::current_exe().map_err(|e| Failure::new(format!("this program's own path is not known: {e}")))?;
    let beside = own.with_file_name("hearth");
    match beside.exists() {
        true => Ok(beside),
        false => Err(Failure::new(format!(
            "{} is missing: build it with the same profile, or name one in HEARTH_BIN",
            beside.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
