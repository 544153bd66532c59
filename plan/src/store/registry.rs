//! Which store a URL has.

use super::{
    Secret, StoreError, StoreMessage, StoreOptions, StoreSettings, StoreTrouble, StoreUrl,
    build::{Built, Connections, build, files},
    settings::{is_of_store, over},
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
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

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

/// What a statement says of a store.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    url: StoreUrl,
    /// As they were written, such as `aws.region`.
    options: BTreeMap<String, Secret>,
}

impl Said {
    /// The names of its options, which mean nothing to anybody else.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.options.keys()
    }

    fn over(&self, statements: &BTreeMap<StoreUrl, BTreeMap<String, Secret>>) -> BTreeMap<String, Secret> {
        statements
            .get(&self.url)
            .map_or_else(|| self.options.clone(), |before| over(self.url.provider, before, &self.options))
    }
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

    /// What a statement about `url` says of its store, if it does, out of all of its options. It is tried at once, over what
    /// earlier statements said: a mistake is told where it was made.
    pub(crate) fn said<'o>(
        &self,
        url: &Url,
        options: impl IntoIterator<Item = (&'o String, &'o String)>,
    ) -> Result<Option<Said>> {
        let options = options.into_iter().filter(|(name, _)| is_of_store(name));
        let options: BTreeMap<_, _> = options.map(|(name, value)| (name.clone(), Secret::new(value))).collect();
        if options.is_empty() {
            return Ok(None);
        }
        let said = Said { url: StoreUrl::of(url)?, options };
        if let Source::Session { settings, statements } = &self.source {
            let before = statements.read().unwrap_or_else(PoisonError::into_inner);
            self.pool.get(&settings.resolve(&said.url, &said.over(&before))?)?;
        }
        Ok(Some(said))
    }

    /// From now on the session's stores are what a statement said.
    pub(crate) fn take(&self, said: &Said) {
        if let Source::Session { statements, .. } = &self.source {
            let mut statements = statements.write().unwrap_or_else(PoisonError::into_inner);
            let options = said.over(&statements);
            statements.insert(said.url.clone(), options);
        }
    }

    /// Stores as these would be if they had taken what a statement said, for that statement alone.
    pub(crate) fn with(&self, said: &Said) -> Self {
        let source = match &self.source {
            Source::Session { settings, statements } => {
                let statements = statements.read().unwrap_or_else(PoisonError::into_inner).clone();
                Source::Session { settings: settings.clone(), statements: RwLock::new(statements) }
            }
            Source::Payload(stores) => Source::Payload(stores.clone()),
        };
        let registered = self.registered.read().unwrap_or_else(PoisonError::into_inner).clone();
        let stores = Self { source, pool: Arc::clone(&self.pool), registered: RwLock::new(registered) };
        stores.take(said);
        stores
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

    /// Whoever settles waits for the holder of this, who may have something to take back.
    pub(crate) fn hold(&self) -> TaskTrackerToken {
        self.pool.undoing.token()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_holds_once_it_is_taken_and_adds_up() {
        let stores = Stores::of_session(StoreSettings::default(), Arc::new(StorePool::here()));
        let url = Url::parse("s3://b/x").unwrap();
        let said = |options: &[(&str, &str)]| {
            let options: BTreeMap<_, _> = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            stores.said(&url, &options).unwrap()
        };
        let settings = |stores: &Stores| {
            let settings = stores.options(&StoreUrl::of(&url).unwrap()).unwrap().settings;
            settings.into_iter().map(|(name, value)| format!("{name}={}", value.reveal())).collect::<Vec<_>>()
        };
        assert!(said(&[("format.delimiter", ";")]).is_none());
        let key = said(&[("aws.access_key_id", "k"), ("aws.secret_access_key", "s")]).unwrap();
        assert_eq!(settings(&stores), [""; 0]);
        let of_key = ["aws_access_key_id=k", "aws_secret_access_key=s"];
        assert_eq!(settings(&stores.with(&key)), of_key);
        assert_eq!(settings(&stores), [""; 0]);
        stores.take(&key);
        let region = said(&[("aws.region", "r"), ("format.delimiter", ";")]).unwrap();
        assert_eq!(region.names().collect::<Vec<_>>(), ["aws.region"]);
        let both = ["aws_access_key_id=k", "aws_region=r", "aws_secret_access_key=s"];
        assert_eq!(settings(&stores.with(&region)), both);
        assert_eq!(settings(&stores), of_key);
        stores.take(&region);
        assert_eq!(settings(&stores), both);
    }
}
