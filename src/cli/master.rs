//! `hearth master`: the daemon that tracks workers and gives their cores to applications.

use super::{Failure, logging, output, settings, signals::Stop};
use hearth_master::{
    machine::MasterOptions,
    shell::{Error, MasterServiceOptions, start},
};
use std::path::PathBuf;

/// Run the master: it tracks workers and gives their cores to applications.
///
/// Prints `master URL` and `webui URL` to standard output when it is ready; logs to standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The address to listen on. Loopback only: nothing is authenticated yet.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port for workers and drivers; 0 takes a free one.
    #[arg(long, short, default_value_t = 7077)]
    port: u16,
    /// The port for HTTP (/healthz, /json/, /metrics); 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    webui_port: u16,
    /// Where to keep the journal. Without it nothing is kept.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    settings: settings::Args,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    logging::start("info");
    let conf = args.settings.load(Vec::new())?;
    super::runtime(2)?.block_on(async {
        let mut stop = Stop::listen()?;
        let master = start(MasterServiceOptions {
            host: args.host.clone(),
            port: args.port,
            webui_port: args.webui_port,
            state_dir: args.state_dir.clone(),
            machine: MasterOptions::from_conf(&conf),
        })
        .await
        .map_err(failure)?;
        output::line(&format!("master {}", master.url()))?;
        let host = master.url().trim_start_matches("hearth://").rsplit_once(':').map_or("", |(host, _)| host);
        output::line(&format!("webui http://{host}:{}", master.webui_port().unwrap_or_default()))?;
        tokio::select! {
            end = master.stopped() => end.map_err(Failure::failed),
            signal = stop.next() => {
                tracing::info!("{signal}: the master stops; workers and applications look for one again");
                master.shutdown().await;
                Ok(())
            }
        }
    })
}

/// A flag's value that cannot be is a bad argument; everything else is a failure.
fn failure(error: Error) -> Failure {
    match error {
        Error::NotLoopback { .. } => Failure::usage(error),
        _ => Failure::failed(error),
    }
}
