//! The directories that files are spread over.
//!
//! What holds:
//! - A directory in which a file could not be made or written is left out for a minute, so that the next attempt takes another.
//!   With no other it is tried again at once.
//! - Where less than the reserve is free no file is begun: a disk that is full to the brim fails everybody who uses it. What
//!   was begun is written on.

use hearth_core::messages::task::TaskFailure;
use rustix::fs::statvfs;
use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a directory is left out: long enough for the tasks that were about to use it, and short enough for a disk that
/// was full for a moment.
const LEFT_OUT: Duration = Duration::from_secs(60);

/// The reserve is never more than this part of a disk: small disks are there to be used too.
const PART: u64 = 50;

/// Directories on disks, of which some may fail.
#[derive(Debug)]
pub(super) struct Disks {
    dirs: Vec<Dir>,
    /// Bytes that stay free on each disk, or a part of it where that is less.
    reserve: u64,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Dir {
    path: PathBuf,
    failed: Mutex<Option<Instant>>,
}

impl Dir {
    /// When it failed last, if it is to be left out for that.
    fn failed(&self) -> Option<Instant> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).filter(|at| at.elapsed() < LEFT_OUT)
    }
}

impl Disks {
    /// Over these directories, of which there is one at least. They are made when they are needed.
    pub(super) fn new(paths: Vec<PathBuf>, reserve: u64) -> Self {
        let dirs = paths.into_iter().map(|path| Dir { path, failed: Mutex::new(None) }).collect();
        Self { dirs, reserve, next: AtomicUsize::new(0) }
    }

    /// All of them.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.dirs.iter().map(|dir| dir.path.as_path())
    }

    /// The directory for a new file: one after the other, those last that failed lately.
    pub(super) fn choose(&self) -> Result<&Path, TaskFailure> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.dirs.len();
        let mut order: Vec<&Dir> = (0..count).map(|i| &self.dirs[first.wrapping_add(i) % count]).collect();
        // Stable: those that did not fail stay in turn.
        order.sort_by_key(|dir| dir.failed());
        let mut refused = None;
        for dir in order {
            match self.has_room(&dir.path) {
                Ok(()) => return Ok(&dir.path),
                Err(message) => {
                    refused.get_or_insert_with(|| disk(&dir.path, message));
                }
            }
        }
        Err(refused.unwrap_or_else(|| disk(Path::new(""), "no directory".into())))
    }

    /// A file in one of the directories could not be made or written.
    pub(super) fn failed(&self, path: &Path) {
        let Some(dir) = self.dirs.iter().find(|dir| path.starts_with(&dir.path)) else { return };
        let before = dir.failed();
        *dir.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if before.is_none() && self.dirs.len() > 1 {
            tracing::warn!("{} failed; it is left out for {} s", dir.path.display(), LEFT_OUT.as_secs());
        }
    }

    fn has_room(&self, path: &Path) -> Result<(), String> {
        let stats = statvfs(path).or_else(|_| {
            // What is in it are users' rows: nobody else reads them.
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            Ok::<_, io::Error>(statvfs(path)?)
        });
        let stats = stats.map_err(|e| {
            self.failed(path);
            e.to_string()
        })?;
        let bytes = |blocks: u64| blocks.saturating_mul(stats.f_frsize);
        room(bytes(stats.f_bavail), bytes(stats.f_blocks), self.reserve)
    }
}

/// Whether a file may be begun on a disk of so many bytes, of which some are free; or why not.
fn room(free: u64, all: u64, reserve: u64) -> Result<(), String> {
    let reserve = reserve.min(all / PART);
    if free >= reserve {
        return Ok(());
    }
    Err(format!(
        "{} MiB are free on its disk, where {} MiB stay free; make room, or set hearth.disk.reserve",
        free >> 20,
        reserve >> 20
    ))
}

