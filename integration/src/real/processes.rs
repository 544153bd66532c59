//! Processes as the system sees them: to find children that are nobody's to name, and to kill them.

use rustix::process::{Pid, Signal, kill_process};
use std::{fs, path::Path};

/// A process of the binary under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its arguments, such as `hearth executor app-… 0`.
    pub command: String,
    /// Resident memory in KiB.
    pub resident_kib: u64,
}

impl Process {
    /// All living processes that run in `dir` or name it in their arguments, and are of the binary under test.
    pub fn below(dir: &Path) -> Vec<Self> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
            let proc = entry.path();
            // A process may end while it is looked at; then it is not found.
            let Ok(arguments) = fs::read(proc.join("cmdline")) else { continue };
            let command = String::from_utf8_lossy(&arguments).replace('\0', " ").trim_end().to_owned();
            if command.is_empty() || !command.split(' ').next().is_some_and(|p| p.ends_with("hearth")) {
                continue;
            }
            let there = fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
            if there || command.contains(&*dir.to_string_lossy()) {
                found.push(Self { pid, command, resident_kib: resident_kib(pid) });
            }
        }
        found.sort_by_key(|p| p.pid);
        found
    }
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Sends a signal to one process that a test started (or a child of one).
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    // It may have ended in between.
    let _ = kill_process(pid, signal);
}
