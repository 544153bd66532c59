//! What became of the records of a file, and of all files.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

/// Why a record failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The file cannot be read as sqllogictest.
    Unreadable,
    /// The engine gave an error where rows were expected.
    Error,
    /// The engine gave rows where an error was expected.
    NoError,
    /// The error is another than the expected one.
    OtherError,
    /// Other rows.
    Rows,
    /// Columns of other types.
    Types,
    /// Another plan: the record is an EXPLAIN.
    Plan,
    /// The engine panicked.
    Panic,
    /// A shell command, a variable, or a count of rows.
    Other,
}

/// A record that failed.
#[derive(Clone, Debug)]
pub struct Problem {
    /// `file:line`
    pub place: String,
    /// The kind of failure.
    pub reason: Reason,
    /// The whole story, with the statement.
    pub text: String,
}

/// What became of one file.
#[derive(Clone, Debug, Default)]
pub struct FileReport {
    /// Its path.
    pub name: String,
    /// Records that did as the file says.
    pub passed: usize,
    /// Of these, those that failed as expected but with other words.
    pub other_words: usize,
    /// Records for other engines.
    pub skipped: usize,
    /// Records that did not.
    pub problems: Vec<Problem>,
}

/// What became of all files.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Records, of all files together.
    pub sum: FileReport,
    /// Files without a failure, and all.
    pub files: (usize, usize),
}

impl Report {
    /// Adds a file.
    pub fn add(&mut self, file: FileReport) {
        self.files.0 += usize::from(file.problems.is_empty());
        self.files.1 += 1;
        self.sum.passed += file.passed;
        self.sum.other_words += file.other_words;
        self.sum.skipped += file.skipped;
        self.sum.problems.extend(file.problems);
    }

    /// Whether nothing failed.
    pub const fn is_ok(&self) -> bool {
        self.sum.problems.is_empty()
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} passed, {} failed, {} skipped", self.name, self.passed, self.problems.len(), self.skipped)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileReport { passed, other_words, skipped, problems, .. } = &self.sum;
        writeln!(f, "total: {passed} passed, {} failed, {skipped} skipped", problems.len())?;
        writeln!(f, "files: {} of {} without a failure", self.files.0, self.files.1)?;
        if *other_words > 0 {
            writeln!(f, "{other_words} of those that passed failed as expected, with other words")?;
        }
        let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
        for problem in problems {
            *reasons.entry(problem.reason).or_default() += 1;
        }
        let mut lines = String::new();
        for (reason, count) in reasons {
            writeln!(lines, "{count:>6}  {reason}")?;
        }
        f.write_str(&lines)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "the file cannot be read",
            Self::Error => "an error came",
            Self::NoError => "no error came",
            Self::OtherError => "another error came",
            Self::Rows => "other rows came",
            Self::Types => "columns of other types came",
            Self::Plan => "another plan came",
            Self::Panic => "a panic",
            Self::Other => "something else",
        })
    }
}
