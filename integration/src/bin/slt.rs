//! Runs sqllogictest files on Hearth, or on plain DataFusion for comparison.
#![allow(rustdoc::broken_intra_doc_links, reason = "help texts speak of local[N]")]

use clap::{Parser, ValueEnum};
use futures::{StreamExt, stream};
use hearth::Conf;
use hearth_integration::{
    program::become_hearth,
    slt::{Errors, FileReport, Options, Report, Scratch, Start, run_file},
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

/// Runs sqllogictest files (.slt) on Hearth, or on plain DataFusion for comparison. Exits with 1 when a record fails, with 2 when
/// there is nothing to run.
#[derive(Debug, Parser)]
#[command(name = "slt")]
struct Arguments {
    /// Files, or folders of .slt files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where Hearth runs: local[N], local-cluster[WORKERS,CORES,MEMORY_MIB], hearth://HOST:PORT.
    #[arg(long, default_value = "local[2]")]
    master: String,
    /// What runs the records.
    #[arg(long, value_enum, default_value_t = Kind::Hearth)]
    engine: Kind,
    /// Partitions of an exchange; DataFusion's own files are written for 4.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    partitions: u32,
    /// More configuration, as KEY=VALUE.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    conf: Vec<(String, String)>,
    /// Files that run at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Seconds that one statement may take.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    /// Compares the words of expected errors too.
    #[arg(long)]
    compare_errors: bool,
    /// Skips EXPLAIN: Hearth's plans have exchanges of their own.
    #[arg(long)]
    no_explain: bool,
    /// A folder in which each file finds an empty one of its own name, or of its path where several have that name; what is
    /// in these is removed. DIR has to be new, empty, or one that an earlier run made so. DataFusion's files that write want
    /// `test_files/scratch` where they run.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Prints each failed record with all it says, instead of one line.
    #[arg(long)]
    details: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Hearth,
    Datafusion,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err(format!("{text:?} is not KEY=VALUE")),
    }
}

fn main() -> ExitCode {
    if let Some(code) = become_hearth() {
        return code;
    }
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            let _ = writeln!(io::stderr(), "slt: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let mut files = Vec::new();
    for path in &arguments.files {
        find(path, &mut files).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if files.is_empty() {
        return Err("no .slt file there".into());
    }
    let options = Arc::new(options(arguments, &files)?);
    // Plain DataFusion plans on these threads, which takes much stack in a dev build.
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_stack_size(32 << 20).enable_all().build();
    let runtime = runtime.map_err(|e| format!("no threads: {e}"))?;
    let mut report = Report::default();
    let print = |text: &str| writeln!(io::stdout(), "{text}").map_err(|e| format!("standard output: {e}"));
    runtime.block_on(async {
        let run = files.into_iter().map(|path| {
            let options = Arc::clone(&options);
            let name = path.display().to_string();
            async move {
                tokio::spawn(async move { run_file(&path, &options).await }).await.map_err(|e| format!("{name}: {e}"))
            }
        });
        let mut done = stream::iter(run).buffered(usize::from(arguments.jobs));
        while let Some(file) = done.next().await {
            let file = file?;
            print(&shown(&file, arguments.details))?;
            report.add(file);
        }
        Ok::<_, String>(())
    })?;
    print(&format!("{report}"))?;
    Ok(report.is_ok())
}

fn options(arguments: &Arguments, files: &[PathBuf]) -> Result<Options, String> {
    let start = match arguments.engine {
        Kind::Datafusion => Start::DataFusion(arguments.partitions as usize),
        Kind::Hearth => {
            let mut conf = Conf::new();
            let partitions = arguments.partitions.to_string();
            let own = [("spark.master", &*arguments.master), ("spark.sql.shuffle.partitions", &partitions)];
            let more = arguments.conf.iter().map(|(key, value)| (&**key, &**value));
            for (key, value) in own.into_iter().chain(more) {
                conf.set(key, value).map_err(|e| e.to_string())?;
            }
            Start::Hearth(Box::new(conf))
        }
    };
    Ok(Options {
        start,
        errors: if arguments.compare_errors { Errors::Compare } else { Errors::Any },
        explain: !arguments.no_explain,
        patience: Duration::from_secs(arguments.timeout),
        scratch: arguments.scratch.as_deref().map(|dir| Scratch::take(dir, files)).transpose()?,
    })
}

/// A file, or all .slt files below a folder, sorted.
fn find(path: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        // That it is there is worth knowing before anything runs.
        std::fs::metadata(path)?;
        into.push(path.to_owned());
        return Ok(());
    }
    let mut entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "slt") {
            find(&entry, into)?;
        }
    }
    Ok(())
}

fn shown(file: &FileReport, details: bool) -> String {
    let mut text = file.to_string();
    for problem in &file.problems {
        text.push_str(&format!("\n  {}: {}", problem.place, problem.reason));
        if details {
            text.push_str(&format!("\n    {}", problem.text.trim_end().replace('\n', "\n    ")));
        }
    }
    text
}
