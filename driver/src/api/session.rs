//! A session: the tables and settings that a user's statements see, and the driver that runs them.

use super::{
    QueryError, QueryRun,
    analyze::Analysis,
    results::Reader,
    variables::{Answer, Variables},
};
use crate::shell::DriverHandle;
use datafusion::arrow::datatypes::Schema;
use hearth_blocks::FetchOptions;
use hearth_core::{
    conf::{Conf, Fuse, ShufflePartitions, keys},
    memory::pool_bytes,
};
use hearth_plan::{PlanError, Planned, ScanSplit, Secret, SqlSession, Statement, StoreSettings, Variable};
use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// How a session plans and reads.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// How it plans.
    pub plan: hearth_plan::SessionOptions,
    /// How it fetches results.
    pub fetch: FetchOptions,
    /// `spark.driver.maxResultSize`: bytes of rows that are held all at once, by [`QueryRun::collect`] or by a caller who
    /// says so with [`QueryRun::bounded`]. `None` is no limit.
    pub max_result_size: Option<u64>,
    /// What all of this was made from, for statements that change it.
    pub conf: Conf,
    /// What is known of the executors.
    pub capacity: Option<Capacity>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            plan: hearth_plan::SessionOptions::default(),
            fetch: FetchOptions::default(),
            max_result_size: Some(1 << 30),
            conf: Conf::new(),
            capacity: None,
        }
    }
}

/// What is known of the executors that an application will have, when its session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Tasks that may run at once.
    pub slots: u32,
    /// Slots of the largest executor.
    pub executor_slots: u32,
    /// Memory of an executor, in MiB.
    pub executor_memory_mib: u64,
    /// Whether that executor is the only one, and stays it.
    pub alone: bool,
}

/// What one join may build, as a part of what a task may hold: a stage can have several joins, and estimates are rough.
const BUILD_SHARE: u64 = 4;

impl Capacity {
    /// Bytes that one partition of a shuffle should have at most.
    fn partition_bytes(self) -> u64 {
        let pool = pool_bytes(self.executor_memory_mib) as u64;
        (pool / u64::from(self.executor_slots.max(1)) / BUILD_SHARE).max(1)
    }
}

/// Partitions of a shuffle when nobody says how many and the slots are unknown.
const AUTO_PARTITIONS: u32 = 8;

impl SessionOptions {
    /// As configured. With `spark.sql.shuffle.partitions=auto`, what is known of the executors says how many partitions
    /// there are: one for each slot, and more where one would not fit into a task's memory.
    pub fn from_conf(conf: &Conf, capacity: Option<Capacity>) -> Self {
        let slots = || capacity.map(|c| c.slots).or_else(|| conf.get(&keys::CORES_MAX)).unwrap_or(AUTO_PARTITIONS);
        let (partitions, partition_bytes) = match conf.get(&keys::SQL_SHUFFLE_PARTITIONS) {
            ShufflePartitions::Fixed(partitions) => (partitions, None),
            ShufflePartitions::Auto => (slots(), capacity.map(Capacity::partition_bytes)),
        };
        let alone = capacity.filter(|c| c.alone && conf.get(&keys::SQL_FUSE) == Fuse::Auto);
        Self {
            plan: hearth_plan::SessionOptions {
                partitions: usize::try_from(partitions.max(1)).unwrap_or(usize::MAX),
                partition_bytes,
                fuse: alone.map(|c| c.executor_slots),
                broadcast_bytes: conf.get(&keys::SQL_AUTO_BROADCAST_JOIN_THRESHOLD),
                scans: ScanSplit {
                    max_partition_bytes: conf.get(&keys::SQL_FILES_MAX_PARTITION_BYTES),
                    open_cost_bytes: conf.get(&keys::SQL_FILES_OPEN_COST),
                },
                batch_size: usize::try_from(conf.get(&keys::SQL_BATCH_SIZE)).unwrap_or(usize::MAX),
                warehouse: conf.get(&keys::SQL_WAREHOUSE_DIR),
                scratch: conf.get(&keys::LOCAL_DIR).into_iter().next().unwrap_or_else(std::env::temp_dir),
                stores: stores(conf),
                range_sort: conf.get(&keys::SQL_RANGE_SORT),
                ..hearth_plan::SessionOptions::default()
            },
            fetch: FetchOptions {
                host: conf.get(&keys::DRIVER_HOST),
                local_read: conf.get(&keys::SHUFFLE_LOCAL_READ),
                max_in_flight: conf.get(&keys::REDUCER_MAX_SIZE_IN_FLIGHT),
                max_retries: conf.get(&keys::SHUFFLE_IO_MAX_RETRIES),
                retry_wait: conf.get(&keys::SHUFFLE_IO_RETRY_WAIT),
                idle_timeout: conf.get(&keys::NETWORK_TIMEOUT),
            },
            max_result_size: conf.get(&keys::DRIVER_MAX_RESULT_SIZE),
            conf: conf.clone(),
            capacity,
        }
    }
}

/// What is known of object stores. Credentials are the driver's: tasks are told those of the stores that they read.
fn stores(conf: &Conf) -> StoreSettings {
    let conf_pairs = conf.pairs().iter().filter(|(key, _)| key.starts_with("spark.hadoop."));
    // Of variables that are not UTF-8 none is a store's.
    let variables = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let ours = variables.filter(|(k, _)| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| k.starts_with(prefix)));
    StoreSettings {
        conf: conf_pairs.map(|(k, v)| (k.clone(), Secret::new(v))).collect(),
        environment: ours.map(|(k, v)| (k, Secret::new(v))).collect(),
        timeout: conf.get(&keys::STORE_TIMEOUT),
    }
}

