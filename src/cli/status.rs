//! `hearth status`: what a master has.

use super::{Failure, flags, output};
use hearth::client::MasterClient;
use hearth_core::{
    conf::master_url::MasterUrl,
    messages::status::{ApplicationView, ClusterView},
};
use std::fmt::Write;

/// Show a master's workers and applications.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The master, such as hearth://127.0.0.1:7077.
    #[arg(long, value_name = "URL", default_value = flags::DEFAULT_MASTER, value_parser = flags::master_url)]
    master: MasterUrl,
    /// Print one JSON document instead.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let view = super::runtime(1)?.block_on(async {
        MasterClient::connect(&flags::cluster("--master", &args.master)?)
            .await
            .map_err(Failure::failed)?
            .status()
            .await
            .map_err(Failure::failed)
    })?;
    if args.json {
        let json = serde_json::to_string_pretty(&view).map_err(Failure::failed)?;
        return output::line(&json);
    }
    output::line(table(&view).trim_end())
}

fn table(view: &ClusterView) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}  {}  version {}", view.url, view.state, view.version);
    let mut workers = flags::table(&["worker", "state", "cores used", "memory used (MiB)", "address"]);
    for w in &view.workers {
        workers.add_row([
            w.id.to_string(),
            w.state.to_string(),
            format!("{} of {}", w.used.cores, w.total.cores),
            format!("{} of {}", w.used.memory_mib, w.total.memory_mib),
            format!("{}:{}", w.host, w.port),
        ]);
    }
    let _ = writeln!(out, "\n{} workers\n{workers}", view.workers.len());
    for (what, list) in [("active", &view.active), ("completed", &view.completed)] {
        let _ = writeln!(out, "\n{} {what} applications", list.len());
        if !list.is_empty() {
            let _ = writeln!(out, "{}", applications(list));
        }
    }
    for app in view.active.iter().filter(|a| a.waiting.is_some()) {
        let _ = writeln!(out, "\n{} waits: {}", app.id, app.waiting.as_deref().unwrap_or_default());
    }
    out
}

fn applications(list: &[ApplicationView]) -> comfy_table::Table {
    let mut table =
        flags::table(&["application", "name", "user", "state", "executors", "cores", "submitted", "seconds"]);
    for a in list {
        table.add_row([
            a.id.to_string(),
            flags::printable(&a.name),
            flags::printable(&a.user),
            a.state.to_string(),
            a.executors.len().to_string(),
            a.cores.to_string(),
            a.submitted.to_string(),
            format!("{:.1}", std::time::Duration::from_millis(a.duration_millis).as_secs_f64()),
        ]);
    }
    table
}
