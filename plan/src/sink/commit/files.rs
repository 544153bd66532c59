//! The commit on a file system: renames.

use super::{Kind, SUCCESS, StagedFile, WriteError, only};
use crate::sink::{
    local::sync_dir,
    target::{FILE_EXISTS, FOLDER_EXISTS, obstacle, staging, temporary},
};
use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};
use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Tries to make a folder, or to remove one, while others do the opposite. Each needs somebody else to come in between.
const TRIES: usize = 10;

/// Who is about to fill a folder has this file among what waits there. Staging folders are named by ids of writes.
const FILLING: &str = "filling";

/// A folder in which the files of a write wait. Dropping it removes what is left there, and, if nothing was committed, the
/// folders that were made for it.
pub(super) struct Staging {
    target: PathBuf,
    kind: Kind,
    folder: PathBuf,
    /// The uppermost folder that was made for it.
    made: Option<PathBuf>,
    /// Committed: there is nothing to undo.
    over: bool,
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staging").field("target", &self.target).field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Staging {
    /// Makes the folder that the tasks of `write` leave their files in.
    pub(super) fn begin(target: PathBuf, kind: Kind, write: &str) -> Result<Self, WriteError> {
        if let Some(what) = obstacle(&target, kind) {
            return Err(exists(&target, what));
        }
        let folder = staging(&target, kind, write);
        let missing = folder.ancestors().skip(1).take_while(|dir| dir.symlink_metadata().is_err());
        let made = missing.last().map(Path::to_owned);
        // Made before it is tried, so that what is made in part goes when this fails.
        let begun = Self { target, kind, folder, made, over: false };
        let make = || fs::create_dir_all(&begun.folder);
        // Another write that ends removes `_temporary` when it is empty.
        let mut done = make();
        for _ in 1..TRIES {
            if !matches!(&done, Err(e) if e.kind() == io::ErrorKind::NotFound) {
                break;
            }
            done = make();
        }
        done.map_err(WriteError::io("make the folder", &begun.folder))?;
        Ok(begun)
    }

    /// Gives the files their names.
    pub(super) fn commit(mut self, files: Vec<StagedFile>) -> Result<(), WriteError> {
        match self.kind {
            Kind::File => self.commit_file(only(&files)?)?,
            Kind::NewFolder if self.folder.starts_with(&self.target) => self.fill(&files)?,
            Kind::NewFolder => self.commit_new(&files)?,
            Kind::Append => self.append(&files)?,
        }
        self.over = true;
        Ok(())
    }

