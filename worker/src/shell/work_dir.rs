//! The worker's directory.
//!
//! ```text
//! work/worker-id                        its id, for as long as the directory is
//! work/worker.lock                      held by the one worker that uses the directory
//! work/block-service/{stdout,stderr}    the block service's logs
//! work/<app>/shuffle/                   map outputs, served by the block service; gone with the application
//! work/<app>/<executor>/{stdout,stderr} logs; kept after the application's end, until nothing in work/<app> has
//!                                       changed for a configured time
//! work/<app>/<executor>/tmp/            scratch; gone with the application
//! work/<app>/<executor>/blocks/         map outputs that the executor serves itself; gone with it, or with the application
//! ```
//!
//! Where there are local directories, `<local>/<worker-id>/<app>/shuffle` and `<local>/<worker-id>/<app>/<executor>/tmp` in each
//! of them take the place of those two; `work/local-dirs` says where they are.

use super::{
    WorkerError,
    local_dirs::{LocalDirs, make_dir, remove_dir},
};
use hearth_core::{ApplicationId, ExecutorId, WallTime, WorkerId, bootstrap::LocalDir};
use std::{
    collections::BTreeSet,
    fs::{self, DirEntry, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

/// The one directory that is no application's.
pub(super) const BLOCK_SERVICE: &str = "block-service";

/// The directories of one executor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExecutorDirs {
    /// `work/<app>/<executor>`.
    pub(super) work: PathBuf,
    /// `work/<app>/shuffle`.
    pub(super) shuffle: PathBuf,
    /// What takes their place.
    pub(super) local: Vec<LocalDir>,
}

/// The worker's directory, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct WorkDir {
    root: PathBuf,
    local: LocalDirs,
    /// Held while old directories are removed: one look at a time.
    cleaning: Mutex<()>,
    _lock: File,
}

impl WorkDir {
    /// Makes the directory when it is not there, and takes it.
    pub(super) fn open(root: &Path) -> Result<Self, WorkerError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WorkerError::WorkDir { path, source }
        };
        make_dir(root).map_err(failed(root))?;
        // Absolute, because other processes are told of it.
        let root = root.canonicalize().map_err(failed(root))?;
        let path = root.join("worker.lock");
        let lock = OpenOptions::new().create(true).append(true).open(&path).map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, local: LocalDirs::default(), cleaning: Mutex::new(()), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(WorkerError::WorkDirTaken { path: root }),
            Err(TryLockError::Error(source)) => Err(WorkerError::WorkDir { path, source }),
        }
    }

    /// Spreads shuffle files and scratch over these directories.
    pub(super) fn spread(&mut self, dirs: &[PathBuf], worker: &WorkerId) -> Result<(), WorkerError> {
        self.local = LocalDirs::take(dirs, worker, &self.root.join("local-dirs"))?;
        Ok(())
    }

    /// The directories below which shuffle files lie.
    pub(super) fn roots(&self) -> Vec<PathBuf> {
        let local = self.local.roots();
        if local.is_empty() { vec![self.root.clone()] } else { local.to_vec() }
    }

    /// Where it is; absolute.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The id that the directory holds, or a new one.
    pub(super) fn worker_id(&self, host: &str, port: u16) -> Result<WorkerId, WorkerError> {
        let path = self.root.join("worker-id");
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|source| WorkerError::WorkerId { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = new_id(host, port).map_err(|source| WorkerError::WorkerId { path: path.clone(), source })?;
                write_atomically(&path, id.as_str()).map_err(|source| WorkerError::WorkDir { path, source })?;
                Ok(id)
            }
            Err(source) => Err(WorkerError::WorkDir { path, source }),
        }
    }

    /// Makes the directories of an executor.
    pub(super) fn make_executor(&self, application: &ApplicationId, executor: ExecutorId) -> io::Result<ExecutorDirs> {
        let below = |root: &Path| {
            let application = root.join(application.as_str());
            LocalDir { work: application.join(executor.to_string()), shuffle: application.join("shuffle") }
        };
        let LocalDir { work, shuffle } = below(&self.root);
        make_dir(&work.join("tmp"))?;
        if self.local.roots().is_empty() {
            make_dir(&shuffle)?;
        }
        // Executors make theirs: a disk that has failed is left out by them.
        let local = self.local.roots().iter().map(|root| below(root)).collect();
        Ok(ExecutorDirs { work, shuffle, local })
    }

    /// Removes an application's shuffle files and its executors' scratch. Goes on past what it cannot remove, and gives
    /// the first such error.
    pub(super) fn remove_application(&self, application: &ApplicationId) -> io::Result<()> {
        let mut first = sweep_application(&self.root.join(application.as_str()));
        for root in self.local.roots() {
            first = first.and(remove_dir(&root.join(application.as_str())));
        }
        first
    }

    /// Removes the shuffle files and the scratch of every application, and the local directories: nothing that still runs can
    /// use them.
    pub(super) fn sweep(&self) -> io::Result<()> {
        let mut first = Ok(());
        for entry in directories(&self.root)? {
            first = first.and(sweep_application(&entry.path()));
        }
        first.and(self.local.remove())
    }

    /// Removes the directories of applications in which nothing has changed for a time, but for those to keep. Gives how
    /// many; what cannot be removed is told and left.
    pub(super) fn remove_old(
        &self,
        keep: &BTreeSet<ApplicationId>,
        unchanged_for: Duration,
        mut failed: impl FnMut(io::Error),
    ) -> usize {
        let Ok(_one_at_a_time) = self.cleaning.try_lock() else { return 0 };
        let entries = directories(&self.root).unwrap_or_else(|error| {
            failed(error);
            Vec::new()
        });
        let mut removed = 0;
        for entry in entries.iter().filter(|entry| may_go(entry, keep)) {
            let path = entry.path();
            match is_unchanged(&path, unchanged_for)
                .and_then(|old| if old { remove_dir(&path).map(|()| 1) } else { Ok(0) })
            {
                Ok(n) => removed += n,
                Err(error) => failed(error),
            }
        }
        removed
    }
}

