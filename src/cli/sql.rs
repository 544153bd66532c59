//! `hearth sql`: run SQL on a cluster, or on this machine.

use super::{
    Failure, flags, logging, output,
    rows::{self, Trouble, Written},
    settings, shell,
    signals::{Asked, Stop},
    source::{Source, gives_rows},
    target::{Target, apart},
};
use hearth::{ApplicationState, Context, Error};
use hearth_core::conf::{Conf, master_url::MasterUrl};
use hearth_plan::{Statement, format::Format};
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Run SQL on a cluster, or on this machine.
///
/// Without -e and -f it reads statements from standard input; on a terminal that is a shell.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").multiple(false))]
#[command(
    after_help = "Examples:\n  hearth sql\n  hearth sql -e \"select count(*) from tpch.sf0_01.orders\"\n  hearth sql --tables data/ -e \"select * from t limit 10\" --format csv -o t.csv\n  hearth sql --master hearth://127.0.0.1:7077 -f report.sql\n\nThe catalog tpch has the TPC-H tables at any scale: tpch.sf0_01.lineitem, tpch.sf1.orders, …"
)]
pub(crate) struct Args {
    /// Where to run: local, local[N], local[*], local-cluster[WORKERS,CORES,MEMORY_MIB] or hearth://HOST:PORT[,HOST:PORT].
    /// Default: spark.master, else local[*].
    #[arg(long, value_name = "URL", value_parser = flags::master_url)]
    master: Option<MasterUrl>,
    /// The SQL to run; several statements are separated by semicolons.
    #[arg(short = 'e', long = "execute", value_name = "SQL", group = "what")]
    execute: Option<String>,
    /// A file with the SQL to run; - is standard input.
    #[arg(short = 'f', long = "file", value_name = "FILE", group = "what")]
    file: Option<PathBuf>,
    /// How rows are printed: table, csv, tsv, json, ndjson, markdown, vertical, arrow, arrow-stream or parquet. Default: what
    /// the name of the output file says, else table.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write the rows to this file instead of standard output; it appears when all rows are in it.
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Register every Parquet, CSV, TSV, JSON, Avro or Arrow file, or folder of parts, in DIR as a table of its name.
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,
    /// The application's name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Cores of one executor (spark.executor.cores). Default: all that the worker has.
    #[arg(long, value_name = "N", value_parser = flags::positive, allow_hyphen_values = true)]
    executor_cores: Option<u32>,
    /// Memory of one executor, such as 512m or 2g (spark.executor.memory).
    #[arg(long, value_name = "SIZE", value_parser = flags::memory_mib, allow_hyphen_values = true)]
    executor_memory: Option<u64>,
    /// Cores of all executors together (spark.cores.max). Default: all that are free.
    #[arg(long, value_name = "N", value_parser = flags::positive, allow_hyphen_values = true)]
    total_executor_cores: Option<u32>,
    /// Print the stages of each query and what they took to standard error.
    #[arg(short, long)]
    verbose: bool,
    /// Do not keep what is typed into the shell, nor offer what was.
    #[arg(long)]
    no_history: bool,
    #[command(flatten)]
    settings: settings::Args,
}

impl Args {
    /// What was asked for, else what the output file's name says.
    fn format(&self) -> Format {
        self.format.or_else(|| self.output.as_deref().and_then(Format::of_file)).unwrap_or_default()
    }

    /// Bytes for programs are nothing for people.
    fn check_output(&self) -> Result<(), Failure> {
        let to_stdout = self.output.as_deref().is_none_or(|path| path == Path::new("-"));
        if self.format().is_binary() && to_stdout && io::stdout().is_terminal() {
            let message =
                format!("--format {} writes bytes that are nothing for a terminal; add -o FILE", self.format());
            return Err(Failure::usage(message));
        }
        Ok(())
    }

    /// The FILE or SQL is not given, and somebody sits there who can be asked for it.
    fn is_interactive(&self) -> bool {
        self.execute.is_none() && self.file.is_none() && io::stdin().is_terminal() && io::stdout().is_terminal()
    }
}

/// In local mode the other roles run in this process too; what goes wrong for a query the driver says for them.
const LOG: &str = "warn,hearth_master=error,hearth_worker=error,hearth_executor=error";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    logging::start(LOG);
    let conf = configuration(args)?;
    // What can be refused is refused before anybody's cores are taken.
    args.check_output()?;
    if let Some(dir) = args.tables.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(Failure::failed(format!("--tables {}: there is no such directory", dir.display())));
    }
    if args.is_interactive() {
        let options = shell::Options {
            format: args.format(),
            // What goes to a file may be nothing for a terminal, where rows go after it.
            screen: args.format.filter(|format| !format.is_binary()).unwrap_or_default(),
            output: args.output.clone(),
            tables: args.tables.clone(),
            history: !args.no_history,
            verbose: args.verbose,
        };
        return shell::run(conf, options);
    }
    let source = Source::read(args.execute.as_deref(), args.file.as_deref())?;
    let parsed = source.parse()?;
    check_results(args.format(), &source, &parsed)?;
    let target = Target::open(args.output.as_deref())?;
    let runtime = super::runtime(2)?;
    let done = runtime.block_on(all(args, conf, &source, &parsed, target));
    if done.as_ref().is_err_and(Failure::is_interruption) {
        // A thread that writes to a reader who stopped would be waited for.
        runtime.shutdown_background();
    }
    done
}

