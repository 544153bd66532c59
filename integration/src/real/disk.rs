//! A disk that is soon full.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Set to 1 where root may not mount or make control groups, such as in a container without those capabilities.
pub(super) const SKIP: &str = "HEARTH_SKIP_MOUNT_TESTS";

/// Whether this process is to set up what only root can.
pub(super) fn may_set_up() -> bool {
    std::env::var_os(SKIP).is_none_or(|value| value != "1") && rustix::process::geteuid().is_root()
}

/// A file system of a few MiB in memory, for as long as this lives.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at `dir`, which must be there. Nothing when this process is not root, or `HEARTH_SKIP_MOUNT_TESTS=1`
    /// says that mounts are not to be had here.
    ///
    /// # Panics
    /// When root cannot mount, unless it was said: a test that checks nothing must not pass in silence.
    pub fn mount(dir: &Path, mib: u32) -> Option<Self> {
        if !may_set_up() {
            return None;
        }
        let size = format!("size={mib}m");
        let done =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir).stdin(Stdio::null()).output();
        let said = match done {
            Ok(done) if done.status.success() => return Some(Self(dir.to_owned())),
            Ok(done) => String::from_utf8_lossy(&done.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        panic!("cannot mount a small file system ({}); where mounts are not allowed, set {SKIP}=1", said.trim());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that a failed test left behind may still use it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
