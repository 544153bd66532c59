//! What figures were measured on.

use serde::Serialize;
use std::{fs, thread};

/// The machine, and how much of it others held when the run began.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) processor: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// MiB of memory.
    pub(crate) memory_mib: u64,
    /// Processes that ran or waited for a core on average, over the last minute before the run.
    pub(crate) load: f64,
}

/// A load from which on figures are not worth keeping.
const BUSY: f64 = 0.5;

impl Machine {
    /// This one, now.
    pub(crate) fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_start_matches([' ', '\t', ':']).to_owned()
        };
        let memory = after(&read("/proc/meminfo"), "MemTotal");
        let load = read("/proc/loadavg");
        Self {
            processor: after(&read("/proc/cpuinfo"), "model name"),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() >> 10,
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }

    /// Whether others were at work.
    pub(crate) fn is_busy(&self) -> bool {
        self.load > BUSY
    }
}