/// How long rows that had come before a signal may take to be written: nobody may be reading.
const LAST_ROWS: Duration = Duration::from_secs(1);

/// Runs all statements in an application of their own.
async fn all(args: &Args, conf: Conf, source: &Source, parsed: &[Statement], target: Target) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let context = tokio::select! {
        context = Context::connect(conf) => context.map_err(connect_failure)?,
        signal = stop.next() => return Err(Failure::ended_by(signal)),
    };
    let done = tokio::select! {
        done = statements(args, &context, source, parsed, &target) => done,
        // Dropping the query cancels it; the context then says goodbye.
        signal = stop.next() => Err(Failure::ended_by(signal)),
    };
    let done = match done {
        Err(failure) if failure.is_interruption() => {
            let _ = timeout(LAST_ROWS, rows::flush(&target)).await;
            Err(failure)
        }
        Err(failure) => tokio::select! {
            () = rows::flush(&target) => Err(failure),
            signal = stop.next() => Err(Failure::ended_by(signal)),
        },
        Ok(()) => tokio::select! {
            done = apart(move || target.finish()) => done,
            signal = stop.next() => Err(Failure::ended_by(signal)),
        },
    };
    let (state, reason) = match &done {
        Ok(()) => (ApplicationState::Finished, ""),
        Err(failure) if failure.is_interruption() => (ApplicationState::Killed, failure.message.as_str()),
        Err(failure) => (ApplicationState::Failed, failure.message.as_str()),
    };
    tokio::select! {
        () = context.stop(state, reason) => done,
        // Asked again: children end with this process.
        signal = stop.next() => Err(Failure::ended_by(signal)),
    }
}

/// A file of bytes for programs has room for one result. Counts of rows that were written elsewhere do not take it.
fn check_results(format: Format, source: &Source, statements: &[Statement]) -> Result<(), Failure> {
    if !format.is_binary() {
        return Ok(());
    }
    let mut results = (0..statements.len()).filter(|&place| gives_rows(&statements[place]));
    let message = match (results.next(), results.next()) {
        (Some(_), None) => return Ok(()),
        (Some(_), Some(second)) => {
            let text = format!("a {format} file has room for the rows of one statement; give each its own");
            source.locate(second, statements, &text)
        }
        (None, _) => format!("no statement gives rows that {format} could hold; leave --format and -o out"),
    };
    Err(Failure::failed(message))
}

/// What no local mode can ever hold is a bad argument.
pub(super) fn connect_failure(error: Error) -> Failure {
    match error {
        Error::NeverFits { .. } => Failure::usage(error),
        error => Failure::failed(error),
    }
}

fn configuration(args: &Args) -> Result<Conf, Failure> {
    let flags = [
        ("spark.master", args.master.as_ref().map(ToString::to_string)),
        ("spark.app.name", args.name.clone()),
        ("spark.executor.cores", args.executor_cores.map(|n| n.to_string())),
        ("spark.executor.memory", args.executor_memory.map(|mib| format!("{mib}m"))),
        ("spark.cores.max", args.total_executor_cores.map(|n| n.to_string())),
    ];
    args.settings.load(flags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

async fn statements(
    args: &Args,
    context: &Context,
    source: &Source,
    statements: &[Statement],
    target: &Target,
) -> Result<(), Failure> {
    if let Some(dir) = &args.tables {
        context.register_tables(dir).await.map_err(Failure::failed)?;
    }
    let format = args.format();
    let nowhere = Target::nowhere();
    for (place, statement) in statements.iter().enumerate() {
        let failed = |message: String| Failure::failed(source.locate(place, statements, &message));
        let begun = Instant::now();
        let mut query = context.run(statement).await.map_err(|e| failed(e.to_string()))?;
        let (format, target) = match format.is_binary() && !gives_rows(statement) {
            true => (Format::default(), &nowhere),
            false => (format, target),
        };
        let mut written = Written::default();
        let done = rows::write(&mut query, format, target, &mut written, std::future::pending()).await;
        done.map_err(|trouble| match trouble {
            Trouble::Query(error) => failed(error.to_string()),
            Trouble::Output(message) => Failure::failed(message),
            Trouble::Cancelled => Failure::ended_by(Asked::Interrupt),
            Trouble::Ended(signal) => Failure::ended_by(signal),
        })?;
        let rows = written.rows;
        if args.verbose {
            for stage in query.stages() {
                output::remark(&format!("  {stage}"));
            }
            let s = if rows == 1 { "" } else { "s" };
            output::remark(&format!("{rows} row{s} in {:.3} s", begun.elapsed().as_secs_f64()));
        }
        if target.reader_left().load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}