/// A session.
#[derive(Debug)]
pub struct Session {
    planning: RwLock<Planning>,
    driver: DriverHandle,
    reader: Arc<Reader>,
    max_result_size: Option<u64>,
    capacity: Option<Capacity>,
    /// Writes that are not over.
    writes: TaskTracker,
}

/// How a session plans now.
#[derive(Debug)]
struct Planning {
    sql: SqlSession,
    variables: Variables,
}

/// How long the end of a session waits for its writes to be undone, or to end their commit. Each is a few calls of the
/// file system a file.
const SETTLE: Duration = Duration::from_secs(30);

impl Session {
    /// A session on a driver. Must be called on a tokio runtime, which fetches results.
    pub fn new(driver: DriverHandle, options: SessionOptions) -> Result<Self, PlanError> {
        let SessionOptions { plan, fetch, max_result_size, conf, capacity } = options;
        let reader = Arc::new(Reader::new(driver.clone(), fetch));
        let planning = Planning { sql: SqlSession::new(plan)?, variables: Variables::new(conf) };
        let (planning, writes) = (RwLock::new(planning), TaskTracker::new());
        Ok(Self { planning, driver, reader, max_result_size, capacity, writes })
    }

    /// The driver that runs its queries.
    pub const fn driver(&self) -> &DriverHandle {
        &self.driver
    }

    /// What plans its statements: its tables, views and variables.
    pub fn planner(&self) -> SqlSession {
        self.planning.read().unwrap_or_else(PoisonError::into_inner).sql.clone()
    }

    /// Goes on with the tables, views and variables of another session.
    pub fn adopt(&mut self, other: Self) {
        self.planning = other.planning;
    }

    /// Registers every file, or folder of parts, in `dir` as a table of its name; gives the names.
    pub async fn register_tables(&self, dir: &Path) -> Result<Vec<String>, PlanError> {
        self.planner().register_tables(dir).await
    }

    /// The statements of a text, in order.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>, PlanError> {
        self.planner().statements(sql)
    }

    /// Runs a text of one statement.
    pub async fn sql(&self, text: &str) -> Result<QueryRun, QueryError> {
        let mut statements = self.statements(text)?;
        match (statements.pop(), statements.len()) {
            (Some(statement), 0) => self.run(&statement).await,
            (None, _) => Err(PlanError::Syntax("there is no statement in the text".into()).into()),
            (Some(_), n) => Err(PlanError::Syntax(format!("expected one statement, found {}", n + 1)).into()),
        }
    }

    /// Runs one statement of [`Session::statements`].
    pub async fn run(&self, statement: &Statement) -> Result<QueryRun, QueryError> {
        let planned = match statement.variable().map(|variable| self.answer(&variable)).transpose()?.flatten() {
            Some(Answer::Changed(conf)) => self.change(conf)?,
            Some(Answer::Rows(rows)) => SqlSession::variable_rows(&rows)?,
            Some(Answer::RowsToo(rows)) => {
                let (engine, ours) =
                    (self.planner().plan_statement(statement).await?, SqlSession::variable_rows(&rows)?);
                match (engine, ours) {
                    (Planned::Local(mut all, schema), Planned::Local(ours, other)) if *schema == *other => {
                        all.extend(ours);
                        Planned::Local(all, schema)
                    }
                    (engine, _) => engine,
                }
            }
            None => self.planner().plan_statement(statement).await?,
        };
        self.submit(planned).await
    }

    /// Waits until the writes that were dropped are undone, or over. To be called before the driver stops.
    pub async fn settle(&self) {
        self.writes.close();
        if timeout(SETTLE, self.writes.wait()).await.is_err() {
            tracing::warn!("{} writes were not over within {} s", self.writes.len(), SETTLE.as_secs());
        }
    }

    fn answer(&self, variable: &Variable) -> Result<Option<Answer>, PlanError> {
        self.planning.read().unwrap_or_else(PoisonError::into_inner).variables.answer(variable)
    }

    /// Plans by another configuration from here on.
    fn change(&self, conf: Conf) -> Result<Planned, PlanError> {
        let options = SessionOptions::from_conf(&conf, self.capacity);
        let mut planning = self.planning.write().unwrap_or_else(PoisonError::into_inner);
        planning.sql = planning.sql.with_options(&options.plan)?;
        planning.variables.take(conf);
        Ok(Planned::Local(Vec::new(), Arc::new(Schema::empty())))
    }

    /// The pool that statements take slots from now.
    fn pool(&self) -> String {
        self.planning.read().unwrap_or_else(PoisonError::into_inner).variables.pool()
    }

    async fn submit(&self, planned: Planned) -> Result<QueryRun, QueryError> {
        match planned {
            Planned::Local(batches, schema) => Ok(QueryRun::local(batches, schema, self.max_result_size)),
            Planned::Analyze { graph, texts, verbose } => {
                let analysis = Analysis::new(texts, verbose);
                let job = self.driver.submit_to(self.pool(), graph).await?;
                Ok(QueryRun::analyzed(job, self.reader.clone(), analysis))
            }
            Planned::Query { graph, schema, explain } => {
                let job = self.driver.submit_to(self.pool(), graph).await?;
                Ok(QueryRun::job(job, self.reader.clone(), schema, explain, self.max_result_size))
            }
            Planned::Write { graph, schema, explain, write } => {
                // Its folder is there before the first task looks for it.
                let begun = write.begin().await?;
                let job = match self.driver.submit_to(self.pool(), graph).await {
                    Ok(job) => job,
                    Err(error) => {
                        begun.undo(Vec::new()).await;
                        return Err(error.into());
                    }
                };
                Ok(QueryRun::write(job, self.reader.clone(), schema, explain, (begun, &self.writes)))
            }
        }
    }
}