/// Whether this is the directory of an application that is not to be kept.
fn may_go(entry: &DirEntry, keep: &BTreeSet<ApplicationId>) -> bool {
    let name = entry.file_name();
    let application = name.to_str().filter(|name| *name != BLOCK_SERVICE).and_then(|name| name.parse().ok());
    application.is_some_and(|application: ApplicationId| !keep.contains(&application))
}

/// Whether nothing in a directory has changed for a time. Links are not followed.
fn is_unchanged(path: &Path, time: Duration) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    // What is of the future has just been changed, or the clock has: it stays.
    if metadata.modified()?.elapsed().is_ok_and(|age| age >= time) {
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                if !is_unchanged(&entry?.path(), time)? {
                    return Ok(false);
                }
            }
        }
        return Ok(true);
    }
    Ok(false)
}

fn sweep_application(application: &Path) -> io::Result<()> {
    let mut first = remove_dir(&application.join("shuffle"));
    for entry in directories(application)? {
        // Executors are numbered; what is not a number is none of ours.
        if entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()) {
            // Executors remove both themselves, unless they are killed.
            for left in ["tmp", "blocks"] {
                first = first.and(remove_dir(&entry.path().join(left)));
            }
        }
    }
    first
}

/// The directories in a directory, links not followed; none when it is not there.
fn directories(path: &Path) -> io::Result<Vec<DirEntry>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.filter(|entry| entry.as_ref().map_or(true, is_dir)).collect()
}

fn is_dir(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

fn new_id(host: &str, port: u16) -> Result<WorkerId, hearth_core::BadId> {
    let stamp = WallTime(SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(0)));
    // Two workers on one machine and in one second differ in their port, in their process, or in their turn in it.
    static TURN: AtomicU32 = AtomicU32::new(0);
    let last = match port {
        0 => format!("{}.{}", process::id(), TURN.fetch_add(1, Ordering::Relaxed)),
        port => port.to_string(),
    };
    format!("worker-{}-{host}-{last}", stamp.compact()).parse()
}

