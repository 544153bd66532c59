//! What to start, and how.

use crate::{LaunchError, Running};
use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};
use tokio::process::Command;

/// Variables that a child inherits when they are set: what programs need to run at all, and what asks them to say more.
const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "TMPDIR", "RUST_LOG", "RUST_BACKTRACE"];

/// How a child is confined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Not at all: it is as trusted as its parent.
    #[default]
    Plain,
}

/// A log that rotates by size: `stderr`, and older parts `stderr.1` (the youngest), `stderr.2`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Where; appended to when it is there.
    pub path: PathBuf,
    /// Bytes after which a new part begins; at least 1.
    pub max_size: u64,
    /// How many older parts are kept.
    pub retained: u32,
}

/// One child process to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments, without its name. Everybody on the machine can read them: no secrets.
    pub args: Vec<OsString>,
    /// Its environment, beside `PATH`, `HOME`, `LANG`, `TMPDIR`, `RUST_LOG` and `RUST_BACKTRACE`, which it inherits.
    pub env: Vec<(OsString, OsString)>,
    /// The directory it runs in.
    pub cwd: PathBuf,
    /// The first line of its standard input, without the line's end. The pipe then stays open as the lifeline.
    pub first_line: Option<Vec<u8>>,
    /// Where its standard output goes.
    pub stdout: LogFile,
    /// Where its standard error goes.
    pub stderr: LogFile,
    /// How it is confined.
    pub profile: Profile,
}

impl Launch {
    /// Starts the child. Must be called on a tokio runtime.
    pub fn start(self) -> Result<Running, LaunchError> {
        Running::start(self)
    }

    /// The command, without its pipes.
    pub(crate) fn command(&self) -> Command {
        let inherited = INHERITED.iter().filter_map(|name| Some((OsStr::new(name), std::env::var_os(name)?)));
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(inherited)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.cwd);
        match self.profile {
            Profile::Plain => command.process_group(0).kill_on_drop(true),
        };
        command
    }
}
