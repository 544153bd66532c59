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
//! - A query is waited for so long and no longer (`--timeout`); every child is ended by its id, whichever way the run ends;
//!   when it is killed, what it started notices by itself, or by `guard.rs`.
//!
//! Read first: `measure.rs`.

mod args;
mod brake;
mod cluster;
mod data;
mod engine;
mod failure;
mod guard;
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
use hearth_integration::program;
use std::{path::PathBuf, process::ExitCode};

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
    Tpch(Box<args::Tpch>),
    /// Run one engine of this binary (started by it).
    #[command(hide = true)]
    Serve,
    /// End daemons whose run was killed (started by it).
    #[command(hide = true)]
    Guard,
}

fn main() -> ExitCode {
    if let Some(code) = program::become_hearth() {
        return code;
    }
    let done = match Cli::parse().command {
        Command::Tpch(args) => tpch::run(&args),
        Command::Serve => serve::run(),
        Command::Guard => return guard::run(),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            say::remark(&format!("bench: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// The binary that is measured.
fn hearth_binary() -> Result<PathBuf, Failure> {
    program::hearth_binary().map_err(Failure::new)
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