fn disk(path: &Path, message: String) -> TaskFailure {
    TaskFailure::Disk { path: path.display().to_string(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disks(paths: &[PathBuf]) -> Disks {
        Disks::new(paths.to_vec(), 0)
    }

    #[test]
    fn files_are_spread_and_directories_made() {
        let root = tempfile::tempdir().unwrap();
        let paths = ["a", "b/c", "d"].map(|name| root.path().join(name));
        let disks = disks(&paths);
        let chosen: Vec<_> = (0..4).map(|_| disks.choose().unwrap().to_owned()).collect();
        assert_eq!(chosen, [0, 1, 2, 0].map(|turn| paths[turn].clone()));
        assert!(paths.iter().all(|path| path.is_dir()));
    }

    #[test]
    fn what_failed_is_left_out_unless_it_is_all_there_is() {
        let root = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| root.path().join(name));
        let disks = disks(&paths);
        disks.failed(&paths[0].join("spill-1"));
        assert!((0..4).all(|_| disks.choose().unwrap() == paths[1]));
        disks.failed(&paths[1].join("spill-2"));
        assert!((0..4).all(|_| disks.choose().unwrap() == paths[0]), "what failed first comes back first");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        let (bad, good) = (root.path().join("file/a"), root.path().join("b"));
        let both = disks(&[bad.clone(), good.clone()]);
        assert!((0..4).all(|_| both.choose().unwrap() == good));
        let TaskFailure::Disk { path, message } = disks(std::slice::from_ref(&bad)).choose().unwrap_err() else {
            panic!("another failure")
        };
        assert_eq!(path, bad.display().to_string());
        assert!(message.contains("Not a directory"), "{message}");
    }

    #[test]
    fn the_reserve_stays_free_but_for_a_part_of_a_small_disk() {
        const GIB: u64 = 1 << 30;
        assert_eq!(room(GIB, 1000 * GIB, GIB), Ok(()));
        let refused = room(GIB - 1, 1000 * GIB, GIB).unwrap_err();
        assert_eq!(
            refused,
            "1023 MiB are free on its disk, where 1024 MiB stay free; make room, or set hearth.disk.reserve"
        );
        // A fiftieth of ten is less than one.
        assert_eq!(room(GIB / 5, 10 * GIB, GIB), Ok(()));
        assert!(room(GIB / 5 - 1, 10 * GIB, GIB).is_err());
        assert_eq!(room(0, 1000 * GIB, 0), Ok(()), "nothing is reserved");
        assert_eq!(room(0, 0, GIB), Ok(()), "what has no size has no end");
    }

    /// A disk of ten MiB. None when this process is not root, or `HEARTH_SKIP_MOUNT_TESTS=1` says that mounts are not to be had.
    struct SmallDisk(PathBuf);

    impl SmallDisk {
        fn mount(dir: PathBuf) -> Option<Self> {
            let skip = std::env::var_os("HEARTH_SKIP_MOUNT_TESTS").is_some_and(|value| value == "1");
            if skip || !rustix::process::geteuid().is_root() {
                return None;
            }
            std::fs::create_dir(&dir).unwrap();
            let mut mount = std::process::Command::new("mount");
            let mounted = mount.args(["-t", "tmpfs", "-o", "size=10m", "tmpfs"]).arg(&dir).status().unwrap();
            assert!(mounted.success(), "where mounts are not allowed, set HEARTH_SKIP_MOUNT_TESTS=1");
            Some(Self(dir))
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }

    #[test]
    fn no_file_is_begun_where_less_than_the_reserve_is_free() {
        let root = tempfile::tempdir().unwrap();
        let (small, other) = (root.path().join("small"), root.path().join("other"));
        let Some(_disk) = SmallDisk::mount(small.clone()) else { return };
        let both = Disks::new(vec![small.clone(), other.clone()], 1 << 20);
        let alone = Disks::new(vec![small.clone()], 1 << 20);
        assert_eq!(both.choose().unwrap(), small, "a fiftieth of it is free");
        // A fiftieth is 204 KiB, and 100 are left.
        std::fs::write(small.join("full"), vec![1; (10 << 20) - (100 << 10)]).unwrap();
        assert!((0..4).all(|_| both.choose().unwrap() == other));
        let TaskFailure::Disk { path, message } = alone.choose().unwrap_err() else { panic!("another failure") };
        assert_eq!(path, small.display().to_string());
        assert!(message.starts_with("0 MiB are free on its disk, where 0 MiB stay free"), "{message}");
        std::fs::remove_file(small.join("full")).unwrap();
        assert_eq!(alone.choose().unwrap(), small, "room was made");
    }
}
