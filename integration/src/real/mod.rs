//! Real processes of the real binary, on free loopback ports, in temporary directories, leaving nothing behind.
//!
//! A test waits for lines that daemons print and for states that the master reports, never for a time. What a wait is
//! bounded by is [`PATIENCE`]: far above what anything here takes, so that a slow machine is not a failing test.

mod blocks;
pub mod chaos;
mod cluster;
mod daemon;
mod disk;
mod group;
mod processes;
pub mod proxy;
#[cfg(feature = "sql")]
pub mod s3;

pub use blocks::Traffic;
pub use cluster::{ClusterOptions, TestCluster};
pub use daemon::{Daemon, Run, run, run_command};
pub use disk::SmallDisk;
pub use group::SmallGroup;
pub use processes::{Process, signal};
#[cfg(feature = "sql")]
pub use s3::S3Server;

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test: `HEARTH_BIN`, or the one that was built beside this test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HEARTH_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    let built = test.ancestors().nth(2).expect("tests lie in target/PROFILE/deps").join("hearth");
    assert!(built.exists(), "{} is missing: run `cargo build` first", built.display());
    built
}

/// The binary, with an environment that does not depend on who runs the test.
pub fn hearth() -> Command {
    let mut command = Command::new(binary());
    command.env_remove("RUST_LOG").env("RUST_BACKTRACE", "0");
    command
}

/// Asks `probe` again and again until it has an answer; panics with `what` when it never has.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "in {PATIENCE:?} this did not happen: {what}");
        // The state of another process can only be polled.
        std::thread::sleep(Duration::from_millis(20));
    }
}
