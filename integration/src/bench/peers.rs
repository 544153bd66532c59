//! Other engines: where they come from, and how they are started.

use crate::{
    failure::{Doing, Failure},
    say,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// An engine from PyPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// Apache Spark as a standalone cluster on loopback: a master, and workers of one core.
    Spark,
    /// Sail, in its cluster mode: a server and workers of one task slot.
    Sail,
    /// DuckDB, in one process.
    Duckdb,
}

impl Peer {
    /// What tables and `peer.py` call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Spark => "spark",
            Self::Sail => "sail",
            Self::Duckdb => "duckdb",
        }
    }

    /// What is installed. Versions are fixed, so that figures of two days can be compared.
    const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Spark => &["pyspark==4.3.0"],
            Self::Sail => &["pysail==0.7.2", "pyspark-client==4.2.0"],
            Self::Duckdb => &["duckdb==2.0.0"],
        }
    }

    /// Its Python, in a virtual environment of its own, made on first use.
    pub(crate) async fn python(self, cache: &Path) -> Result<PathBuf, Failure> {
        let dir = cache.join(format!("venv-{}", self.name()));
        let (python, installed) = (dir.join("bin/python"), dir.join("installed"));
        let packages = self.packages().join(" ");
        // Written last: an installation that was broken off, or is of other versions, is made anew.
        if fs::read_to_string(&installed).is_ok_and(|found| found.trim() == packages) {
            return Ok(python);
        }
        say::remark(&format!("installing {packages} into {} (once; up to some hundred MB)", dir.display()));
        if dir.exists() {
            fs::remove_dir_all(&dir).doing(dir.display())?;
        }
        fs::create_dir_all(cache).doing(cache.display())?;
        finish(Command::new("python3").args(["-m", "venv"]).arg(&dir)).await?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        finish(Command::new(&python).args(pip).args(self.packages())).await?;
        fs::write(&installed, packages).doing(installed.display())?;
        Ok(python)
    }

    /// The command that runs it.
    pub(crate) fn command(self, python: &Path) -> Command {
        let mut command = Command::new(python);
        // Unbuffered: each line is an answer that somebody waits for.
        command.arg("-u").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bench/peer.py"));
        command
    }
}

/// Runs a command to its end; ends it when nobody waits for that any more.
async fn finish(command: &mut Command) -> Result<(), Failure> {
    let name = format!("{:?}", command.as_std());
    let done = command.stdin(Stdio::null()).kill_on_drop(true).output().await.doing(&name)?;
    match done.status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("{name}: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr)))),
    }
}
