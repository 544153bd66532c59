//! A program's way into a cluster: picks the master that `spark.master` names, registers, and runs SQL.

use crate::{
    Error, MasterClient,
    local::{ClusterOfOurOwn, Threads},
};
use hearth_core::{
    ApplicationState, Resources, WorkerState,
    conf::{
        Conf, ShufflePartitions, keys,
        master_url::{self, MasterUrl},
    },
    messages::worker::Address,
};
use hearth_driver::{
    api::{QueryError, QueryRun, Session, SessionOptions},
    shell::{DriverHandle, GrpcDial, ShellOptions},
};
use hearth_plan::Statement;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

/// An application: registered with a master from [`Context::connect`] to [`Context::stop`].
#[derive(Debug)]
pub struct Context {
    session: Session,
    driver: DriverHandle,
    local: Local,
    /// Holds everything of a local mode; goes last.
    _scratch: Option<TempDir>,
}

/// What a local mode has to end with its application.
#[derive(Debug)]
enum Local {
    Cluster,
    Threads(Threads),
    OfOurOwn(ClusterOfOurOwn),
}

impl Context {
    /// Registers an application with the master that `spark.master` names; starts one first in the local modes.
    pub async fn connect(conf: Conf) -> Result<Self, Error> {
        let mut options = ShellOptions::from_conf(&conf);
        options.driver.spec.user = user();
        let (local, scratch, cores) = match conf.get(&keys::MASTER) {
            MasterUrl::Local { threads, max_failures } => {
                let scratch = scratch(&conf)?;
                let cores = match threads {
                    master_url::Threads::All => None,
                    master_url::Threads::Fixed(n) => Some(n),
                };
                let threads = Threads::start(&conf, cores, scratch.path()).await?;
                options.dial = Some(Arc::new(threads.dial()));
                options.port = None;
                options.driver.task_max_failures = max_failures.unwrap_or(options.driver.task_max_failures);
                if !conf.is_set(&keys::EXECUTOR_MEMORY) {
                    // There is nobody to leave memory to.
                    options.driver.spec.memory_per_executor_mib = threads.resources.memory_mib;
                }
                let cores = threads.resources.cores;
                (Local::Threads(threads), Some(scratch), cores)
            }
            MasterUrl::LocalCluster { workers, cores, memory_mib } => {
                let scratch = scratch(&conf)?;
                let each = Resources::new(cores, memory_mib);
                let cluster = ClusterOfOurOwn::start(&conf, workers, each, scratch.path()).await?;
                options.dial = Some(Arc::new(GrpcDial::new(vec![cluster.address.clone()])));
                (Local::OfOurOwn(cluster), Some(scratch), workers.saturating_mul(cores))
            }
            MasterUrl::Cluster(masters) => {
                options.dial = Some(Arc::new(GrpcDial::new(masters.clone())));
                (Local::Cluster, None, cluster_cores(&conf, &masters).await)
            }
        };
        let cores = conf.get(&keys::CORES_MAX).map_or(cores, |max| max.min(cores)).max(1);
        let driver = DriverHandle::start(options).await?;
        if let Local::Threads(threads) = &local {
            threads.serve(driver.clone());
        }
        let session = Session::new(driver.clone(), SessionOptions::from_conf(&conf, Some(cores)));
        let session = session.map_err(QueryError::from)?;
        Ok(Self { session, driver, local, _scratch: scratch })
    }

    /// Registers every Parquet, CSV or JSON file, or folder of parts, in `dir` as a table of its name.
    pub async fn register_tables(&self, dir: &Path) -> Result<Vec<String>, Error> {
        Ok(self.session.register_tables(dir).await.map_err(QueryError::from)?)
    }

    /// The statements of a text, in order.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>, Error> {
        Ok(self.session.statements(sql).map_err(QueryError::from)?)
    }

    /// Runs one statement. Dropping what comes back cancels it.
    pub async fn run(&self, statement: &Statement) -> Result<QueryRun, Error> {
        Ok(self.session.run(statement).await?)
    }

    /// Runs a text of one statement.
    pub async fn sql(&self, sql: &str) -> Result<QueryRun, Error> {
        Ok(self.session.sql(sql).await?)
    }

    /// Says goodbye to the master, with a final state and a reason for people. Executors end; in the local modes
    /// everything else does too.
    pub async fn stop(self, state: ApplicationState, reason: impl Into<String>) {
        drop(self.session);
        self.driver.stop(state, reason).await;
        match self.local {
            Local::Cluster => {}
            Local::Threads(threads) => threads.stop().await,
            Local::OfOurOwn(cluster) => cluster.stop().await,
        }
    }
}

/// Who runs this program, by name where the environment has one.
fn user() -> String {
    let named =
        ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

fn scratch(conf: &Conf) -> Result<TempDir, Error> {
    let dir: PathBuf = conf.get(&keys::LOCAL_DIR).unwrap_or_else(std::env::temp_dir);
    let made = tempfile::Builder::new().prefix("hearth-").tempdir_in(&dir);
    made.map_err(|source| Error::Scratch { dir: dir.display().to_string(), source })
}

/// Cores of a cluster's living workers. One, when no master says: registering will say why not, and better.
async fn cluster_cores(conf: &Conf, masters: &[Address]) -> u32 {
    if conf.get(&keys::SQL_SHUFFLE_PARTITIONS) != ShufflePartitions::Auto {
        return u32::MAX;
    }
    let view = match MasterClient::try_connect(masters).await {
        Ok(master) => master.status().await,
        Err(error) => Err(error),
    };
    view.map_or(1, |view| view.workers.iter().filter(|w| w.state == WorkerState::Alive).map(|w| w.total.cores).sum())
}
