//! How a child ended.

use crate::MemoryEnd;
use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code, or 128 and the signal's number, as shells count.
    pub exit_code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// How long it lived.
    pub wall: Duration,
    /// For people: `Exited with error status 3`, `Caught fatal signal 9`.
    pub message: String,
    /// The end of its standard error (4 KiB at most).
    pub tail: String,
    /// Whether its parent had told it to end, softly or not.
    pub asked: bool,
    /// What memory it had.
    pub memory: MemoryEnd,
}

impl Outcome {
    pub(crate) fn new(
        status: io::Result<ExitStatus>,
        wall: Duration,
        tail: String,
        asked: bool,
        memory: MemoryEnd,
    ) -> Self {
        let (exit_code, signal, message) = match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(0), _) => (0, None, "Exited".to_owned()),
                (Some(code), _) => (code, None, format!("Exited with error status {code}")),
                (None, Some(signal)) => (128 + signal, Some(signal), format!("Caught fatal signal {signal}")),
                // Neither exited nor signalled: the system reports that only of children that are stopped.
                (None, None) => (1, None, format!("Ended with wait status {status}")),
            },
            Err(error) => (1, None, format!("Its end could not be awaited: {error}")),
        };
        Self { exit_code, signal, wall, message, tail, asked, memory }
    }
}