    fn commit_file(&self, file: &StagedFile) -> Result<(), WriteError> {
        let path = &self.target;
        rename_new(&self.folder.join(&file.staged), path).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => exists(path, FILE_EXISTS),
            _ => WriteError::io("write", path)(e),
        })?;
        sync_parent(path);
        Ok(())
    }

    /// Everything is put together out of sight, and one rename shows it.
    fn commit_new(&self, files: &[StagedFile]) -> Result<(), WriteError> {
        let ready = self.folder.join("ready");
        let mut folders = Folders::default();
        folders.make(&ready)?;
        for file in files {
            self.place(file, &ready, &mut folders)?;
        }
        mark(&ready)?;
        folders.sync()?;
        let path = &self.target;
        // Renames onto a folder that is empty, too, and onto nothing else.
        fs::rename(&ready, path).map_err(|e| match e.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => exists(path, FOLDER_EXISTS),
            _ => WriteError::io("write", path)(e),
        })?;
        sync_parent(path);
        Ok(())
    }

    /// Puts the files into an empty folder that no rename can replace. Of several writers one gets it: whoever has the mark
    /// looks whether it is still empty, and has the mark until it is not.
    fn fill(&self, files: &[StagedFile]) -> Result<(), WriteError> {
        let taken = || exists(&self.target, FOLDER_EXISTS);
        let waiting = self.folder.parent().unwrap_or(&self.folder);
        let mark = waiting.join(FILLING);
        File::create_new(&mark).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => taken(),
            _ => WriteError::io("write", &mark)(e),
        })?;
        let filled = match is_empty(&self.target, waiting) {
            Ok(true) => self.append(files),
            Ok(false) => Err(taken()),
            Err(e) => Err(WriteError::io("look into", &self.target)(e)),
        };
        // One that stays would only be in the way of a folder that is empty again.
        warn("remove", &mark, fs::remove_file(&mark));
        filled
    }

    fn append(&self, files: &[StagedFile]) -> Result<(), WriteError> {
        let mut folders = Folders::default();
        folders.touched.insert(self.target.clone());
        // While files are added it would vouch for a part of them.
        let marked = fs::remove_file(self.target.join(SUCCESS)).is_ok();
        let mut placed = Vec::with_capacity(files.len());
        let mut place_all = || {
            for file in files {
                placed.push(self.place(file, &self.target, &mut folders)?);
            }
            folders.sync()?;
            mark(&self.target)?;
            sync_dir(&self.target).map_err(WriteError::io("write", &self.target))
        };
        let done = place_all();
        if done.is_err() {
            // Readers may have seen them by now; none of them will from here on.
            placed.iter().for_each(|path| warn("take back", path, fs::remove_file(path)));
            folders.remove_empty();
            if marked && let Err(e) = mark(&self.target) {
                tracing::warn!("{e}");
            }
        }
        done
    }

    /// Gives a file its name.
    fn place(&self, file: &StagedFile, below: &Path, folders: &mut Folders) -> Result<PathBuf, WriteError> {
        let path = below.join(&file.path);
        if let Some(folder) = path.parent() {
            folders.make(folder)?;
        }
        rename_new(&self.folder.join(&file.staged), &path).map_err(WriteError::io("write", &path))?;
        Ok(path)
    }

    /// Removes what is left of it in the staging folder, and, if it was not committed, the folders made for it.
    fn clear(&self) {
        // Under another name first: tasks that still run find nothing to write into.
        let mut gone = self.folder.with_extension("gone");
        let mut done = fs::rename(&self.folder, &gone);
        if let Err(e) = &done
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot rename {}: {e}", self.folder.display());
            gone.clone_from(&self.folder);
            done = Ok(());
        }
        for _ in 0..TRIES {
            if done.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
                break;
            }
            // A file that was being made may still come into a folder that is being removed.
            done = fs::remove_dir_all(&gone);
            if done.is_ok() {
                break;
            }
        }
        if done.as_ref().is_err_and(|e| e.kind() != io::ErrorKind::NotFound) {
            warn("remove", &gone, done);
        }
        let temporary = temporary(&self.target, self.kind);
        let made = self.made.as_deref().filter(|_| !self.over).unwrap_or(&temporary);
        for dir in self.folder.ancestors().skip(1).take_while(|dir| dir.starts_with(made)) {
            // Not empty: others write there, or it is the target.
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Folders that files were put into.
#[derive(Default)]
struct Folders {
    touched: BTreeSet<PathBuf>,
    made: Vec<PathBuf>,
}

impl Folders {
    /// Makes a folder, unless it is there.
    fn make(&mut self, folder: &Path) -> Result<(), WriteError> {
        if self.touched.contains(folder) {
            return Ok(());
        }
        let missing: Vec<_> = folder.ancestors().take_while(|dir| !dir.exists()).map(Path::to_owned).collect();
        fs::create_dir_all(folder).map_err(WriteError::io("make the folder", folder))?;
        // The name of a new folder is in the one above it.
        self.touched.extend(missing.iter().filter_map(|dir| dir.parent()).map(Path::to_owned));
        self.made.extend(missing.into_iter().rev());
        self.touched.insert(folder.to_owned());
        Ok(())
    }

    fn sync(&self) -> Result<(), WriteError> {
        self.touched.iter().try_for_each(|dir| sync_dir(dir).map_err(WriteError::io("write", dir)))
    }

    fn remove_empty(&self) {
        // Not empty: another write uses it by now.
        self.made.iter().rev().for_each(|dir| drop(fs::remove_dir(dir)));
    }
}

/// Whether nothing but what waits is in a folder.
fn is_empty(folder: &Path, waiting: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        if entry?.path() != waiting {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Says that a folder has all that belongs to it.
fn mark(folder: &Path) -> Result<(), WriteError> {
    let path = folder.join(SUCCESS);
    File::create(&path).and_then(|file| file.sync_all()).map_err(WriteError::io("write", &path))
}

/// The name is there by now, whatever this gives.
fn sync_parent(path: &Path) {
    if let Some(parent) = path.parent() {
        warn("make the names last in", parent, sync_dir(parent));
    }
}

/// Renames to a name that nothing has.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Network file systems often have no such rename; links they have.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            // Else it goes with its folder.
            let _ = fs::remove_file(from);
            Ok(())
        }
        done => Ok(done?),
    }
}

fn exists(path: &Path, what: &'static str) -> WriteError {
    WriteError::Exists { place: path.display().to_string(), what }
}

