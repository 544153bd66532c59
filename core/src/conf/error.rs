//! What can be wrong with a configuration.

use super::{
    MAX_NAME, MAX_VALUE, nearest,
    secret::{REDACTED, is_secret},
};
use std::{fmt, path::PathBuf};

/// Why a configuration is refused. Says which key, which value, and what is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    /// A `hearth.*` name that is not in the table.
    #[error("{name} is not a configuration key; did you mean {nearest}?")]
    UnknownKey {
        /// What was given.
        name: String,
        /// The key whose name is most like it.
        nearest: &'static str,
    },
    /// A value that its key does not take.
    #[error("{name}={value:?}: expected {expected}")]
    BadValue {
        /// The key.
        name: String,
        /// What was given.
        value: String,
        /// What the key takes, with an example.
        expected: String,
    },
    /// Two values that exclude one another.
    #[error("{}={} and {}={}: {why}", a.0, a.1, b.0, b.1)]
    Conflict {
        /// One key and its value.
        a: (&'static str, String),
        /// The other.
        b: (&'static str, String),
        /// What must hold.
        why: &'static str,
    },
    /// A name or a value is too long.
    #[error(
        "{name}…: a name of {name_bytes} bytes with a value of {value_bytes}; expected at most {MAX_NAME} and {MAX_VALUE}"
    )]
    TooLong {
        /// How the name begins.
        name: String,
        /// Its length.
        name_bytes: usize,
        /// The value's length.
        value_bytes: usize,
    },
    /// A bound on the whole was reached.
    #[error("the configuration has more than {limit} {what}; remove what is not needed")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A file cannot be read.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A line of a file is wrong.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl ConfError {
    /// A name that is no key's, for whoever looks one up.
    pub fn unknown(name: &str) -> Self {
        Self::UnknownKey { name: name.to_owned(), nearest: nearest::nearest(name).0 }
    }

    pub(super) fn bad_value(name: &str, value: &str, expected: String) -> Self {
        /// Characters of a value that an error shows.
        const SHOWN: usize = 200;
        let shown = if is_secret(name) { REDACTED } else { value };
        Self::BadValue { name: name.to_owned(), value: shown.chars().take(SHOWN).collect(), expected }
    }

    pub(super) fn too_long(name: &str, value: &str) -> Self {
        /// Characters of a name that an error shows.
        const SHOWN: usize = 40;
        Self::TooLong { name: name.chars().take(SHOWN).collect(), name_bytes: name.len(), value_bytes: value.len() }
    }
}

/// What is worth saying about a configuration that is taken. For people: `Display` is the whole of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(String);

impl Warning {
    pub(super) fn unsupported(name: &str) -> Self {
        Self(format!("{name} is not implemented and has no effect{}", hint(name)))
    }

    pub(super) fn foreign(name: &str) -> Self {
        let shown = name.escape_debug();
        Self(format!("{shown} is ignored: keys begin with spark. or hearth.{}", hint(name)))
    }
}

/// A key that differs so little that it was probably meant.
fn hint(name: &str) -> String {
    /// Two slips of the finger.
    const CLOSE: usize = 2;
    match nearest::nearest(name) {
        (key, distance) if distance <= CLOSE => format!("; did you mean {key}?"),
        _ => String::new(),
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
