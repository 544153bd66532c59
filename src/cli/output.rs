//! The two standard streams.

use super::Failure;
use std::io::{self, Write};

/// Prints a line of data. A reader that went away (`| head`) is not a failure.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(format!("standard output: {e}"))),
        _ => Ok(()),
    }
}

/// Tells the user what went wrong.
pub(crate) fn complain(text: &str) {
    // There is nobody to tell when standard error is gone.
    let _ = writeln!(io::stderr().lock(), "hearth: {text}");
}

/// Tells the user something that is not data.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
