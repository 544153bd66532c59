//! `bench guard`: ends daemons whose run was killed and could not end them itself.
//!
//! A daemon does not look at its standard input, so it has no lifeline of its own. This process has: each line that it reads
//! is the process group of a daemon, and when its input ends without [`OVER`], whoever started them is gone.

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::{
    io::{self, BufRead},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// What the last line says of a run that ended its daemons.
pub(crate) const OVER: &str = "over";

/// How long daemons may take to say goodbye before they are killed.
const GOODBYE: Duration = Duration::from_secs(10);

/// Reads groups until standard input ends.
pub(crate) fn run() -> ExitCode {
    let mut groups = Vec::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        if line == OVER {
            return ExitCode::SUCCESS;
        }
        groups.extend(line.parse().ok().and_then(Pid::from_raw));
    }
    for signal in [Signal::TERM, Signal::KILL] {
        // Workers, which were started last, can so say goodbye to their master.
        for &group in groups.iter().rev() {
            // Nobody may be left in it.
            let _ = kill_process_group(group, signal);
        }
        let begun = Instant::now();
        while begun.elapsed() < GOODBYE && groups.iter().any(|&group| test_kill_process_group(group).is_ok()) {
            thread::sleep(Duration::from_millis(50));
        }
    }
    ExitCode::SUCCESS
}
