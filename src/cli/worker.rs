//! `hearth worker`: the daemon that offers this machine to a master.

use super::{Failure, flags, logging, output, settings, signals::Stop};
use hearth_core::{
    Labels, Resources,
    conf::{keys, master_url::MasterUrl},
};
use hearth_worker::shell::{GrpcDial, ProcessLauncher, ProcessOptions, Worker, WorkerError, WorkerOptions};
use std::{ffi::OsString, path::PathBuf, sync::Arc};

/// Run a worker: it offers this machine's cores and memory to a master.
///
/// Prints `registered ID` to standard output whenever a master has taken it; logs to standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The master, such as hearth://127.0.0.1:7077.
    #[arg(value_name = "URL", value_parser = flags::master_url)]
    master: MasterUrl,
    /// Cores to offer. Default: all that this process may use.
    #[arg(long, short, value_name = "N", value_parser = flags::positive, allow_hyphen_values = true)]
    cores: Option<u32>,
    /// Memory to offer, such as 4g. Default: all but 1 GiB.
    #[arg(long, short, value_name = "SIZE", value_parser = flags::memory_mib, allow_hyphen_values = true)]
    memory: Option<u64>,
    /// Where executors' logs and shuffle files go; one worker a directory. The directories of the variable SPARK_LOCAL_DIRS, with
    /// commas between them, take the shuffle files and scratch instead.
    #[arg(long, short = 'd', value_name = "DIR", default_value = "work")]
    work_dir: PathBuf,
    /// Something this machine says about itself; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = flags::pair)]
    label: Vec<(String, String)>,
    /// The address that others know this machine by, and that the block service and executors listen on. Loopback only: nothing
    /// is authenticated yet.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The address that the block service listens on, when others reach it by another one. Default: that of --host.
    #[arg(long, value_name = "HOST")]
    bind: Option<String>,
    /// The block service's port; 0 takes a free one.
    #[arg(long, short, default_value_t = 0)]
    port: u16,
    #[command(flatten)]
    settings: settings::Args,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    logging::start("info");
    let conf = args.settings.load(Vec::new())?;
    let masters = flags::cluster("URL", &args.master)?;
    let program = std::env::current_exe().map_err(|e| Failure::failed(format!("this program's own path: {e}")))?;
    let mut options = WorkerOptions::from_conf(&conf);
    let Resources { cores, memory_mib } = options.resources;
    options.resources = Resources::new(args.cores.unwrap_or(cores), args.memory.unwrap_or(memory_mib));
    options.host.clone_from(&args.host);
    options.bind.clone_from(&args.bind);
    options.port = args.port;
    options.labels = labels(&args.label);
    options.work_dir.clone_from(&args.work_dir);
    options.local_dirs = local_dirs(std::env::var_os(LOCAL_DIRS))?;
    let launcher = ProcessLauncher::new(ProcessOptions::from_conf(program, &conf));
    let code = super::runtime(2)?.block_on(async {
        let mut stop = Stop::listen()?;
        let mut worker =
            Worker::start(options, Arc::new(GrpcDial::new(masters)), Arc::new(launcher)).map_err(failure)?;
        let mut registered = worker.registered();
        loop {
            tokio::select! {
                code = worker.wait() => return Ok(code),
                Ok(()) = registered.changed() => output::line(&format!("registered {}", worker.worker_id))?,
                signal = stop.next() => worker.stop(signal.to_string()),
            }
        }
    })?;
    match code {
        0 => Ok(()),
        code => Err(Failure {
            code: u8::try_from(code).unwrap_or(1),
            message: "the worker gave up; its log says why".into(),
        }),
    }
}

/// The variable in which Spark's workers find their disks.
const LOCAL_DIRS: &str = "SPARK_LOCAL_DIRS";

fn local_dirs(value: Option<OsString>) -> Result<Vec<PathBuf>, Failure> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(Vec::new()) };
    let text = value.to_string_lossy();
    let dirs = keys::LOCAL_DIR.parse(&text);
    dirs.map_err(|expected| Failure::usage(format!("{LOCAL_DIRS}={text:?}: expected {expected}")))
}

fn labels(pairs: &[(String, String)]) -> Labels {
    let mut labels = Labels::new();
    for (key, value) in pairs {
        labels.entry(key.clone()).or_default().push(value.clone());
    }
    labels
}

/// A flag's value that cannot be is a bad argument; everything else is a failure.
fn failure(error: WorkerError) -> Failure {
    match error {
        WorkerError::NotLoopback { .. } | WorkerError::NoResources(_) => Failure::usage(error),
        _ => Failure::failed(error),
    }
}
