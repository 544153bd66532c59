//! A worker's own directories on several disks.
//!
//! ```text
//! <local>/<worker-id>/       this worker's: shuffle files and scratch, by application
//! <local>/<worker-id>.lock   held while the worker lives
//! work/local-dirs            where they are, and where those of earlier runs were that could not be removed yet
//! ```
//!
//! What a worker that was killed left there is of no use to anybody, and goes when a worker starts
//! - with the same work directory: the list knows of it, whatever local directories there are now;
//! - with the same local directories: nobody holds the lock, whatever work directory there was.
//!
//! A directory that cannot be made stays one of the worker's: executors try it again and again, and leave it out meanwhile.

use super::WorkerError;
use hearth_core::WorkerId;
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// What locks are called after the directory that they are of.
const LOCK: &str = "lock";
/// How the ids of workers begin that workers have made. What is called otherwise is none of ours.
const WORKER: &str = "worker-";
/// Tries to take a lock, and the time between: who sweeps has removed what lies there by then, or has long to do.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// This worker's own directories, locked for as long as this lives.
#[derive(Debug, Default)]
pub(super) struct LocalDirs {
    roots: Vec<PathBuf>,
    _locks: Vec<File>,
}

impl LocalDirs {
    /// Takes `worker`'s directory in each of these, and removes what earlier runs left in them and in those of `list`.
    ///
    /// # Errors
    /// When none of several can be used.
    pub(super) fn take(dirs: &[PathBuf], worker: &WorkerId, list: &Path) -> Result<Self, WorkerError> {
        let roots: Vec<_> = dirs.iter().map(|dir| root_in(dir, worker)).collect();
        let before = read(list);
        if roots.is_empty() && before.is_empty() {
            return Ok(Self::default());
        }
        let all: Vec<_> = before.iter().filter(|root| !roots.contains(root)).chain(&roots).cloned().collect();
        // Before there is anything in them.
        write(list, &all).map_err(|source| WorkerError::WorkDir { path: list.to_owned(), source })?;
        let mut left = sweep(before.iter().filter(|root| !roots.contains(root)), worker);
        let (mut locks, mut failure) = (Vec::new(), None);
        for (dir, root) in dirs.iter().zip(&roots) {
            match make(root) {
                Ok(lock) => locks.push(lock),
                Err(source) => {
                    tracing::warn!("{} cannot be used now: {source}", dir.display());
                    failure = Some(WorkerError::WorkDir { path: dir.clone(), source });
                    continue;
                }
            }
            sweep_abandoned(root);
        }
        left.extend(roots.iter().cloned());
        if let Err(error) = write(list, &left) {
            // It lists too many, which is no harm.
            tracing::warn!(%error, "{} cannot be written", list.display());
        }
        match failure {
            Some(failure) if locks.is_empty() => Err(failure),
            _ => Ok(Self { roots, _locks: locks }),
        }
    }

    /// Where they are; absolute.
    pub(super) fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Removes them. Goes on past what cannot be removed, and gives the first such error.
    pub(super) fn remove(&self) -> io::Result<()> {
        let mut first = Ok(());
        for root in &self.roots {
            first = first.and(remove_root(root));
        }
        first
    }
}

/// Absolute, because other processes are told of it.
fn root_in(dir: &Path, worker: &WorkerId) -> PathBuf {
    std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()).join(worker.as_str())
}

/// An empty directory of this worker's, and its lock.
fn make(root: &Path) -> io::Result<File> {
    if let Some(dir) = root.parent() {
        make_dir(dir)?;
    }
    let lock = lock(&lock_of(root))?;
    remove_dir(root)?;
    make_dir(root)?;
    Ok(lock)
}

/// Takes a lock. One that sweeps may have it for a moment, and then removes it.
fn lock(path: &Path) -> io::Result<File> {
    for _ in 0..TRIES {
        let lock = OpenOptions::new().create(true).append(true).open(path)?;
        match lock.try_lock() {
            Ok(()) if is_at(&lock, path) => return Ok(lock),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other(format!("another worker has {} locked", path.display())))
}

/// Whether a file is the one of this name, and not one that was removed.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    own.ino() == there.ino()
}

