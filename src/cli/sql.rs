//! `hearth sql`: run SQL on a cluster, or on this machine.

use super::{Failure, flags, logging, output, progress::Bars, settings, signals::Stop};
use hearth::{ApplicationState, Context};
use hearth_core::conf::{Conf, master_url::MasterUrl};
use hearth_plan::format::{Format, Writer};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = FormatArg::Table)]
    format: FormatArg,
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

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatArg {
    /// A table for people.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    Ndjson,
}

impl From<FormatArg> for Format {
    fn from(arg: FormatArg) -> Self {
        match arg {
            FormatArg::Table => Self::Table,
            FormatArg::Csv => Self::Csv,
            FormatArg::Json => Self::Json,
            FormatArg::Ndjson => Self::Ndjson,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    logging::start("warn");
    let conf = configuration(args)?;
    let text = sql_text(args)?;
    super::runtime(2)?.block_on(async {
        let mut stop = Stop::listen()?;
        let context = tokio::select! {
            context = Context::connect(conf) => context.map_err(Failure::failed)?,
            _ = stop.next() => return Err(Failure::interrupted()),
        };
        let done = tokio::select! {
            done = statements(args, &context, &text) => done,
            // Dropping the query cancels it; the context then says goodbye.
            _ = stop.next() => Err(Failure::interrupted()),
        };
        let (state, reason) = match &done {
            Ok(()) => (ApplicationState::Finished, ""),
            Err(failure) if failure.is_interruption() => (ApplicationState::Killed, failure.message.as_str()),
            Err(failure) => (ApplicationState::Failed, failure.message.as_str()),
        };
        context.stop(state, reason).await;
        done
    })
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
    io::Read::read_to_end(&mut io::Read::take(from, MAX_SQL_BYTES + 1), &mut bytes)?;
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

async fn statements(args: &Args, context: &Context, text: &str) -> Result<(), Failure> {
    if let Some(dir) = &args.tables {
        context.register_tables(dir).await.map_err(Failure::failed)?;
    }
    let statements = context.statements(text).map_err(Failure::failed)?;
    if statements.is_empty() {
        return Err(Failure::failed("there is no statement in the SQL text"));
    }
    let mut target = Target::open(args.output.as_deref())?;
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
        let mut writer = Writer::new(args.format.into(), query.schema(), &mut target.stream);
        while let Some(batch) = query.next().await {
            let batch = batch.map_err(Failure::failed)?;
            rows += batch.num_rows();
            // Bars and rows share a terminal.
            bars.suspend(|| writer.write(&batch)).map_err(|e| target_error(args, &e))?;
            if target.reader_left.load(Ordering::Relaxed) {
                // Nobody wants the rest: leaving here cancels the query.
                break;
            }
        }
        bars.finish();
        writer.finish().map_err(|e| target_error(args, &e))?;
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

fn target_error(args: &Args, error: &dyn std::fmt::Display) -> Failure {
    match &args.output {
        Some(path) => Failure::failed(format!("{}: {error}", path.display())),
        None => Failure::failed(format!("standard output: {error}")),
    }
}

/// Where rows go. A file gets its name only when all rows are in it.
struct Target {
    stream: Box<dyn Write + Send>,
    /// The reader of standard output went away.
    reader_left: Arc<AtomicBool>,
    file: Option<(tempfile::TempPath, PathBuf)>,
}

impl Target {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            let reader_left = Arc::new(AtomicBool::new(false));
            let stdout = Quiet { stdout: io::stdout(), reader_left: Arc::clone(&reader_left) };
            return Ok(Self { stream: Box::new(io::BufWriter::new(stdout)), reader_left, file: None });
        };
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let temporary = tempfile::Builder::new()
            .prefix(".hearth-")
            // What any new file gets, less the umask; a temporary file's default hides it from everybody else.
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(dir)
            .map_err(|e| Failure::failed(format!("-o {}: {e}", path.display())))?;
        let (file, temporary) = temporary.into_parts();
        Ok(Self {
            stream: Box::new(io::BufWriter::new(file)),
            reader_left: Arc::default(),
            file: Some((temporary, path.to_owned())),
        })
    }

    fn finish(mut self) -> Result<(), Failure> {
        let name = self.file.as_ref().map_or_else(|| "standard output".to_owned(), |(_, p)| p.display().to_string());
        self.stream.flush().map_err(|e| Failure::failed(format!("{name}: {e}")))?;
        if let Some((temporary, path)) = self.file {
            temporary.persist(&path).map_err(|e| Failure::failed(format!("{name}: {e}")))?;
        }
        Ok(())
    }
}

/// Standard output whose reader may go away (`| head`) without that being a failure.
struct Quiet {
    stdout: io::Stdout,
    reader_left: Arc<AtomicBool>,
}

impl Quiet {
    /// What was done, or nothing in its stead once the reader is gone.
    fn unless_left<T>(&self, done: io::Result<T>, nothing: T) -> io::Result<T> {
        match done {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_left.store(true, Ordering::Relaxed);
                Ok(nothing)
            }
            done => done,
        }
    }
}

impl Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = self.stdout.write(bytes);
        self.unless_left(done, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.stdout.flush();
        self.unless_left(done, ())
    }
}
