//! A disk that is soon full.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A file system of a few MiB in memory, for as long as this lives.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at `dir`, which must be there. Nothing when this process may not mount.
    pub fn mount(dir: &Path, mib: u32) -> Option<Self> {
        let size = format!("size={mib}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(dir.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that a failed test left behind may still use it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
