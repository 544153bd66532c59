//! Log lines to standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging at `default`, or as `RUST_LOG` says.
pub(crate) fn start(default: &str) {
    let (filter, bad) = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(default), Some(format!("RUST_LOG={text:?} is ignored: {error}"))),
        },
        _ => (EnvFilter::new(default), None),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if let Some(bad) = bad {
        tracing::warn!("{bad}");
    }
}