/// Removes directories that are this worker's no more; gives those that cannot be removed.
fn sweep<'r>(roots: impl Iterator<Item = &'r PathBuf>, worker: &WorkerId) -> Vec<PathBuf> {
    let own = OsStr::new(worker.as_str());
    // A list that somebody has written must not lead to what is not a worker's.
    let roots = roots.filter(|root| root.is_absolute() && (root.file_name() == Some(own) || is_workers(root)));
    let mut left = Vec::new();
    for root in roots {
        if let Err(error) = remove_root(root) {
            tracing::warn!("what an earlier run left cannot be removed: {error}");
            left.push(root.clone());
        }
    }
    left
}

/// Removes the directories beside this worker's whose workers are gone. What cannot be looked at is somebody else's.
fn sweep_abandoned(own: &Path) {
    let (Some(dir), Ok(about)) = (own.parent(), own.metadata()) else { return };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let lock = entry.path();
        let root = lock.with_extension("");
        if lock.extension() != Some(OsStr::new(LOCK)) || !is_workers(&root) || root == own {
            continue;
        }
        // Held until its directory is gone: nobody takes it meanwhile.
        let Some(_lock) = abandoned(&lock, about.uid()) else { continue };
        tracing::info!("removing {}, which an earlier run left", root.display());
        if let Err(error) = remove_root(&root) {
            tracing::warn!("what an earlier run left cannot be removed: {error}");
        }
    }
}

/// A lock, if it is a file of this user's that nobody holds.
fn abandoned(lock: &Path, user: u32) -> Option<File> {
    let about = fs::symlink_metadata(lock).ok()?;
    let lock = (about.is_file() && about.uid() == user).then(|| File::open(lock).ok())??;
    lock.try_lock().ok().map(|()| lock)
}

fn is_workers(root: &Path) -> bool {
    root.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(WORKER))
}

fn lock_of(root: &Path) -> PathBuf {
    root.with_added_extension(LOCK)
}

/// The directory, then its lock: what is there is known of.
fn remove_root(root: &Path) -> io::Result<()> {
    remove_dir(root)?;
    match fs::remove_file(lock_of(root)) {
        Err(error) if !is_absent(&error) => Err(named(&lock_of(root), &error)),
        _ => Ok(()),
    }
}

/// Removes a directory, unless it is not there.
pub(super) fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if !is_absent(&error) => Err(named(path, &error)),
        _ => Ok(()),
    }
}

/// Nothing lies below what is no directory, either.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Makes a directory and what leads to it. Shuffle files hold users' rows: nobody else reads them.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// What the list says; nothing when there is none, or when nobody can read it.
fn read(list: &Path) -> Vec<PathBuf> {
    let text = match fs::read(list) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, "{} cannot be read", list.display());
            }
            return Vec::new();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, "{} is no list of directories", list.display());
        Vec::new()
    })
}

