//! Which store a URL has.

use super::{
    Secret, StoreError, StoreMessage, StoreOptions, StoreSettings, StoreTrouble, StoreUrl,
    build::{Built, Connections, build, files},
    settings::is_of_store,
    url::Provider,
};
use crate::sink::SinkExec;
use ::url::Url;
use datafusion::{
    common::{Result, internal_datafusion_err},
    datasource::{listing::ListingTableUrl, physical_plan::FileScanConfig, source::DataSourceExec},
    execution::object_store::ObjectStoreRegistry,
    physical_plan::ExecutionPlan,
};
use object_store::{ObjectStore, multipart::MultipartStore};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Stores that a process keeps: far more than one query reads, and each is a handful of idle connections.
const KEPT: usize = 64;

/// The stores that were made, so that their connections are used again. The latest at the end.
pub struct StorePool {
    made: Mutex<Vec<(StoreOptions, Built)>>,
    files: Built,
    connections: Connections,
    /// What is taken back in the background: somebody may want to wait for it.
    undoing: TaskTracker,
}

impl StorePool {
    /// Stores whose connections live on the runtime that uses them. It must live as long as they.
    pub fn here() -> Self {
        Self { made: Mutex::default(), files: files(), connections: Connections::Here, undoing: TaskTracker::new() }
    }

    /// Stores whose connections live on `runtime`, for users whose own runtimes come and go.
    pub fn on(runtime: Handle) -> Self {
        Self { connections: Connections::On(runtime), ..Self::here() }
    }

    /// Waits for what is being taken back.
    pub(crate) async fn settle(&self) {
        self.undoing.close();
        self.undoing.wait().await;
    }

    fn get(&self, options: &StoreOptions) -> Result<Built, StoreError> {
        if options.url.provider == Provider::Files {
            return Ok(self.files.clone());
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let built = match made.iter().position(|(o, _)| o == options) {
            Some(place) => made.remove(place).1,
            None => build(options, &self.connections)?,
        };
        if made.len() == KEPT {
            made.remove(0);
        }
        made.push((options.clone(), built.clone()));
        Ok(built)
    }
}

impl fmt::Debug for StorePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorePool").finish_non_exhaustive()
    }
}

/// Where options are from.
#[derive(Debug)]
enum Source {
    /// A session, and what its statements said.
    Session { settings: StoreSettings, statements: RwLock<BTreeMap<StoreUrl, BTreeMap<String, Secret>>> },
    /// A task's payload: all that it needs.
    Payload(Vec<StoreOptions>),
}

/// The stores of a session, or of a task.
#[derive(Debug)]
pub struct Stores {
    source: Source,
    pool: Arc<StorePool>,
    /// Those that a program registered itself, by their URLs. Executors have nothing of them.
    registered: RwLock<BTreeMap<StoreUrl, Arc<dyn ObjectStore>>>,
}

impl Stores {
    /// Those of a session.
    pub fn of_session(settings: StoreSettings, pool: Arc<StorePool>) -> Self {
        let source = Source::Session { settings, statements: RwLock::default() };
        Self { source, pool, registered: RwLock::default() }
    }

    /// Those that a payload names.
    pub(crate) fn of_payload(stores: Vec<StoreOptions>, pool: Arc<StorePool>) -> Self {
        Self { source: Source::Payload(stores), pool, registered: RwLock::default() }
    }

