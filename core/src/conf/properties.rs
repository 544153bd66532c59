//! Files of keys: one `key value` a line, as in Spark.
//!
//! ```text
//! # a comment
//! spark.executor.memory  2g
//! spark.cores.max = 8
//! spark.app.name: nightly report
//! ```

use super::ConfError;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Bytes of a file; comments included, this is far above what anybody writes.
const MAX_FILE: u64 = 4 << 20;

/// A key and its value, with the line that they stand in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) value: String,
}

/// The lines of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, ConfError> {
    let file_error = |problem: String| ConfError::File { path: path.to_owned(), problem };
    let bytes = read_bounded(path).map_err(|e| file_error(e.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(file_error(format!("larger than {} MiB; expected a file of keys", MAX_FILE >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        file_error(format!("not UTF-8 at byte {}; expected a text file of keys", e.utf8_error().valid_up_to()))
    })?;
    lines(&text).map_err(|(line, problem)| ConfError::Line { path: path.to_owned(), line, problem: problem.to_owned() })
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The keys and values in a text, or the line that is neither comment nor key and what is wrong with it.
fn lines(text: &str) -> Result<Vec<Line>, (usize, &'static str)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        // A user of Java's format means the next line by it; dropping that silently would be worse.
        if line.ends_with('\\') {
            return Err((number, "a line cannot be continued on the next; write key and value in one line"));
        }
        let separator = |c: char| c.is_whitespace() || c == '=' || c == ':';
        let Some((name, rest)) = line.split_once(separator) else {
            return Err((number, "a key without a value; expected `key value`, such as spark.executor.memory 2g"));
        };
        if name.is_empty() {
            return Err((number, "a value without a key; expected `key value`, such as spark.executor.memory 2g"));
        }
        // `key = value` has its separator after blanks.
        let rest = match line[name.len()..].trim_start().strip_prefix(['=', ':']) {
            Some(rest) => rest,
            None => rest,
        };
        found.push(Line { number, name: name.to_owned(), value: rest.trim().to_owned() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_sparks_separators_are_taken() {
        let text =
            "# comment\n! comment\n\n  spark.a 1\nspark.b=2\nspark.c = x = y\nspark.d: z\nspark.e\t \t5  \nspark.f=\n";
        let read: Vec<_> = lines(text).unwrap().into_iter().map(|l| (l.number, l.name, l.value)).collect();
        let expected = [(4, "a", "1"), (5, "b", "2"), (6, "c", "x = y"), (7, "d", "z"), (8, "e", "5"), (9, "f", "")];
        assert_eq!(read, expected.map(|(n, k, v)| (n, format!("spark.{k}"), v.to_owned())));
        assert_eq!(lines("spark.a 1\r\nspark.b 2").unwrap()[0].value, "1");
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_line() {
        for (text, line, problem) in [
            ("\nspark.a", 2, "key without a value"),
            ("= 1", 1, "value without a key"),
            ("spark.a 1\nspark.b 2 \\\n 3", 2, "cannot be continued"),
        ] {
            let (at, what) = lines(text).unwrap_err();
            assert_eq!(at, line);
            assert!(what.contains(problem), "{what}");
        }
    }
}