fn write(list: &Path, roots: &[PathBuf]) -> io::Result<()> {
    super::work_dir::write_atomically(list, &serde_json::to_string(roots)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Fixture {
        dir: tempfile::TempDir,
        worker: WorkerId,
    }

    impl Fixture {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), worker: "worker-1".parse().unwrap() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// As a worker of this work directory takes them.
        fn take(&self, work: &str, worker: &WorkerId, dirs: &[&str]) -> Result<LocalDirs, WorkerError> {
            fs::create_dir_all(self.path(work)).unwrap();
            let dirs: Vec<_> = dirs.iter().map(|dir| self.path(dir)).collect();
            LocalDirs::take(&dirs, worker, &self.path(work).join("local-dirs"))
        }

        /// What a worker leaves that is killed: its files, and locks that nobody holds.
        fn killed(&self, taken: LocalDirs) {
            for root in taken.roots() {
                fs::create_dir_all(root.join("app-1/shuffle")).unwrap();
                fs::write(root.join("app-1/shuffle/shuffle_0_0_0.data"), "rows").unwrap();
            }
        }

        fn names(&self, dir: &str) -> Vec<String> {
            let names = fs::read_dir(self.path(dir)).unwrap();
            let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn what_a_killed_worker_left_goes_when_it_comes_back_with_other_directories() {
        let fixture = Fixture::new();
        fixture.killed(fixture.take("work", &fixture.worker, &["d1", "d2"]).unwrap());
        let taken = fixture.take("work", &fixture.worker, &["d2", "d3"]).unwrap();
        assert_eq!(taken.roots(), [fixture.path("d2/worker-1"), fixture.path("d3/worker-1")]);
        assert_eq!(fixture.names("d1"), [""; 0]);
        assert_eq!(fixture.names("d2/worker-1"), [""; 0]);
        fixture.killed(taken);
        // Now with none.
        let taken = fixture.take("work", &fixture.worker, &[]).unwrap();
        assert!(taken.roots().is_empty());
        assert_eq!([fixture.names("d2"), fixture.names("d3")], [[""; 0]; 2]);
    }

    #[test]
    fn what_a_killed_worker_left_goes_when_another_takes_the_same_directories() {
        let fixture = Fixture::new();
        let [killed, lives, next] = ["worker-1", "worker-2", "worker-3"].map(|id| id.parse().unwrap());
        fixture.killed(fixture.take("work1", &killed, &["d1"]).unwrap());
        // Not a worker's.
        fs::create_dir(fixture.path("d1/precious")).unwrap();
        fs::write(fixture.path("d1/precious.lock"), "").unwrap();
        let other = fixture.take("work2", &lives, &["d1"]).unwrap();
        assert!(!fixture.path("d1/worker-1").exists());
        let own = fixture.take("work3", &next, &["d1"]).unwrap();
        let expected = ["precious", "precious.lock", "worker-2", "worker-2.lock", "worker-3", "worker-3.lock"];
        assert_eq!(fixture.names("d1"), expected, "what is held stays");
        other.remove().unwrap();
        own.remove().unwrap();
        assert_eq!(fixture.names("d1"), ["precious", "precious.lock"]);
    }

    #[test]
    fn a_directory_that_cannot_be_made_stays_one_of_the_workers() {
        let fixture = Fixture::new();
        fs::write(fixture.path("file"), "").unwrap();
        let taken = fixture.take("work", &fixture.worker, &["file/d1", "d2"]).unwrap();
        assert_eq!(taken.roots(), [fixture.path("file/d1/worker-1"), fixture.path("d2/worker-1")]);
        // Its disk comes back, and an executor makes it.
        fs::remove_file(fixture.path("file")).unwrap();
        fs::create_dir_all(fixture.path("file/d1/worker-1/app-1")).unwrap();
        taken.remove().unwrap();
        assert_eq!(fixture.names("file/d1"), [""; 0]);
        fs::remove_dir_all(fixture.path("file")).unwrap();
        fs::write(fixture.path("file"), "").unwrap();
        taken.remove().unwrap();
        let error = fixture.take("work", &fixture.worker, &["file/d1", "file/d2"]).unwrap_err().to_string();
        assert!(error.contains("file/d2") && error.contains("Not a directory"), "{error}");
    }

    #[test]
    fn a_directory_has_one_worker_and_nobody_elses_eyes() {
        let fixture = Fixture::new();
        let taken = fixture.take("work", &fixture.worker, &["d1"]).unwrap();
        let mode = fs::metadata(&taken.roots()[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        // A work directory that was copied has the same id.
        let error = fixture.take("copy", &fixture.worker, &["d1"]).unwrap_err().to_string();
        assert!(error.contains("another worker has") && error.contains("worker-1.lock locked"), "{error}");
        assert!(taken.roots()[0].is_dir());
    }

    #[test]
    fn a_list_leads_to_nothing_but_workers_directories() {
        let fixture = Fixture::new();
        for dir in ["work", "precious", "d1/worker-9"] {
            fs::create_dir_all(fixture.path(dir)).unwrap();
        }
        let list = [fixture.path("precious"), fixture.path("d1/worker-9"), "worker-9".into()];
        fs::write(fixture.path("work/local-dirs"), serde_json::to_vec(&list).unwrap()).unwrap();
        fixture.take("work", &fixture.worker, &[]).unwrap();
        assert!(fixture.path("precious").exists() && !fixture.path("d1/worker-9").exists());
        fs::write(fixture.path("work/local-dirs"), "no list").unwrap();
        let taken = fixture.take("work", &fixture.worker, &["d1"]).unwrap();
        assert_eq!(taken.roots(), [fixture.path("d1/worker-1")]);
    }
}
