//! What machines have and processes take.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Cores and memory: of a machine, free on it, or taken by one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// Task slots. Not pinned to processors.
    pub cores: u32,
    /// Memory in MiB, the unit of placement.
    pub memory_mib: u64,
}

impl Resources {
    /// `cores` cores and `memory_mib` MiB.
    pub const fn new(cores: u32, memory_mib: u64) -> Self {
        Self { cores, memory_mib }
    }

    /// Whether `other` fits into this.
    pub const fn fits(&self, other: &Self) -> bool {
        self.cores >= other.cores && self.memory_mib >= other.memory_mib
    }

    /// This without `other`, or nothing when that does not fit.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Option<Self> {
        Some(Self {
            cores: self.cores.checked_sub(other.cores)?,
            memory_mib: self.memory_mib.checked_sub(other.memory_mib)?,
        })
    }

    /// This and `other`.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            cores: self.cores.saturating_add(other.cores),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
        }
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} core{}, {} MiB", self.cores, if self.cores == 1 { "" } else { "s" }, self.memory_mib)
    }
}

/// What a worker says about itself beyond cores and memory: a multimap.
pub type Labels = BTreeMap<String, Vec<String>>;
