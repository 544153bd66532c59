//! A session: the tables and settings that a user's statements see, and the driver that runs them.

use super::{QueryError, QueryRun, results::Reader};
use crate::shell::DriverHandle;
use hearth_blocks::FetchOptions;
use hearth_core::conf::{Conf, ShufflePartitions, keys};
use hearth_plan::{PlanError, Planned, SqlSession, Statement};
use std::{path::Path, sync::Arc, time::Duration};
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
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            plan: hearth_plan::SessionOptions::default(),
            fetch: FetchOptions::default(),
            max_result_size: Some(1 << 30),
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
                warehouse: conf.get(&keys::SQL_WAREHOUSE_DIR),
                scratch: conf.get(&keys::LOCAL_DIR).unwrap_or_else(std::env::temp_dir),
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
        }
    }
}

/// A session.
#[derive(Debug)]
pub struct Session {
    sql: SqlSession,
    driver: DriverHandle,
    reader: Arc<Reader>,
    max_result_size: Option<u64>,
    /// Writes that are not over.
    writes: TaskTracker,
}

/// How long the end of a session waits for its writes to be undone, or to end their commit. Each is a few calls of the
/// file system a file.
const SETTLE: Duration = Duration::from_secs(30);

impl Session {
    /// A session on a driver. Must be called on a tokio runtime, which fetches results.
    pub fn new(driver: DriverHandle, options: SessionOptions) -> Result<Self, PlanError> {
        let SessionOptions { plan, fetch, max_result_size } = options;
        let reader = Arc::new(Reader::new(driver.clone(), fetch));
        Ok(Self { sql: SqlSession::new(plan)?, driver, reader, max_result_size, writes: TaskTracker::new() })
    }

    /// The driver that runs its queries.
    pub const fn driver(&self) -> &DriverHandle {
        &self.driver
    }

    /// Registers every file, or folder of parts, in `dir` as a table of its name; gives the names.
    pub async fn register_tables(&self, dir: &Path) -> Result<Vec<String>, PlanError> {
        self.sql.register_tables(dir).await
    }

    /// The statements of a text, in order.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>, PlanError> {
        self.sql.statements(sql)
    }

    /// Runs a text of one statement.
    pub async fn sql(&self, text: &str) -> Result<QueryRun, QueryError> {
        let planned = self.sql.plan(text).await?;
        self.submit(planned).await
    }

    /// Runs one statement of [`Session::statements`].
    pub async fn run(&self, statement: &Statement) -> Result<QueryRun, QueryError> {
        let planned = self.sql.plan_statement(statement).await?;
        self.submit(planned).await
    }

    /// Waits until the writes that were dropped are undone, or over. To be called before the driver stops.
    pub async fn settle(&self) {
        self.writes.close();
        if timeout(SETTLE, self.writes.wait()).await.is_err() {
            tracing::warn!("{} writes were not over within {} s", self.writes.len(), SETTLE.as_secs());
        }
    }

    async fn submit(&self, planned: Planned) -> Result<QueryRun, QueryError> {
        match planned {
            Planned::Local(batches, schema) => Ok(QueryRun::local(batches, schema, self.max_result_size)),
            Planned::Query { graph, schema, explain } => {
                let job = self.driver.submit(graph).await?;
                Ok(QueryRun::job(job, self.reader.clone(), schema, explain, self.max_result_size))
            }
            Planned::Write { graph, schema, explain, write } => {
                // Its folder is there before the first task looks for it.
                let begun = write.begin().await?;
                let job = match self.driver.submit(graph).await {
                    Ok(job) => job,
                    Err(error) => {
                        begun.undo().await;
                        return Err(error.into());
                    }
                };
                Ok(QueryRun::write(job, self.reader.clone(), schema, explain, (begun, &self.writes)))
            }
        }
    }
}
