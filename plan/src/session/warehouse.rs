//! Where the tables are that CREATE TABLE makes.

use crate::PlanError;
use datafusion::{
    common::{ResolvedTableReference, TableReference, config::CatalogOptions},
    prelude::SessionContext,
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tempfile::TempDir;

/// Characters of the session's id in the name of a write: with 60 random bits, no two sessions have the same.
const ID_CHARS: usize = 16;
/// Folders that a table's name is tried with, before another is to be chosen: `t`, `t-1`, `t-2`, …
const FOLDERS: u64 = 10_000;

/// Where the tables are that CREATE TABLE makes, and which there are.
#[derive(Debug)]
pub(super) struct Warehouse {
    /// A folder that stays, or the one in which a folder of the session's own is made.
    dir: PathBuf,
    stays: bool,
    state: Mutex<State>,
    writes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// The session's own folder, once there is a table. It goes with the session.
    own: Option<TempDir>,
    /// The folders of tables, by their full names.
    tables: BTreeMap<ResolvedTableReference, PathBuf>,
}

impl Warehouse {
    /// In `fixed`, which stays when the session ends; else in a folder of the session's own in `parent`.
    pub(super) fn new(fixed: Option<PathBuf>, parent: PathBuf) -> Self {
        let stays = fixed.is_some();
        Self { dir: fixed.unwrap_or(parent), stays, state: Mutex::default(), writes: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of the next write of a session, which no other write has.
    pub(super) fn next_write(&self, context: &SessionContext) -> String {
        let id: String = context.session_id().chars().filter(char::is_ascii_alphanumeric).take(ID_CHARS).collect();
        format!("{id}-{}", self.writes.fetch_add(1, Ordering::Relaxed))
    }

    fn folder(&self) -> Result<PathBuf, PlanError> {
        if self.stays {
            return Ok(self.dir.clone());
        }
        let mut state = self.state();
        let own = match state.own.take() {
            Some(own) => own,
            None => tempfile::Builder::new()
                .prefix("hearth-warehouse-")
                .tempdir_in(&self.dir)
                .map_err(|e| PlanError::input(&self.dir, format!("no folder for tables can be made in it: {e}")))?,
        };
        Ok(state.own.insert(own).path().to_owned())
    }

    /// The folder of a new table. One that is replaced keeps its own until the new one is there. As in Spark, the tables of
    /// another schema than the first are in a folder of that schema.
    pub(super) fn place(&self, table: &ResolvedTableReference, replaces: bool) -> Result<PathBuf, PlanError> {
        let mut folder = self.folder()?;
        // Those of DataFusion, whichever the session looks into now: a table's folder must not depend on that.
        let first = CatalogOptions::default();
        if *table.catalog != *first.default_catalog {
            folder.push(format!("{}.{}.db", plain(&table.catalog), plain(&table.schema)));
        } else if *table.schema != *first.default_schema {
            folder.push(format!("{}.db", plain(&table.schema)));
        }
        let plain = plain(&table.table);
        if self.stays && !replaces {
            // Whatever is there: the write says so.
            return Ok(folder.join(&plain));
        }
        let names = std::iter::once(plain.clone()).chain((1..FOLDERS).map(|n| format!("{plain}-{n}")));
        let free = names.map(|name| folder.join(name)).find(|path| path.symlink_metadata().is_err());
        free.ok_or_else(|| {
            PlanError::input(&folder, format!("{FOLDERS} folders called {plain} are in it; remove some"))
        })
    }

    /// A table is there. What it replaces goes.
    pub(super) fn made(&self, full_name: ResolvedTableReference, path: &Path) {
        if let Some(old) = self.state().tables.insert(full_name, path.to_owned()).filter(|old| old != path) {
            remove(&old);
        }
    }

    /// A table is no more.
    pub(super) fn dropped(&self, full_name: &ResolvedTableReference) {
        if let Some(path) = self.state().tables.remove(full_name) {
            remove(&path);
        }
    }
}

/// Removes a table's files. What cannot be removed is said, and nobody's failure.
pub(super) fn remove(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => tracing::warn!("cannot remove {}: {e}", path.display()),
        _ => {}
    }
}

/// A name as a folder's.
fn plain(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '-' }).collect();
    // Names that begin so are skipped by readers.
    let plain = plain.trim_start_matches('_');
    if plain.is_empty() { "table".to_owned() } else { plain.to_owned() }
}

/// A table's name with everything that it has by default.
pub(super) fn full_name(context: &SessionContext, name: &TableReference) -> ResolvedTableReference {
    let state = context.state();
    let defaults = &state.config_options().catalog;
    name.clone().resolve(&defaults.default_catalog, &defaults.default_schema)
}
