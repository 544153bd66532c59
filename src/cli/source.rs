//! SQL text, and where it comes from.

use super::Failure;
use hearth_plan::{PlanError, Statement};
use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// Bytes of SQL text that are read: far above what people write, far below what hurts.
const MAX_SQL_BYTES: u64 = 16 << 20;

/// SQL text, and where it comes from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) text: String,
    /// The file's name; nothing when the text was an argument.
    name: Option<String>,
    /// Nobody asked for standard input: it was all there was.
    unasked: bool,
}

impl Source {
    /// The text of `-e`, else of the file of `-f` (`-` is standard input), else of standard input.
    pub(super) fn read(execute: Option<&str>, file: Option<&Path>) -> Result<Self, Failure> {
        match (execute, file) {
            (Some(text), _) => Ok(Self::typed(text)),
            (None, Some(path)) if path != Path::new("-") => Self::file(path),
            (None, file) => {
                let text = decode("standard input", read_bounded(io::stdin().lock()))?;
                Ok(Self { text, name: Some("standard input".into()), unasked: file.is_none() })
            }
        }
    }

    /// What somebody typed.
    pub(super) fn typed(text: &str) -> Self {
        Self { text: text.to_owned(), name: None, unasked: false }
    }

    /// The text of a file.
    pub(super) fn file(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = decode(&name, fs::File::open(path).and_then(read_bounded))?;
        Ok(Self { text, name: Some(name), unasked: false })
    }

    /// Its statements: what is no SQL is refused before anybody's cores are taken.
    pub(super) fn parse(&self) -> Result<Vec<Statement>, Failure> {
        let statements = Statement::parse(&self.text).map_err(|e| self.refusal(&e))?;
        match () {
            () if !statements.is_empty() => Ok(statements),
            () if self.unasked => Err(Failure::usage(
                "give the SQL to run with -e SQL, with -f FILE, or on standard input; there is none",
            )),
            () => Err(Failure::failed("there is no statement in the SQL text")),
        }
    }

    fn refusal(&self, error: &PlanError) -> Failure {
        Failure::failed(self.named(error))
    }

    /// What is wrong with it as a whole.
    pub(super) fn named(&self, error: &dyn std::fmt::Display) -> String {
        let at = self.name.as_ref().map_or_else(String::new, |name| format!("{name}: "));
        format!("{at}{error}")
    }

    /// What went wrong, with the statement that it was, when there are several or they are in a file.
    pub(super) fn locate(&self, place: usize, statements: &[Statement], message: &str) -> String {
        let (number, of) = (place + 1, statements.len());
        let line = statements.get(place).map_or(1, Statement::line);
        match &self.name {
            Some(name) => format!("{name}:{line}: statement {number} of {of}: {message}"),
            None if of > 1 => format!("statement {number} of {of}, line {line}: {message}"),
            None => message.to_owned(),
        }
    }
}

/// Whether a statement's rows are what it is for. The others give none, or say how many rows they wrote elsewhere.
pub(super) fn gives_rows(statement: &Statement) -> bool {
    const OTHERS: [&str; 17] = [
        "alter",
        "begin",
        "commit",
        "copy",
        "create",
        "deallocate",
        "delete",
        "drop",
        "insert",
        "prepare",
        "reset",
        "rollback",
        "set",
        "start",
        "truncate",
        "update",
        "use",
    ];
    let text = statement.to_string().to_ascii_lowercase();
    let first = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    !OTHERS.contains(&first)
}

fn decode(name: &str, read: io::Result<Vec<u8>>) -> Result<String, Failure> {
    let bytes = read.map_err(|e| Failure::failed(format!("{name}: {e}")))?;
    if bytes.len() as u64 > MAX_SQL_BYTES {
        return Err(Failure::failed(format!("{name}: more than {} MiB of SQL", MAX_SQL_BYTES >> 20)));
    }
    String::from_utf8(bytes).map_err(|e| {
        Failure::failed(format!("{name}: not UTF-8 at byte {}; SQL text must be UTF-8", e.utf8_error().valid_up_to()))
    })
}

fn read_bounded(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_SQL_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_from_rows() {
        let gives = |sql: &str| gives_rows(&Statement::parse(sql).unwrap()[0]);
        for sql in [
            "select 1",
            "(select 1)",
            "with a as (select 1) select * from a",
            "values (1)",
            "explain insert into t values (1)",
            "show tables",
            "describe t",
            "execute p(1)",
        ] {
            assert!(gives(sql), "{sql}");
        }
        for sql in [
            "create table t as select 1",
            "create external table t stored as csv location 'x'",
            "insert into t select 1",
            "copy t to 'x'",
            "set a.b = 1",
            "drop table t",
            "prepare p as select 1",
        ] {
            assert!(!gives(sql), "{sql}");
        }
    }
}