    /// Takes the options that are a store's out of those of a statement about `url`. From now on the session's stores of
    /// that URL have them. They are tried at once: a mistake is told where it was made.
    pub(crate) fn take_options<'o>(
        &self,
        url: &Url,
        options: impl IntoIterator<Item = (&'o String, &'o String)>,
    ) -> Result<Vec<String>> {
        let taken: BTreeMap<_, _> = options.into_iter().filter(|(name, _)| is_of_store(name)).collect();
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let url = StoreUrl::of(url)?;
        let names = taken.keys().map(|name| (*name).clone()).collect();
        let secrets: BTreeMap<_, _> = taken.into_iter().map(|(k, v)| (k.clone(), Secret::new(v))).collect();
        if let Source::Session { settings, statements } = &self.source {
            self.pool.get(&settings.resolve(&url, &secrets)?)?;
            statements.write().unwrap_or_else(PoisonError::into_inner).insert(url, secrets);
        }
        Ok(names)
    }

    fn options(&self, url: &StoreUrl) -> Result<StoreOptions> {
        match &self.source {
            Source::Session { settings, statements } => {
                let statements = statements.read().unwrap_or_else(PoisonError::into_inner);
                let none = BTreeMap::new();
                Ok(settings.resolve(url, statements.get(url).unwrap_or(&none))?)
            }
            Source::Payload(stores) => stores
                .iter()
                .find(|s| s.url == *url)
                .cloned()
                .ok_or_else(|| internal_datafusion_err!("a task's payload does not say how to reach {url}")),
        }
    }

    fn built(&self, url: &Url) -> Result<Built> {
        let url = StoreUrl::of(url)?;
        let registered = self.registered.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = registered.get(&url) {
            return Ok(Built { store: store.clone(), parts: None });
        }
        if url.provider == Provider::Files {
            return Ok(self.pool.files.clone());
        }
        Ok(self.pool.get(&self.options(&url)?)?)
    }

    /// The store of a URL, and how to write to it in parts that come from several processes.
    pub(crate) fn writable(&self, url: &Url) -> Result<(Arc<dyn ObjectStore>, Arc<dyn MultipartStore>)> {
        let Built { store, parts } = self.built(url)?;
        let parts = parts.ok_or_else(|| {
            let message = "this store cannot be written to: it does not take objects in parts";
            StoreError::new(url.as_str(), StoreTrouble::Rejected, message)
        })?;
        Ok((store, parts))
    }

    /// Takes something back, in the background.
    pub(crate) fn undo(&self, on: &Handle, work: impl Future<Output = ()> + Send + 'static) {
        self.pool.undoing.spawn_on(work, on);
    }

    /// What a task needs to know of the stores of these URLs; nothing of those of files.
    pub(crate) fn messages<'u>(&self, urls: impl IntoIterator<Item = &'u Url>) -> Result<Vec<StoreMessage>> {
        let mut stores = urls.into_iter().map(StoreUrl::of).collect::<Result<Vec<_>, _>>()?;
        stores.retain(|s| s.provider != Provider::Files);
        stores.sort();
        stores.dedup();
        stores.iter().map(|url| Ok(self.options(url)?.to_message())).collect()
    }
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        let url = StoreUrl::of(url).ok()?;
        self.registered.write().unwrap_or_else(PoisonError::into_inner).insert(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let url = StoreUrl::of(url)?;
        let removed = self.registered.write().unwrap_or_else(PoisonError::into_inner).remove(&url);
        removed.ok_or_else(|| internal_datafusion_err!("no store was registered for {url}"))
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        Ok(self.built(url)?.store)
    }
}

/// The URLs of the stores that a plan's operators name.
pub(crate) fn urls(plan: &Arc<dyn ExecutionPlan>) -> Vec<Url> {
    let mut urls = Vec::new();
    // The closure never fails.
    let _ = datafusion::common::tree_node::TreeNode::apply(plan, |node| {
        urls.extend(node.downcast_ref::<SinkExec>().and_then(SinkExec::store));
        let source = node.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
        if let Some(scan) = source.and_then(|s| s.downcast_ref::<FileScanConfig>()) {
            let url: &Url = scan.object_store_url.as_ref();
            urls.push(url.clone());
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    });
    urls
}

/// The store's part of the URL of a table.
pub(crate) fn store_of(url: &ListingTableUrl) -> Url {
    let store = url.object_store();
    let url: &Url = store.as_ref();
    url.clone()
}
