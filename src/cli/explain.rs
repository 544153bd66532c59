//! `hearth explain ID`: why something is as it is.

use super::{Failure, flags, output};
use hearth::client::MasterClient;
use hearth_core::conf::master_url::MasterUrl;

/// Say why an application, a worker or an executor is as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An application, a worker, or an executor as APPLICATION/EXECUTOR.
    id: String,
    /// The master, such as hearth://127.0.0.1:7077.
    #[arg(long, value_name = "URL", default_value = flags::DEFAULT_MASTER, value_parser = flags::master_url)]
    master: MasterUrl,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let text = super::runtime(1)?.block_on(async {
        let master =
            MasterClient::connect(&flags::cluster("--master", &args.master)?).await.map_err(Failure::failed)?;
        master.explain(&args.id).await.map_err(Failure::failed)
    })?;
    output::line(text.trim_end())
}
