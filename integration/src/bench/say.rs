//! The two standard streams: figures go to standard output, everything else to standard error.

use std::io::{self, Write};

/// Prints figures. A reader that went away does not stop a run, whose files are still to be written.
pub(crate) fn figures(text: &str) {
    let _ = write!(io::stdout().lock(), "{text}");
}

/// Tells the user how it goes.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
