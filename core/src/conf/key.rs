//! What a key is.

use std::fmt;

/// Who reads a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reader {
    /// An application: its driver, and the executors that work for it.
    Application,
    /// The master.
    Master,
    /// A worker.
    Worker,
}

impl Reader {
    /// All of them, in the order in which a person meets them.
    pub const ALL: [Self; 3] = [Self::Application, Self::Master, Self::Worker];
}

/// A key whose values have the type `T`.
pub struct Key<T: 'static> {
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    pub(super) parse: fn(&str) -> Result<T, String>,
}

impl<T> Key<T> {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its default, as a user would write it; empty when it is unset.
    pub const fn default(&self) -> &'static str {
        self.default
    }

    /// Reads a value, or says what is expected.
    pub fn parse(&self, text: &str) -> Result<T, String> {
        (self.parse)(text)
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A key in the table, whatever its type.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its default, as a user would write it; empty when it is unset.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Who reads it.
    pub reader: Reader,
    /// Whether it is read anew for each statement, so that `SET` can change it in a session that runs.
    pub per_statement: bool,
    /// Says what is expected when a value is none.
    pub(super) check: fn(&str) -> Result<(), String>,
}
