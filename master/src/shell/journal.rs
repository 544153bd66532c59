//! The master's state directory: a lock, the term, and the journal.
//!
//! | file | what |
//! |---|---|
//! | `lock` | locked by the master that uses the directory |
//! | `term` | the term of the last master that used it |
//! | `journal` | one record a line, as JSON, in the order in which they were promised |
//! | `journal.<n>` | journals before it, of this master or of earlier ones; the last 10 |
//!
//! A journal is written and not read yet: a master that finds one moves it aside, says where, and starts empty. One that
//! is full is moved aside too.

use super::Error;
use crate::machine::Record;
use hearth_core::run::Journal;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Old journals that are kept: enough to look into what happened lately.
const OLD_JOURNALS: usize = 10;
/// Bytes after which a journal is set aside and another begun. While nothing reads journals, nothing is lost with it.
const FULL: u64 = 64 << 20;

/// A state directory that is ours.
#[derive(Debug)]
pub(super) struct StateDir {
    dir: PathBuf,
    /// The lock goes with the file.
    _lock: File,
}

impl StateDir {
    /// Takes a directory, and makes it when it is not there.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
        let path = dir.join("lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(at(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
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
        let path = self.journal();
        let filled = match fs::metadata(&path) {
            Ok(metadata) => metadata.len() > 0,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(Error::StateDir { path, source }),
        };
        let aside = if filled { Some(self.set_aside().map_err(at(&path))?) } else { None };
        let file = create(&path).map_err(at(&path))?;
        self.sync().map_err(at(&path))?;
        Ok((FileJournal { state: self, file, written: 0, full: FULL, buffer: Vec::new() }, aside))
    }

    fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// Moves the journal aside under the next number, and removes the oldest of those that are there.
    fn set_aside(&self) -> io::Result<PathBuf> {
        let mut old = self.old_journals()?;
        let next = old.last().map_or(Some(1), |last| last.checked_add(1));
        let next = next.ok_or_else(|| io::Error::other(format!("no number comes after journal.{}", u64::MAX)))?;
        let aside = self.old_journal(next);
        fs::rename(self.journal(), &aside)?;
        old.push(next);
        for n in &old[..old.len().saturating_sub(OLD_JOURNALS)] {
            let path = self.old_journal(*n);
            match fs::remove_file(&path) {
                Ok(()) => tracing::info!("removed {}: {OLD_JOURNALS} later journals are kept", path.display()),
                // It is in nobody's way but the disk's.
                Err(error) => tracing::warn!("cannot remove {}: {error}", path.display()),
            }
        }
        Ok(aside)
    }

    fn old_journal(&self, n: u64) -> PathBuf {
        self.dir.join(format!("journal.{n}"))
    }

    /// The numbers of the journals that were moved aside, rising.
    fn old_journals(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("journal.")?.parse().ok());
            // Not all that reads as a number is a name of ours: journal.+1, journal.007.
            numbers.extend(number.filter(|n: &u64| *name == *format!("journal.{n}")));
        }
        numbers.sort_unstable();
        Ok(numbers)
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
    state: StateDir,
    file: File,
    /// Bytes in the file.
    written: u64,
    /// Bytes at which it is full.
    full: u64,
    buffer: Vec<u8>,
}

impl FileJournal {
    /// Begins another file.
    fn turn(&mut self) -> io::Result<()> {
        let aside = self.state.set_aside()?;
        self.file = create(&self.state.journal())?;
        self.state.sync()?;
        self.written = 0;
        tracing::info!("the journal was full; it is kept as {}", aside.display());
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let bytes = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        if self.written > 0 && self.written.saturating_add(bytes) > self.full {
            self.turn()?;
        }
        self.file.write_all(&self.buffer)?;
        self.file.sync_data()?;
        self.written = self.written.saturating_add(bytes);
        Ok(())
    }
}

impl Journal<Record> for FileJournal {
    fn append(&mut self, records: &[&Record]) -> io::Result<()> {
        self.buffer.clear();
        for record in records {
            serde_json::to_writer(&mut self.buffer, record)?;
            self.buffer.push(b'\n');
        }
        self.write().map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.state.journal().display())))
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

    fn old(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut old: Vec<_> = names.filter(|name| name.starts_with("journal.")).collect();
        old.sort();
        old
    }

    #[test]
    fn old_journals_are_kept_up_to_a_bound_and_what_is_no_journal_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for n in [1, 2, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17] {
            fs::write(dir.join(format!("journal.{n}")), "{}").unwrap();
        }
        for strange in ["journal.007", "journal.+3", "journal.old"] {
            fs::write(dir.join(strange), "").unwrap();
        }
        fs::write(dir.join("journal"), "{}").unwrap();
        let (_journal, aside) = StateDir::open(dir).unwrap().start_journal().unwrap();
        assert_eq!(aside, Some(dir.join("journal.18")));
        let mut expected: Vec<_> = (9..=18).map(|n| format!("journal.{n}")).collect();
        expected.extend(["journal.+3", "journal.007", "journal.old"].map(String::from));
        expected.sort();
        assert_eq!(old(dir), expected);
    }

    #[test]
    fn a_full_journal_is_set_aside_between_two_writes() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = StateDir::open(dir.path()).unwrap().start_journal().unwrap();
        journal.append(&[&ended(1)]).unwrap();
        journal.full = 2 * journal.written;
        for n in 2..=5 {
            journal.append(&[&ended(n)]).unwrap();
        }
        // One write is never split, however large.
        journal.append(&[&ended(6), &ended(7), &ended(8)]).unwrap();
        assert_eq!(old(dir.path()), ["journal.1", "journal.2", "journal.3"]);
        assert_eq!(read(&dir.path().join("journal.1")), [ended(1), ended(2)]);
        assert_eq!(read(&dir.path().join("journal.2")), [ended(3), ended(4)]);
        assert_eq!(read(&dir.path().join("journal.3")), [ended(5)]);
        assert_eq!(read(&dir.path().join("journal")), [ended(6), ended(7), ended(8)]);
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