fn warn(what: &str, path: &Path, done: io::Result<()>) {
    if let Err(e) = done {
        tracing::warn!("cannot {what} {}: {e}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        dir: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        fn begin(&self, path: &str, kind: Kind, write: &str) -> Result<Staging, WriteError> {
            Staging::begin(self.dir.path().join(path), kind, write)
        }

        /// What lies in the directory, folders with a `/`.
        fn all(&self) -> Vec<String> {
            fn walk(dir: &Path, base: &Path, found: &mut Vec<String>) {
                for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                    let name = entry.path().strip_prefix(base).unwrap().to_str().unwrap().to_owned();
                    if entry.path().is_dir() {
                        found.push(name + "/");
                        walk(&entry.path(), base, found);
                    } else {
                        found.push(name);
                    }
                }
            }
            let mut found = Vec::new();
            walk(self.dir.path(), self.dir.path(), &mut found);
            found.sort();
            found
        }
    }

    /// As a task leaves it: each file has its own path as its content.
    fn leave(begun: &Staging, paths: &[&str]) -> Vec<StagedFile> {
        let folder = tempfile::Builder::new().prefix("00000-").tempdir_in(&begun.folder).unwrap().keep();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let file = |(n, path): (usize, &&str)| {
            fs::write(folder.join(n.to_string()), path).unwrap();
            StagedFile {
                path: (*path).to_owned(),
                staged: format!("{name}/{n}"),
                bytes: path.len() as u64,
                parts: vec![],
            }
        };
        paths.iter().enumerate().map(file).collect()
    }

    #[test]
    fn a_new_folder_appears_whole() {
        let fixture = Fixture::new();
        let begun = fixture.begin("new/out", Kind::NewFolder, "w").unwrap();
        let files = [leave(&begun, &["part-0", "k=1/part-0"]), leave(&begun, &["k=1/part-1"])].concat();
        leave(&begun, &["of an attempt that nobody took"]);
        assert!(fixture.all().iter().all(|p| p == "new/" || p.starts_with("new/_temporary/")), "{:?}", fixture.all());
        begun.commit(files).unwrap();
        let expected = [
            "new/",
            "new/out/",
            "new/out/_SUCCESS",
            "new/out/k=1/",
            "new/out/k=1/part-0",
            "new/out/k=1/part-1",
            "new/out/part-0",
        ];
        assert_eq!(fixture.all(), expected);
        assert_eq!(fs::read_to_string(fixture.dir.path().join("new/out/k=1/part-1")).unwrap(), "k=1/part-1");
        let error = fixture.begin("new/out", Kind::NewFolder, "w2").unwrap_err();
        assert!(matches!(error, WriteError::Exists { .. }), "{error}");
        assert_eq!(fixture.all(), expected);
    }

    #[test]
    fn an_empty_folder_is_as_good_as_none() {
        let fixture = Fixture::new();
        fs::create_dir(fixture.dir.path().join("out")).unwrap();
        let begun = fixture.begin("out", Kind::NewFolder, "w").unwrap();
        let files = leave(&begun, &["part-0"]);
        begun.commit(files).unwrap();
        assert_eq!(fixture.all(), ["out/", "out/_SUCCESS", "out/part-0"]);
    }

    #[test]
    fn of_two_writers_one_succeeds() {
        for (kind, expected) in
            [(Kind::NewFolder, &["out/", "out/_SUCCESS", "out/x.csv"][..]), (Kind::File, &["out"][..])]
        {
            let fixture = Fixture::new();
            let (first, second) =
                (fixture.begin("out", kind, "w1").unwrap(), fixture.begin("out", kind, "w2").unwrap());
            let (one, two) = (leave(&first, &["x.csv"]), leave(&second, &["x.csv"]));
            second.commit(two).unwrap();
            let error = first.commit(one).unwrap_err();
            assert!(matches!(error, WriteError::Exists { .. }), "{error}");
            assert_eq!(fixture.all(), expected);
        }
    }

    #[test]
    fn what_is_undone_leaves_nothing() {
        for kind in [Kind::NewFolder, Kind::File, Kind::Append] {
            let fixture = Fixture::new();
            let begun = fixture.begin("a/b/out", kind, "w").unwrap();
            leave(&begun, &["x"]);
            drop(begun);
            assert_eq!(fixture.all(), [""; 0], "{kind:?}");
        }
    }

    #[test]
    fn writers_of_one_folder_leave_one_another_alone() {
        let fixture = Fixture::new();
        fs::create_dir(fixture.dir.path().join("t")).unwrap();
        let first = fixture.begin("t", Kind::Append, "w1").unwrap();
        let second = fixture.begin("t", Kind::Append, "w2").unwrap();
        let files = leave(&first, &["part-0-w1", "k=1/part-0-w1"]);
        drop(second);
        first.commit(files).unwrap();
        assert_eq!(fixture.all(), ["t/", "t/_SUCCESS", "t/k=1/", "t/k=1/part-0-w1", "t/part-0-w1"]);
    }

    #[test]
    fn an_append_that_fails_half_way_is_taken_back() {
        let fixture = Fixture::new();
        fs::create_dir(fixture.dir.path().join("t")).unwrap();
        fs::write(fixture.dir.path().join("t/old"), "").unwrap();
        let begun = fixture.begin("t", Kind::Append, "w").unwrap();
        let mut files = leave(&begun, &["k=1/part-0", "part-1", "part-2"]);
        files[2].staged = "nowhere/0".into();
        let error = begun.commit(files).unwrap_err().to_string();
        assert!(error.contains("t/part-2") && error.contains("No such file"), "{error}");
        assert_eq!(fixture.all(), ["t/", "t/old"]);
    }

    /// No rename can put a folder in the place of a link, or of a mount point.
    #[test]
    fn an_empty_folder_that_is_elsewhere_is_filled() {
        let fixture = Fixture::new();
        fs::create_dir(fixture.dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", fixture.dir.path().join("out")).unwrap();
        let begun = fixture.begin("out", Kind::NewFolder, "w").unwrap();
        let files = leave(&begun, &["k=1/part-0"]);
        begun.commit(files).unwrap();
        let inside = ["out/", "out/_SUCCESS", "out/k=1/", "out/k=1/part-0"];
        let all = fixture.all();
        assert!(inside.iter().all(|f| all.contains(&(*f).to_owned())), "{all:?}");
        assert!(fixture.dir.path().join("out").is_symlink());
    }

    /// Both have begun while it was empty, and neither rename replaces it.
    #[test]
    fn of_two_writers_that_fill_one_folder_one_succeeds() {
        let fixture = Fixture::new();
        let inside = fixture.dir.path().join("elsewhere");
        fs::create_dir(&inside).unwrap();
        std::os::unix::fs::symlink("elsewhere", fixture.dir.path().join("out")).unwrap();
        let first = fixture.begin("out", Kind::NewFolder, "w1").unwrap();
        // As if they began at the same moment: what the first has made is not there for the second to see.
        let (waiting, aside) = (inside.join("_temporary"), fixture.dir.path().join("aside"));
        fs::rename(&waiting, &aside).unwrap();
        let second = fixture.begin("out", Kind::NewFolder, "w2").unwrap();
        let third = {
            fs::rename(&waiting, fixture.dir.path().join("aside2")).unwrap();
            fixture.begin("out", Kind::NewFolder, "w3").unwrap()
        };
        fs::rename(aside.join("w1"), waiting.join("w1")).unwrap();
        fs::rename(fixture.dir.path().join("aside2/w2"), waiting.join("w2")).unwrap();
        let files = [&first, &second, &third].map(|begun| leave(begun, &["part-0"]));
        let [one, two, three] = files;
        // While one fills it another comes.
        fs::write(waiting.join(FILLING), "").unwrap();
        let error = third.commit(three).unwrap_err();
        assert!(matches!(error, WriteError::Exists { .. }), "{error}");
        fs::remove_file(waiting.join(FILLING)).unwrap();
        second.commit(two).unwrap();
        let error = first.commit(one).unwrap_err();
        assert!(matches!(error, WriteError::Exists { .. }), "{error}");
        let mut names: Vec<_> = fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["_SUCCESS", "part-0"], "what waited there is gone");
    }

    #[test]
    fn the_mark_vouches_for_no_append_that_is_under_way() {
        let fixture = Fixture::new();
        let begun = fixture.begin("t", Kind::NewFolder, "w1").unwrap();
        let files = leave(&begun, &["part-0-w1"]);
        begun.commit(files).unwrap();
        let begun = fixture.begin("t", Kind::Append, "w2").unwrap();
        let mut files = leave(&begun, &["part-0-w2", "part-1-w2"]);
        files[1].staged = "nowhere/0".into();
        begun.commit(files).unwrap_err();
        assert_eq!(fixture.all(), ["t/", "t/_SUCCESS", "t/part-0-w1"]);
    }
}
