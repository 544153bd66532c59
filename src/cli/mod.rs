//! The command line: one file a command.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 bad arguments,
//! 130 interrupted (SIGINT), 143 terminated (SIGTERM).

mod child;
mod explain;
mod flags;
mod logging;
mod master;
mod output;
mod progress;
mod rows;
mod settings;
mod shell;
mod signals;
mod source;
mod sql;
mod status;
mod target;
mod worker;

use clap::{Parser, Subcommand, error::ErrorKind};
use signals::Asked;
use std::process::ExitCode;

/// A Spark-style cluster in one binary: a master tracks workers, drivers turn SQL into stages, executors run the tasks.
#[derive(Debug, Parser)]
#[command(name = "hearth", version, disable_help_subcommand = true, max_term_width = 110)]
#[command(
    after_help = "Environment:\n  RUST_LOG  what is logged to standard error: error, warn, info, debug, or per module, such as hearth_master=debug"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the master: it tracks workers and gives their cores to applications.
    Master(master::Args),
    /// Run a worker: it offers this machine's cores and memory to a master.
    Worker(worker::Args),
    /// Run SQL on a cluster, or on this machine.
    Sql(sql::Args),
    /// Show a master's workers and applications.
    Status(status::Args),
    /// Say why an application, a worker or an executor is as it is.
    Explain(explain::Args),
    /// Print the version.
    Version,
    /// Run one executor (started by a worker).
    #[command(hide = true)]
    Executor(child::ExecutorArgs),
    /// Run a machine's block service (started by a worker).
    #[command(hide = true)]
    Blocks,
}

/// What a shell makes of a signal: 128 and its number.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// Why a command failed, and the code to exit with.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// It could not be done.
    pub(crate) fn failed(message: impl ToString) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    /// The arguments were wrong.
    pub(crate) fn usage(message: impl ToString) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    /// A signal ended it.
    pub(crate) fn ended_by(signal: Asked) -> Self {
        let (code, message) = match signal {
            Asked::Interrupt => (INTERRUPTED, "interrupted"),
            Asked::Terminate => (TERMINATED, "terminated"),
        };
        Self { code, message: message.into() }
    }

    /// Whether a signal ended it.
    pub(crate) const fn is_interruption(&self) -> bool {
        matches!(self.code, INTERRUPTED | TERMINATED)
    }
}

/// Runs the command that argv names.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let done = match cli.command {
        Command::Master(args) => master::run(&args),
        Command::Worker(args) => worker::run(&args),
        Command::Sql(args) => sql::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Version => output::line(&format!("hearth {}", env!("CARGO_PKG_VERSION"))),
        Command::Executor(_) => return child::executor(),
        Command::Blocks => return child::blocks(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Prints help where it was asked for; else one line that names what was wrong, and exits with 2.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
        _ => {
            let text = error.render().to_string();
            // The first paragraph names the flag (and lists it on lines of its own when several are missing).
            let what = text.split("\n\n").next().unwrap_or_default();
            let line = what.split_whitespace().collect::<Vec<_>>().join(" ");
            let tip = text.lines().find_map(|l| l.trim().strip_prefix("tip: ")).map(|t| format!("; {t}"));
            output::complain(&format!("{}{}", line.trim_start_matches("error: "), tip.unwrap_or_default()));
            ExitCode::from(2)
        }
    }
}

/// A runtime for a command. Daemons are small: two threads serve many thousand messages a second.
pub(crate) fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|e| Failure::failed(format!("cannot start threads: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn each_signal_has_its_code() {
        for (signal, code) in [(Asked::Interrupt, 130), (Asked::Terminate, 143)] {
            let failure = Failure::ended_by(signal);
            assert_eq!((failure.code, failure.is_interruption()), (code, true));
        }
        assert!(!Failure::failed("x").is_interruption());
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
