//! `--tables DIR`: every file, or folder of files, in one directory.

use super::{
    Wanted,
    kind::{EXTENSIONS, Named, is_hidden},
};
use crate::{PlanError, session::SqlSession};
use datafusion::common::TableReference;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Folders in one another that are looked into for files: Hive partitions have a handful of columns.
const MAX_LEVELS: usize = 32;

impl SqlSession {
    /// Registers every file in `dir` whose name tells its format, and every folder of such files, with or without Hive
    /// partitions, as a table named like it, without its ending. Gives the names, sorted.
    pub async fn register_tables(&self, dir: &Path) -> Result<Vec<String>, PlanError> {
        let wrong = |message: String| PlanError::input(dir, message);
        if !dir.is_dir() {
            let what = if dir.exists() { "not a directory" } else { "no such directory" };
            return Err(wrong(format!("{what}; expected a directory of files that end with {EXTENSIONS}")));
        }
        let dir = fs::canonicalize(dir).map_err(|e| wrong(e.to_string()))?;
        let found = find_tables(&dir)?;
        if found.is_empty() {
            return Err(wrong(format!("no file in it ends with {EXTENSIONS}")));
        }
        let state = self.context.state();
        for (name, path) in &found {
            let text = path.to_str().ok_or_else(|| PlanError::input(path, "the path is not UTF-8"))?;
            let reference = TableReference::bare(name.as_str());
            let wanted = Wanted { name: Some(reference.clone()), ..Wanted::at(text) };
            let table = wanted.table(&state).await?;
            self.context.register_table(reference, table)?;
        }
        Ok(found.into_keys().collect())
    }
}

/// What lies in a directory, sorted, but what is hidden.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, PlanError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if !is_hidden(&entry.file_name().to_string_lossy()) {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    };
    read().map_err(|e| PlanError::input(dir, e.to_string()))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn find_tables(dir: &Path) -> Result<BTreeMap<String, PathBuf>, PlanError> {
    let mut tables: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in entries(dir)? {
        let mut name = name_of(&path);
        if path.is_dir() {
            if !has_data(&path, MAX_LEVELS)? {
                tracing::warn!(path = %path.display(), "skipped: no file in the folder ends with {EXTENSIONS}");
                continue;
            }
        } else if let Some(named) = Named::of(&name) {
            name.truncate(name.len() - named.ending.len());
        } else {
            tracing::warn!(path = %path.display(), "skipped: its name does not end with {EXTENSIONS}");
            continue;
        }
        if let Some(other) = tables.insert(name.clone(), path.clone()) {
            let message = format!("both it and {} would be table {name}; rename one", other.display());
            return Err(PlanError::input(path, message));
        }
    }
    Ok(tables)
}

/// Whether a folder is a table: it has files whose names tell their format, or Hive partitions with such files.
fn has_data(dir: &Path, levels: usize) -> Result<bool, PlanError> {
    for path in entries(dir)? {
        let name = name_of(&path);
        let found = if path.is_dir() {
            levels > 0 && name.contains('=') && has_data(&path, levels - 1)?
        } else {
            Named::of(&name).is_some()
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
