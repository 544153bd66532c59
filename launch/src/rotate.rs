//! A log file that rotates by size.

use crate::LogFile;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// An open log. Synchronous: it is written on a thread that may block.
#[derive(Debug)]
pub(crate) struct RotatingLog {
    log: LogFile,
    file: File,
    size: u64,
}

impl RotatingLog {
    /// Opens the log, at its end.
    pub(crate) fn open(log: LogFile) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&log.path)?;
        let size = file.metadata()?.len();
        Ok(Self { log, file, size })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.log.path
    }

    /// Appends; begins new parts where the size demands it, between two lines where it can.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let piece = self.next_piece(bytes);
            if piece == 0 {
                self.rotate()?;
                continue;
            }
            self.file.write_all(&bytes[..piece])?;
            self.size += piece as u64;
            bytes = &bytes[piece..];
        }
        Ok(())
    }

    /// How many of these bytes go into the current part. Zero only when it is not empty.
    fn next_piece(&self, bytes: &[u8]) -> usize {
        let max = self.log.max_size.max(1);
        let room = usize::try_from(max.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if bytes.len() <= room {
            return bytes.len();
        }
        match bytes[..room].iter().rposition(|b| *b == b'\n') {
            Some(end_of_line) => end_of_line + 1,
            None if self.size == 0 => room,
            None => 0,
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let retained = self.log.retained;
        if retained == 0 {
            self.file.set_len(0)?;
        } else {
            for age in (1..retained).rev() {
                rename_if_there(&self.part(age), &self.part(age + 1))?;
            }
            rename_if_there(&self.log.path, &self.part(1))?;
            self.file = OpenOptions::new().create(true).append(true).open(&self.log.path)?;
        }
        self.size = 0;
        Ok(())
    }

    fn part(&self, age: u32) -> PathBuf {
        let mut name = self.log.path.clone().into_os_string();
        name.push(format!(".{age}"));
        name.into()
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(dir: &Path) -> Vec<(String, String)> {
        let mut parts: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().path())
            .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&p).unwrap()))
            .collect();
        parts.sort();
        parts
    }

    fn log(dir: &Path, retained: u32) -> RotatingLog {
        RotatingLog::open(LogFile { path: dir.join("log"), max_size: 10, retained }).unwrap()
    }

    fn owned(parts: &[(&str, &str)]) -> Vec<(String, String)> {
        parts.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect()
    }

    #[test]
    fn parts_begin_between_lines_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 2);
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "seven\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        let expected = owned(&[("log", "six\nseven\n"), ("log.1", "four\nfive\n"), ("log.2", "three\n")]);
        assert_eq!(parts(dir.path()), expected);
    }

    #[test]
    fn a_burst_is_cut_at_its_lines_and_a_long_line_where_it_must_be() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 3);
        log.write(b"a\nbb\n0123456789ABCDEF\n").unwrap();
        let expected = owned(&[("log", "ABCDEF\n"), ("log.1", "0123456789"), ("log.2", "a\nbb\n")]);
        assert_eq!(parts(dir.path()), expected);
    }

    #[test]
    fn a_log_is_continued_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        log(dir.path(), 1).write(b"12345678").unwrap();
        log(dir.path(), 1).write(b"9\n0\n").unwrap();
        assert_eq!(parts(dir.path()), owned(&[("log", "0\n"), ("log.1", "123456789\n")]));
    }

    #[test]
    fn with_no_older_parts_the_log_starts_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 0);
        log.write(b"12345678\n").unwrap();
        log.write(b"abc\n").unwrap();
        assert_eq!(parts(dir.path()), owned(&[("log", "abc\n")]));
    }
}
