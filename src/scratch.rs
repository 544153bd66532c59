//! The temporary directory of a local mode, and those that killed programs left behind.
//!
//! A directory is in use while somebody holds the lock on the file `lock` in it. Whoever makes a new one removes those of
//! the same user that nobody uses any more.

use crate::Error;
use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

const PREFIX: &str = "hearth-";
/// A directory this young may not be locked yet by the program that makes it.
const SETTLED: Duration = Duration::from_secs(60);

/// A directory of our own. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one in `parent`.
    pub(crate) fn make(parent: &Path) -> Result<Self, Error> {
        sweep(parent);
        let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).and_then(|dir| {
            let lock = File::create(dir.path().join("lock"))?;
            lock.try_lock().map_err(io::Error::from)?;
            Ok(Self { dir, _lock: lock })
        });
        made.map_err(|source| Error::Scratch { dir: parent.display().to_string(), source })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes what nobody uses. What cannot be looked at or removed is somebody else's, or is met again next time.
fn sweep(parent: &Path) {
    let own = rustix::process::getuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        if is_abandoned(&path, own).unwrap_or(false) {
            tracing::info!("removing {}, which an earlier run left", path.display());
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
        }
    }
}

fn is_abandoned(dir: &PathBuf, own: u32) -> io::Result<bool> {
    let about = fs::symlink_metadata(dir)?;
    let young = about.modified()?.elapsed().is_ok_and(|age| age < SETTLED);
    if !about.is_dir() || about.uid() != own || young {
        return Ok(false);
    }
    match File::open(dir.join("lock"))?.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::FileTimes, time::SystemTime};

    fn age(dir: &Path) {
        let old = FileTimes::new().set_modified(SystemTime::now() - 2 * SETTLED);
        File::open(dir).unwrap().set_times(old).unwrap();
    }

    #[test]
    fn what_nobody_uses_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let used = Scratch::make(parent.path()).unwrap();
        let left = parent.path().join("hearth-left");
        let young = parent.path().join("hearth-young");
        let foreign = parent.path().join("hearth-foreign");
        for dir in [&left, &young, &foreign] {
            fs::create_dir(dir).unwrap();
        }
        for dir in [&left, &young] {
            File::create(dir.join("lock")).unwrap();
        }
        for dir in [used.path(), &left, &foreign] {
            age(dir);
        }
        let next = Scratch::make(parent.path()).unwrap();
        assert!(!left.exists());
        assert!(used.path().exists() && young.exists() && foreign.exists() && next.path().exists());
    }
}
