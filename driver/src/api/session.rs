//! A session: the tables and settings that a user's statements see, and the driver that runs them.

use super::{
    QueryError, QueryRun,
    results::Reader,
    variables::{Answer, Variables},
};
use crate::shell::DriverHandle;
use datafusion::arrow::datatypes::Schema;
use hearth_blocks::FetchOptions;
use hearth_core::conf::{Conf, ShufflePartitions, keys};
use hearth_plan::{PlanError, Planned, Secret, SqlSession, Statement, StoreSettings, Variable};
use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

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
    /// How many tasks may run at once, when that is known.
    pub slots: Option<u32>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            plan: hearth_plan::SessionOptions::default(),
            fetch: FetchOptions::default(),
            max_result_size: Some(1 << 30),
            conf: Conf::new(),
            slots: None,
        }
    }
}

/// Partitions of a shuffle when nobody says how many and the slots are unknown.
const AUTO_PARTITIONS: u32 = 8;

impl SessionOptions {
    /// As configured. `slots` is how many tasks may run at once, when that is known: `spark.sql.shuffle.partitions=auto`
    /// gives each one partition.
    pub fn from_conf(conf: &Conf, slots: Option<u32>) -> Self {
        let partitions = match conf.get(&keys::SQL_SHUFFLE_PARTITIONS) {
            ShufflePartitions::Fixed(partitions) => partitions,
            ShufflePartitions::Auto => slots.or_else(|| conf.get(&keys::CORES_MAX)).unwrap_or(AUTO_PARTITIONS),
        };
        Self {
            plan: hearth_plan::SessionOptions {
                partitions: usize::try_from(partitions.max(1)).unwrap_or(usize::MAX),
                batch_size: usize::try_from(conf.get(&keys::SQL_BATCH_SIZE)).unwrap_or(usize::MAX),
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
            slots,
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
    slots: Option<u32>,
}

/// How a session plans now.
#[derive(Debug)]
struct Planning {
    sql: SqlSession,
    variables: Variables,
}

impl Session {
    /// A session on a driver. Must be called on a tokio runtime, which fetches results.
    pub fn new(driver: DriverHandle, options: SessionOptions) -> Result<Self, PlanError> {
        let SessionOptions { plan, fetch, max_result_size, conf, slots } = options;
        let reader = Arc::new(Reader::new(driver.clone(), fetch));
        let planning = Planning { sql: SqlSession::new(plan)?, variables: Variables::new(conf) };
        Ok(Self { planning: RwLock::new(planning), driver, reader, max_result_size, slots })
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

    fn answer(&self, variable: &Variable) -> Result<Option<Answer>, PlanError> {
        self.planning.read().unwrap_or_else(PoisonError::into_inner).variables.answer(variable)
    }

    /// Plans by another configuration from here on.
    fn change(&self, conf: Conf) -> Result<Planned, PlanError> {
        let options = SessionOptions::from_conf(&conf, self.slots);
        let mut planning = self.planning.write().unwrap_or_else(PoisonError::into_inner);
        planning.sql = planning.sql.with_options(&options.plan)?;
        planning.variables.take(conf);
        Ok(Planned::Local(Vec::new(), Arc::new(Schema::empty())))
    }

    async fn submit(&self, planned: Planned) -> Result<QueryRun, QueryError> {
        match planned {
            Planned::Local(batches, schema) => Ok(QueryRun::local(batches, schema, self.max_result_size)),
            Planned::Query { graph, schema, explain } => {
                let job = self.driver.submit(graph).await?;
                Ok(QueryRun::job(job, self.reader.clone(), schema, explain, self.max_result_size))
            }
        }
    }
}
