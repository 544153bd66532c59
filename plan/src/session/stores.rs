//! The object stores of a session.

use super::SqlSession;
use crate::store::{self, Said, StorePool, StoreSettings, Stores};
use datafusion::{
    common::{Result, internal_datafusion_err},
    datasource::listing::ListingTableUrl,
    execution::{
        cache::cache_manager::CacheManagerConfig,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::CreateExternalTable,
};
use std::{collections::HashMap, sync::Arc};
use tokio::runtime::Handle;
use url::Url;

/// The session's stores, and the runtime with them in it. Plans are made on runtimes that come and go, so connections live
/// on the one that makes the session, if there is one.
pub(super) fn runtime(
    given: Option<Arc<RuntimeEnv>>,
    settings: StoreSettings,
) -> Result<(Arc<Stores>, Arc<RuntimeEnv>)> {
    let pool = Handle::try_current().map_or_else(|_| StorePool::here(), StorePool::on);
    let stores = Arc::new(Stores::of_session(settings, Arc::new(pool)));
    let mut runtime = match given {
        Some(runtime) => RuntimeEnv::clone(&runtime),
        // Lists of files are not kept: a file that was added is seen by the next query.
        None => {
            let caches = CacheManagerConfig::default().with_list_files_cache_limit(0);
            RuntimeEnvBuilder::new().with_cache_manager(caches).build()?
        }
    };
    runtime.object_store_registry = stores.clone();
    Ok((stores, Arc::new(runtime)))
}

impl SqlSession {
    /// The session's stores.
    pub(crate) fn stores(&self) -> Result<Arc<Stores>> {
        let stores = self.context.state().config().get_extension::<Stores>();
        stores.ok_or_else(|| internal_datafusion_err!("the session has lost its object stores"))
    }

    /// What the options of a statement say of the store of `url`, taken out of them; the others are its format's.
    pub(super) fn said_of_store(&self, url: &Url, options: &mut HashMap<String, String>) -> Result<Option<Said>> {
        let said = self.stores()?.said(url, options.iter())?;
        for name in said.iter().flat_map(Said::names) {
            options.remove(name);
        }
        Ok(said)
    }

    /// Takes the options of its store out of those of a table. They hold from here on: its files are looked at next.
    pub(super) fn take_options_of_table(&self, table: &mut CreateExternalTable) -> Result<()> {
        let Some(location) = table.locations.first().cloned() else { return Ok(()) };
        if table.options.is_empty() {
            return Ok(());
        }
        let url = store::store_of(&ListingTableUrl::parse(location)?);
        if let Some(said) = self.said_of_store(&url, &mut table.options)? {
            self.stores()?.take(&said);
        }
        Ok(())
    }
}
