//! The master's state directory: a lock, the term, and the journal.
//!
//! | file | what |
//! |---|---|
//! | `lock` | locked by the master that uses the directory |
//! | `term` | the term of the last master that used it |
//! | `journal` | one record a line, as JSON, in the order in which they were promised |
//! | `journal.<n>` | journals of earlier masters |
//!
//! A journal is written and not read yet: a master that finds one moves it aside, says where, and starts empty.

use super::Error;
use crate::machine::Record;
use hearth_core::run::Journal;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Numbers tried for the name of an old journal. Whoever has as many has a directory that nobody looks after.
const MAX_OLD_JOURNALS: u32 = 10_000;

/// A state directory that is ours.
#[derive(Debug)]
pub(super) struct StateDir {
    dir: PathBuf,
    /// The lock goes with the file.
    lock: File,
}

impl StateDir {
    /// Takes a directory, and makes it when it is not there.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
        let path = dir.join("lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(at(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Error::StateDir { path, source }),
        }
    }

    /// The term of this master: at least `floor`, and higher than that of any that used the directory before.
    pub(super) fn next_term(&self, floor: u64) -> Result<u64, Error> {
        let path = self.dir.join("term");
        let last = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse::<u64>().map_err(|_| {
                let shown: String = text.chars().take(40).collect();
                at(&path)(io::Error::other(format!("it should hold a number, and holds {shown:?}")))
            })?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(source) => return Err(Error::StateDir { path, source }),
        };
        let term = last.saturating_add(1).max(floor);
        let written = self.dir.join("term.new");
        create(&written)
            .and_then(|mut file| {
                writeln!(file, "{term}")?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&written, &path))
            .and_then(|()| self.sync())
            .map_err(at(&path))?;
        Ok(term)
    }

    /// A new journal, and where the old one was moved, when there was one with anything in it.
    pub(super) fn start_journal(self) -> Result<(FileJournal, Option<PathBuf>), Error> {
        let path = self.dir.join("journal");
        let filled = match fs::metadata(&path) {
            Ok(metadata) => metadata.len() > 0,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(Error::StateDir { path, source }),
        };
        let aside = if filled { Some(self.free_name()?) } else { None };
        if let Some(aside) = &aside {
            fs::rename(&path, aside).map_err(at(aside))?;
        }
        let file = create(&path).map_err(at(&path))?;
        self.sync().map_err(at(&path))?;
        Ok((FileJournal { file, path, buffer: Vec::new(), _lock: self.lock }, aside))
    }

    fn free_name(&self) -> Result<PathBuf, Error> {
        let mut names = (1..=MAX_OLD_JOURNALS).map(|n| self.dir.join(format!("journal.{n}")));
        names.find(|name| !name.exists()).ok_or_else(|| {
            let full = io::Error::other(format!("there are {MAX_OLD_JOURNALS} old journals; remove those not needed"));
            at(&self.dir)(full)
        })
    }

    /// Makes renames and new files durable.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::StateDir { path: path.clone(), source }
}

/// A journal in a file.
#[derive(Debug)]
pub(super) struct FileJournal {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    _lock: File,
}

impl Journal<Record> for FileJournal {
    fn append(&mut self, records: &[&Record]) -> io::Result<()> {
        self.buffer.clear();
        for record in records {
            serde_json::to_writer(&mut self.buffer, record)?;
            self.buffer.push(b'\n');
        }
        let written = self.file.write_all(&self.buffer).and_then(|()| self.file.sync_data());
        written.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.path.display())))
    }
}

/// The journal of a master, with or without a state directory.
#[derive(Debug)]
pub(super) enum MasterJournal {
    /// Nothing is kept.
    Nowhere,
    /// In a state directory.
    File(FileJournal),
}

impl Journal<Record> for MasterJournal {
    fn append(&mut self, records: &[&Record]) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::File(journal) => journal.append(records),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_core::ApplicationState;

    fn ended(n: u32) -> Record {
        let application = hearth_core::ApplicationId::new(hearth_core::WallTime(0), n);
        Record::ApplicationEnded { application, state: ApplicationState::Finished, message: "line\nbreak".into() }
    }

    fn read(path: &Path) -> Vec<Record> {
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn records_are_kept_and_an_old_journal_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("deep/state");
        for (n, aside) in [(1, None), (2, Some("journal.1")), (3, Some("journal.2"))] {
            let (mut journal, old) = StateDir::open(&dir).unwrap().start_journal().unwrap();
            assert_eq!(old, aside.map(|name| dir.join(name)));
            journal.append(&[&ended(n), &ended(n + 10)]).unwrap();
            journal.append(&[&ended(n + 20)]).unwrap();
        }
        assert_eq!(read(&dir.join("journal.1")), [ended(1), ended(11), ended(21)]);
        assert_eq!(read(&dir.join("journal")), [ended(3), ended(13), ended(23)]);
        // One that holds nothing is not worth keeping.
        assert_eq!(StateDir::open(&dir).unwrap().start_journal().unwrap().1, Some(dir.join("journal.3")));
        assert_eq!(StateDir::open(&dir).unwrap().start_journal().unwrap().1, None);
    }

    #[test]
    fn the_second_master_on_a_directory_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = StateDir::open(dir.path()).unwrap().start_journal().unwrap();
        let error = StateDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        drop(first);
        StateDir::open(dir.path()).unwrap();
    }

    #[test]
    fn terms_rise_and_a_damaged_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        assert_eq!(state.next_term(100).unwrap(), 100);
        assert_eq!(state.next_term(100).unwrap(), 101);
        assert_eq!(state.next_term(200).unwrap(), 200);
        fs::write(dir.path().join("term"), "12x").unwrap();
        let error = state.next_term(1).unwrap_err().to_string();
        assert!(error.contains("/term of the state directory: it should hold a number, and holds \"12x\""), "{error}");
    }
}
