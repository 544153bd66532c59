//! Log lines to standard error, or above the prompt while somebody types.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError, mpsc::Sender},
};
use tracing_subscriber::EnvFilter;

/// Who prints lines above the prompt, while there is one.
static ABOVE: Mutex<Option<Sender<String>>> = Mutex::new(None);

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
        .with_writer(|| Lines)
        .with_ansi(io::stderr().is_terminal())
        .init();
    if let Some(bad) = bad {
        tracing::warn!("{bad}");
    }
}

/// From here on lines go to whoever prints them above the prompt; to standard error again with `None`.
pub(super) fn above_prompt(printer: Option<Sender<String>>) {
    *ABOVE.lock().unwrap_or_else(PoisonError::into_inner) = printer;
}

/// Where lines go; each comes in one piece.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let above = ABOVE.lock().unwrap_or_else(PoisonError::into_inner);
        let printed = above.as_ref().is_some_and(|to| to.send(String::from_utf8_lossy(line).into_owned()).is_ok());
        if !printed {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
