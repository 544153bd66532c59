//! `SELECT … FROM 'path'`: files without a statement that makes a table of them.

use super::{Wanted, kind::Named};
use async_trait::async_trait;
use datafusion::{
    catalog::{TableProvider, UrlTableFactory},
    common::{Result, internal_datafusion_err},
    execution::session_state::SessionState,
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// Gives the state of the session that asks, while it lives: its own catalog must not keep it alive.
type StateOf = Box<dyn Fn() -> Option<SessionState> + Send + Sync>;

/// Makes tables of names that are paths.
#[derive(Default)]
pub(super) struct FilesByPath {
    session: OnceLock<StateOf>,
}

impl FilesByPath {
    /// Says whose settings and stores count. Until then no path is found.
    pub(super) fn serve(&self, state: impl Fn() -> Option<SessionState> + Send + Sync + 'static) {
        // It is said once, by whoever makes the session.
        let _ = self.session.set(Box::new(state));
    }
}

impl fmt::Debug for FilesByPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FilesByPath")
    }
}

/// Whether a name can only be a path: it has a slash, or ends as files do.
fn is_path(name: &str) -> bool {
    name.contains('/') || Named::of(name).is_some()
}

#[async_trait]
impl UrlTableFactory for FilesByPath {
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !is_path(name) {
            return Ok(None);
        }
        let state = self.session.get().and_then(|state| state());
        let state = state.ok_or_else(|| internal_datafusion_err!("{name}: the session is gone"))?;
        Wanted::at(name).table(&state).await.map(Some)
    }
}
