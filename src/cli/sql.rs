//! `hearth sql`: run SQL on a cluster, or on this machine.

use super::{Failure, flags, logging, output, progress::Bars, settings, signals::Stop, target::Target};
use hearth::{ApplicationState, Context, Error};
use hearth_core::conf::{Conf, master_url::MasterUrl};
use hearth_plan::format::{Format, Writer};
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Instant,
};

/// SQL text read from a file or given on the command line: far above what people write, far below what hurts.
const MAX_SQL_BYTES: u64 = 16 << 20;

/// Run SQL on a cluster, or on this machine.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(false))]
#[command(
    after_help = "Examples:\n  hearth sql -e \"select count(*) from tpch.sf0_01.orders\"\n  hearth sql --tables data/ -e \"select * from t limit 10\" --format csv -o t.csv\n  hearth sql --master hearth://127.0.0.1:7077 -f report.sql\n\nThe catalog tpch has the TPC-H tables at any scale: tpch.sf0_01.lineitem, tpch.sf1.orders, …"
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
    /// Register every Parquet, CSV or JSON file, or folder of parts, in DIR as a table of its name.
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
    #[command(flatten)]
    settings: settings::Args,
}

/// In local mode the other roles run in this process too; what goes wrong for a query the driver says for them.
const LOG: &str = "warn,hearth_master=error,hearth_worker=error,hearth_executor=error";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    logging::start(LOG);
    let conf = configuration(args)?;
    let text = sql_text(args)?;
    // What can be refused is refused before anybody's cores are taken.
    if let Some(dir) = args.tables.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(Failure::failed(format!("--tables {}: there is no such directory", dir.display())));
    }
    let target = Target::open(args.output.as_deref())?;
    super::runtime(2)?.block_on(async {
        let mut stop = Stop::listen()?;
        let context = tokio::select! {
            context = Context::connect(conf) => context.map_err(connect_failure)?,
            _ = stop.next() => return Err(Failure::interrupted()),
        };
        let done = tokio::select! {
            done = statements(args, &context, &text, target) => done,
            // Dropping the query cancels it; the context then says goodbye.
            _ = stop.next() => Err(Failure::interrupted()),
        };
        let (state, reason) = match &done {
            Ok(()) => (ApplicationState::Finished, ""),
            Err(failure) if failure.is_interruption() => (ApplicationState::Killed, failure.message.as_str()),
            Err(failure) => (ApplicationState::Failed, failure.message.as_str()),
        };
        tokio::select! {
            () = context.stop(state, reason) => done,
            // Asked again: children end with this process.
            _ = stop.next() => Err(Failure::interrupted()),
        }
    })
}

/// What no local mode can ever hold is a bad argument.
fn connect_failure(error: Error) -> Failure {
    match error {
        Error::NeverFits { .. } => Failure::usage(error),
        error => Failure::failed(error),
    }
}

/// What was asked for, else what the output file's name says.
fn format(args: &Args) -> Format {
    args.format.or_else(|| args.output.as_deref().and_then(Format::of_file)).unwrap_or_default()
}

fn sql_text(args: &Args) -> Result<String, Failure> {
    let (name, read) = match (&args.execute, &args.file) {
        (Some(text), _) => return Ok(text.clone()),
        (None, Some(path)) if path == Path::new("-") => ("standard input".to_owned(), read_bounded(io::stdin().lock())),
        (None, Some(path)) => (path.display().to_string(), fs::File::open(path).and_then(read_bounded)),
        (None, None) => return Err(Failure::usage("give the SQL to run with -e SQL or -f FILE")),
    };
    let bytes = read.map_err(|e| Failure::failed(format!("{name}: {e}")))?;
    if bytes.len() as u64 > MAX_SQL_BYTES {
        return Err(Failure::failed(format!("{name}: more than {} MiB of SQL", MAX_SQL_BYTES >> 20)));
    }
    String::from_utf8(bytes).map_err(|e| {
        Failure::failed(format!("{name}: not UTF-8 at byte {}; SQL text must be UTF-8", e.utf8_error().valid_up_to()))
    })
}

fn read_bounded(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_SQL_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
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

async fn statements(args: &Args, context: &Context, text: &str, mut target: Target) -> Result<(), Failure> {
    let statements = context.statements(text).map_err(Failure::failed)?;
    if statements.is_empty() {
        return Err(Failure::failed("there is no statement in the SQL text"));
    }
    if let Some(dir) = &args.tables {
        context.register_tables(dir).await.map_err(Failure::failed)?;
    }
    for statement in statements {
        one(args, context, &statement, &mut target).await?;
    }
    target.finish()
}

async fn one(
    args: &Args,
    context: &Context,
    statement: &hearth_plan::Statement,
    target: &mut Target,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut query = context.run(statement).await.map_err(Failure::failed)?;
    let bars = Bars::show(query.progress());
    let mut rows = 0;
    // A statement such as SET or CREATE VIEW has no columns: it prints nothing.
    if !query.schema().fields().is_empty() {
        let (name, reader_left) = (target.name(), target.reader_left());
        let writer = Writer::new(format(args), query.schema(), &mut target.stream);
        let mut writer = writer.map_err(|e| Target::failed(&name, &e))?;
        while let Some(batch) = query.next().await {
            let batch = batch.map_err(Failure::failed)?;
            rows += batch.num_rows();
            // Bars and rows share a terminal.
            bars.suspend(|| writer.write(&batch)).map_err(|e| Target::failed(&name, &e))?;
            if reader_left.load(Ordering::Relaxed) {
                // Nobody wants the rest: leaving here cancels the query.
                break;
            }
        }
        bars.finish();
        writer.finish().map_err(|e| Target::failed(&name, &e))?;
    }
    if args.verbose {
        for stage in query.stages() {
            output::remark(&format!("  {stage}"));
        }
        let s = if rows == 1 { "" } else { "s" };
        output::remark(&format!("{rows} row{s} in {:.3} s", begun.elapsed().as_secs_f64()));
    }
    Ok(())
}