/// After a crash the file is whole or not there.
pub(super) fn write_atomically(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> ApplicationId {
        "app-1".parse().unwrap()
    }

    #[test]
    fn a_directory_has_one_worker_at_a_time_and_one_id_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/b");
        let first = WorkDir::open(&root).unwrap();
        let id = first.worker_id("127.0.0.1", 7078).unwrap();
        assert!(id.as_str().starts_with("worker-2") && id.as_str().ends_with("-127.0.0.1-7078"), "{id}");
        let error = WorkDir::open(&root).unwrap_err().to_string();
        assert!(
            error.contains("is in use by another worker; stop that one, or choose another with --work-dir"),
            "{error}"
        );
        drop(first);
        let second = WorkDir::open(&root).unwrap();
        assert_eq!(second.worker_id("::1", 9).unwrap(), id);
    }

    #[test]
    fn an_id_file_that_holds_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let work = WorkDir::open(dir.path()).unwrap();
        fs::write(work.root().join("worker-id"), "../../etc\n").unwrap();
        let error = work.worker_id("::1", 0).unwrap_err().to_string();
        assert!(
            error.contains("worker-id\" should hold this worker's id: \"../../etc\" is not a valid worker id"),
            "{error}"
        );
    }

    #[test]
    fn a_path_that_is_no_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = WorkDir::open(&file).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the work directory {file:?} cannot be used:")), "{error}");
    }

    #[test]
    fn an_application_leaves_its_logs_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let work = WorkDir::open(dir.path()).unwrap();
        let other = work.make_executor(&"app-2".parse().unwrap(), ExecutorId(0)).unwrap();
        let dirs = work.make_executor(&app(), ExecutorId(3)).unwrap();
        assert_eq!(dirs, work.make_executor(&app(), ExecutorId(3)).unwrap(), "made once, there twice");
        fs::write(dirs.work.join("stderr"), "log").unwrap();
        fs::write(dirs.work.join("tmp/spill"), "rows").unwrap();
        fs::write(dirs.shuffle.join("shuffle_0_0_0.data"), "rows").unwrap();
        fs::create_dir(dirs.work.join("blocks")).unwrap();
        fs::write(dirs.work.join("blocks/shuffle_0_0_1.data"), "rows").unwrap();
        work.remove_application(&app()).unwrap();
        assert!(dirs.work.join("stderr").exists());
        assert!(!dirs.work.join("tmp").exists() && !dirs.work.join("blocks").exists() && !dirs.shuffle.exists());
        assert!(other.shuffle.exists());
        work.remove_application(&app()).unwrap();
        work.remove_application(&"app-3".parse().unwrap()).unwrap();
        work.sweep().unwrap();
        assert!(!other.shuffle.exists() && other.work.exists());
    }

    #[test]
    fn what_is_spread_over_disks_goes_with_its_application() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let disks = ["d1", "file/d2", "d3"].map(|name| dir.path().join(name));
        let mut work = WorkDir::open(&dir.path().join("work")).unwrap();
        let id = work.worker_id("::1", 0).unwrap();
        work.spread(&disks, &id).unwrap();
        let roots = disks.each_ref().map(|disk| disk.join(id.as_str()));
        assert_eq!(work.roots(), roots, "also the one that cannot be used now");
        let dirs = work.make_executor(&app(), ExecutorId(3)).unwrap();
        assert!(dirs.work.join("tmp").is_dir() && !dirs.shuffle.exists(), "logs stay in the worker's directory");
        let expected =
            roots.each_ref().map(|root| LocalDir { shuffle: root.join("app-1/shuffle"), work: root.join("app-1/3") });
        assert_eq!(dirs.local, expected);
        for of in [&dirs.local[0], &dirs.local[2]] {
            fs::create_dir_all(&of.shuffle).unwrap();
            fs::create_dir_all(of.work.join("tmp")).unwrap();
        }
        work.remove_application(&app()).unwrap();
        assert!(roots[0].is_dir() && roots[2].is_dir());
        assert!(roots.iter().all(|root| !root.join("app-1").exists()));
        work.sweep().unwrap();
        assert!(roots.iter().all(|root| !root.exists()));
        let mut other = WorkDir::open(&dir.path().join("other")).unwrap();
        assert!(other.spread(&disks[1..2], &id).is_err(), "none is left");
    }

    #[test]
    fn old_directories_of_applications_go_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let work = WorkDir::open(dir.path()).unwrap();
        work.worker_id("::1", 0).unwrap();
        let logs: Vec<_> = [app(), "app-2".parse().unwrap(), "app-3".parse().unwrap()]
            .iter()
            .map(|id| work.make_executor(id, ExecutorId(0)).unwrap().work.join("stderr"))
            .collect();
        for path in [&logs[0], &logs[1], &logs[2], &work.root().join("block-service/stderr")] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "log").unwrap();
        }
        let keep = BTreeSet::from(["app-2".parse().unwrap()]);
        let hour = Duration::from_secs(3600);
        let never = |error| panic!("{error}");
        assert_eq!(work.remove_old(&keep, hour, never), 0, "all of it is new");
        // One file of the third was written just now, and all else two hours ago.
        let written = fs::File::options().write(true).open(&logs[2]).unwrap();
        age(work.root(), SystemTime::now() - 2 * hour);
        written.set_modified(SystemTime::now()).unwrap();
        assert_eq!(work.remove_old(&keep, hour, never), 1);
        assert!(!work.root().join("app-1").exists() && logs[1].exists() && logs[2].exists());
        assert!(work.root().join("block-service/stderr").exists() && work.root().join("worker-id").exists());
        assert_eq!(work.remove_old(&BTreeSet::new(), Duration::ZERO, never), 2);
        assert!(work.root().join("block-service/stderr").exists());
    }

    /// Makes a directory and all in it as old as this.
    fn age(path: &Path, time: SystemTime) {
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| age(&entry.unwrap().path(), time));
        }
        File::open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        fs::create_dir_all(precious.join("shuffle")).unwrap();
        let work = WorkDir::open(&dir.path().join("work")).unwrap();
        std::os::unix::fs::symlink(&precious, work.root().join("app-1")).unwrap();
        work.sweep().unwrap();
        assert!(precious.join("shuffle").exists());
    }
}
