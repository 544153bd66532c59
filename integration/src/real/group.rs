//! A control group of little memory.

use super::disk::may_set_up;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Where the kernel has control groups: those of memory in the first version, all in the second.
const FIRST: &str = "/sys/fs/cgroup/memory";
const SECOND: &str = "/sys/fs/cgroup";

/// A control group whose processes may have so much memory, for as long as this lives.
#[derive(Debug)]
pub struct SmallGroup(PathBuf);

impl SmallGroup {
    /// Makes one. Nothing when this process is not root, or it was said that such things are not to be had here, as for
    /// [`SmallDisk`](super::SmallDisk).
    ///
    /// # Panics
    /// When root cannot make one, unless it was said: a test that checks nothing must not pass in silence.
    pub fn make(mib: u64) -> Option<Self> {
        static GROUPS: AtomicU32 = AtomicU32::new(0);
        if !may_set_up() {
            return None;
        }
        let number = GROUPS.fetch_add(1, Ordering::Relaxed);
        let name = format!("hearth-test-{}-{number}", process::id());
        let (root, limit) =
            if Path::new(FIRST).is_dir() { (FIRST, "memory.limit_in_bytes") } else { (SECOND, "memory.max") };
        let group = Self(Path::new(root).join(name));
        let made = fs::create_dir(&group.0).and_then(|()| fs::write(group.0.join(limit), (mib << 20).to_string()));
        let skip = super::disk::SKIP;
        made.unwrap_or_else(|e: io::Error| {
            panic!(
                "cannot make the control group {} ({e}); where they are not allowed, set {skip}=1",
                group.0.display()
            )
        });
        // Where there is swap, the kernel would take that first.
        let _ = fs::write(group.0.join("memory.swap.max"), "0");
        let _ = fs::write(group.0.join("memory.swappiness"), "0");
        Some(group)
    }

    /// Puts a process into it. What it has already does not count.
    pub fn take(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("a living process");
    }
}

impl Drop for SmallGroup {
    fn drop(&mut self) {
        // Of the dead nobody is left in it.
        let _ = fs::remove_dir(&self.0);
    }
}
