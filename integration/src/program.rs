//! The `hearth` that was built beside a program of this crate.

use std::{ffi::OsString, io, io::Write, os::unix::process::CommandExt, path::PathBuf, process::ExitCode};

/// A cluster of one's own (`local-cluster[…]`) starts its children from the program that it is part of. Where that is this
/// one, it becomes `hearth`; to be asked before anything else, as what follows are `hearth`'s arguments. Gives nothing when
/// this is no such child.
pub fn become_hearth() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().filter(|first| first == "executor" || first == "blocks")?;
    let why = match hearth_binary() {
        Ok(hearth) => exec(&hearth, command, arguments),
        Err(why) => why,
    };
    let _ = writeln!(io::stderr(), "{why}");
    Some(ExitCode::FAILURE)
}

/// Says why, if it comes back.
fn exec(hearth: &PathBuf, command: OsString, arguments: impl Iterator<Item = OsString>) -> String {
    let error = std::process::Command::new(hearth).arg(command).args(arguments).exec();
    format!("{}: {error}", hearth.display())
}

/// The binary that is measured or tested: `HEARTH_BIN`, or the one that was built beside this program.
pub fn hearth_binary() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("HEARTH_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().map_err(|e| format!("this program's own path is not known: {e}"))?;
    let beside = own.with_file_name("hearth");
    match beside.exists() {
        true => Ok(beside),
        false => {
            Err(format!("{} is missing: build it with the same profile, or name one in HEARTH_BIN", beside.display()))
        }
    }
}
