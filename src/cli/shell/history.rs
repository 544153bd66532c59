//! What was typed, kept for the next session.

use super::{Line, output};
use hearth_core::conf::secret::is_secret;
use rustyline::history::History as _;
use std::{
    env, fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Statements that are kept; what is older goes.
pub(super) const MAX_ENTRIES: usize = 5000;
/// Bytes of a statement that is kept: nobody looks for a longer one by its first letters.
const MAX_BYTES: usize = 64 << 10;

/// The history of a shell.
pub(super) struct History {
    /// The file; none when nothing is kept.
    path: Option<PathBuf>,
}

impl History {
    /// Reads what was kept.
    pub(super) fn open(wanted: bool, editor: &mut Line) -> Self {
        let Some(path) = wanted.then(path).flatten() else { return Self { path: None } };
        match prepare(&path).and_then(|()| load(editor, &path)) {
            Ok(()) => Self { path: Some(path) },
            Err(error) => {
                output::remark(&format!("what is typed is not kept: {}: {error}", path.display()));
                Self { path: None }
            }
        }
    }

    /// Keeps a line, at once: several shells may be open, and not every one is left politely.
    pub(super) fn keep(&mut self, editor: &mut Line, line: &str) {
        if line.len() > MAX_BYTES || holds_secret(line) {
            return;
        }
        // What this session typed is offered even when it is not kept.
        let added = editor.add_history_entry(line).unwrap_or(false);
        let Some(path) = self.path.as_deref().filter(|_| added) else { return };
        if let Err(error) = editor.append_history(path) {
            output::remark(&format!("what is typed is not kept any more: {}: {error}", path.display()));
            self.path = None;
        }
    }

    /// The newest entries, oldest first.
    pub(super) fn newest(editor: &Line, count: usize) -> Vec<String> {
        let history = editor.history();
        let skipped = history.len().saturating_sub(count);
        history.iter().skip(skipped).cloned().collect()
    }
}

/// `$XDG_STATE_HOME/hearth/history`, else `~/.hearth/history`.
fn path() -> Option<PathBuf> {
    let dir = |name: &str| env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let state = dir("XDG_STATE_HOME").map(|dir| dir.join("hearth"));
    Some(state.or_else(|| dir("HOME").map(|home| home.join(".hearth")))?.join("history"))
}

/// The directory is the user's alone, as the file will be.
fn prepare(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) if !dir.is_dir() => fs::DirBuilder::new().recursive(true).mode(0o700).create(dir),
        _ => Ok(()),
    }
}

fn load(editor: &mut Line, path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    editor.load_history(path).map_err(|e| io::Error::other(e.to_string()))
}

/// Whether a statement looks as if it held a password or a key: one that sets something of such a name, or a URL with a
/// password in it.
fn holds_secret(line: &str) -> bool {
    let lower = line.to_lowercase();
    let sets =
        ["set ", "create ", "copy ", "alter "].iter().any(|word| lower.contains(word)) || lower.contains("options");
    let user_in_url = lower.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '\'', ' ', '"']).next().unwrap_or_default();
        authority.split_once('@').is_some_and(|(user, _)| user.contains(':'))
    });
    let mut names = lower.split(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '_'));
    user_in_url || sets && names.any(is_secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_noticed() {
        for line in [
            "SET spark.hadoop.fs.s3a.secret.key = 'x';",
            "create external table t stored as csv location 's3://b' options ('aws.secret_access_key' 'x');",
            "copy t to 'x' options (password 'y')",
            "create external table t stored as csv location 'az://c/' options ('azure.account_key' 'x');",
            "set spark.hadoop.fs.azure.sas.fixed.token.acc = 'x';",
            "select * from 'https://me:word@host/x.csv'",
        ] {
            assert!(holds_secret(line), "{line}");
        }
        for line in ["select token from t;", "set spark.sql.shuffle.partitions = 4;", "select 'https://host/a@b:c'"] {
            assert!(!holds_secret(line), "{line}");
        }
    }
}
