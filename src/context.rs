//! A program's way into a cluster: picks the master that `spark.master` names, registers, and runs SQL.

use crate::{
    Error, MasterClient,
    local::{ClusterOfOurOwn, Threads},
    scratch::Scratch,
};
use hearth_core::{
    ApplicationId, ApplicationState, Resources, WorkerState,
    conf::{
        Conf, ShufflePartitions, keys,
        master_url::{self, MasterUrl},
    },
    messages::{application::ApplicationSpec, status::ApplicationView, worker::Address},
};
use hearth_driver::{
    api::{Capacity, QueryError, QueryRun, Session, SessionOptions},
    shell::{DriverHandle, GrpcDial, ShellOptions},
};
use hearth_plan::{SqlSession, Statement};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::time::timeout;

/// An application: registered with a master from [`Context::connect`] to [`Context::stop`].
#[derive(Debug)]
pub struct Context {
    conf: Conf,
    session: Session,
    driver: DriverHandle,
    local: Local,
    /// Holds everything of a local mode, and tables that go with the application; goes last.
    scratch: Scratch,
    /// The one of the first application, when this is not it: tables of the session lie there.
    first_scratch: Option<Scratch>,
}

/// What an application holds, as far as somebody can say.
#[derive(Clone, Debug, PartialEq)]
pub enum Holdings {
    /// This process's own cores: nobody else could have them.
    Local,
    /// Nothing: no master has taken it yet.
    NotRegistered,
    /// Nothing that its master knows of: it does not list the application among those that run.
    NotListed,
    /// What its master says.
    Listed(Box<ApplicationView>),
}

/// What a local mode has to end with its application.
#[derive(Debug)]
enum Local {
    /// Nothing: the cluster is somebody else's.
    Cluster(Vec<Address>),
    Threads(Threads),
    OfOurOwn(ClusterOfOurOwn),
}

impl Local {
    /// Starts what `spark.master` asks for, and tells the driver how to reach it.
    async fn start(conf: &Conf, options: &mut ShellOptions, scratch: &Scratch) -> Result<Self, Error> {
        let spec = &mut options.driver.spec;
        match conf.get(&keys::MASTER) {
            MasterUrl::Local { threads, max_failures } => {
                let cores = match threads {
                    master_url::Threads::All => None,
                    master_url::Threads::Fixed(n) => Some(n),
                };
                let threads = Threads::start(conf, cores, scratch.path()).await?;
                if !conf.is_set(&keys::EXECUTOR_MEMORY) {
                    // There is nobody to leave memory to.
                    spec.memory_per_executor_mib = threads.resources.memory_mib;
                }
                fits(spec, threads.resources)?;
                options.dial = Some(Arc::new(threads.dial()));
                options.port = None;
                options.driver.task_max_failures = max_failures.unwrap_or(options.driver.task_max_failures);
                Ok(Self::Threads(threads))
            }
            MasterUrl::LocalCluster { workers, cores, memory_mib } => {
                let each = Resources::new(cores, memory_mib);
                if !conf.is_set(&keys::EXECUTOR_MEMORY) {
                    spec.memory_per_executor_mib = spec.memory_per_executor_mib.min(memory_mib);
                }
                fits(spec, each)?;
                let cluster = ClusterOfOurOwn::start(conf, workers, each, scratch.path()).await?;
                options.dial = Some(Arc::new(GrpcDial::new(vec![cluster.address.clone()])));
                Ok(Self::OfOurOwn(cluster))
            }
            MasterUrl::Cluster(masters) => {
                options.dial = Some(Arc::new(GrpcDial::new(masters.clone())));
                Ok(Self::Cluster(masters))
            }
        }
    }
}

impl Local {
    /// What the application will have, as far as it can be known now.
    async fn capacity(&self, conf: &Conf, executor_memory_mib: u64) -> Capacity {
        let Cores { all, largest } = match self {
            Self::Cluster(masters) => cluster_cores(conf, masters).await,
            Self::Threads(threads) => Cores { all: threads.resources.cores, largest: threads.resources.cores },
            Self::OfOurOwn(cluster) => Cores { all: cluster.cores, largest: cluster.cores_each },
        };
        let at_most = |cores: u32, limit: Option<u32>| limit.map_or(cores, |max| cores.min(max)).max(1);
        let slots = at_most(all, conf.get(&keys::CORES_MAX));
        let executor_slots = at_most(largest.min(slots), conf.get(&keys::EXECUTOR_CORES));
        let alone = matches!(self, Self::Threads(_)) && executor_slots == slots;
        Capacity { slots, executor_slots, executor_memory_mib, alone }
    }
}

/// Nobody can add a larger worker to a local mode: what does not fit would wait for ever.
fn fits(spec: &ApplicationSpec, worker: Resources) -> Result<(), Error> {
    let asked = Resources::new(spec.cores_per_executor.unwrap_or(1), spec.memory_per_executor_mib);
    if worker.fits(&asked) { Ok(()) } else { Err(Error::NeverFits { asked, worker }) }
}

impl Context {
    /// Registers an application with the master that `spark.master` names; starts one first in the local modes.
    pub async fn connect(conf: Conf) -> Result<Self, Error> {
        let mut options = ShellOptions::from_conf(&conf)?;
        options.driver.spec.user = user();
        let scratch = scratch(&conf)?;
        let local = Local::start(&conf, &mut options, &scratch).await?;
        let memory_mib = options.driver.spec.memory_per_executor_mib;
        let driver = DriverHandle::start(options).await?;
        if let Local::Threads(threads) = &local {
            threads.serve(driver.clone());
        }
        // The driver registers meanwhile.
        let capacity = local.capacity(&conf, memory_mib).await;
        let mut options = SessionOptions::from_conf(&conf, Some(capacity));
        // What a killed program leaves of its tables is swept with the rest.
        options.plan.scratch = scratch.path().to_owned();
        let session = Session::new(driver.clone(), options);
        let session = session.map_err(QueryError::from)?;
        Ok(Self { conf, session, driver, local, scratch, first_scratch: None })
    }

    /// Registers every file of a known format, or folder of parts, in `dir` as a table of its name.
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

    /// What plans its statements: its tables, views and variables.
    pub fn planner(&self) -> SqlSession {
        self.session.planner()
    }

    /// Its configuration.
    pub const fn conf(&self) -> &Conf {
        &self.conf
    }

    /// Its id, once a master has given one.
    pub fn application(&self) -> Option<ApplicationId> {
        self.driver.application()
    }

    /// What it holds, as its master sees it.
    pub async fn holdings(&self) -> Result<Holdings, crate::client::Error> {
        let masters = match &self.local {
            Local::Cluster(masters) => masters.as_slice(),
            Local::OfOurOwn(cluster) => std::slice::from_ref(&cluster.address),
            Local::Threads(_) => return Ok(Holdings::Local),
        };
        let Some(id) = self.application() else { return Ok(Holdings::NotRegistered) };
        let view = MasterClient::try_connect(masters).await?.status().await?;
        let found = view.active.into_iter().find(|application| application.id == id);
        Ok(found.map_or(Holdings::NotListed, |view| Holdings::Listed(Box::new(view))))
    }

    /// Registers anew, as another application, when this one is over. Tables, views and variables stay.
    pub async fn reconnect(&mut self) -> Result<(), Error> {
        let mut fresh = Self::connect(self.conf.clone()).await?;
        // The fresh driver reads results; the old session knows tables and variables.
        std::mem::swap(self, &mut fresh);
        let Self { session, driver, local, scratch, first_scratch, .. } = fresh;
        self.session.adopt(session);
        // The adopted tables lie in the first application's directory: it goes when the session does. That of any other
        // holds nothing but what ends here. Before anything is awaited, as who waits for this may give up.
        let (first, _ended) = match first_scratch {
            Some(first) => (first, Some(scratch)),
            None => (scratch, None),
        };
        self.first_scratch = Some(first);
        let why = "replaced by another application of the same session".to_owned();
        end(driver, local, ApplicationState::Finished, why).await;
        Ok(())
    }

    /// Says goodbye to the master, with a final state and a reason for people. Executors end; in the local modes
    /// everything else does too.
    pub async fn stop(self, state: ApplicationState, reason: impl Into<String>) {
        let Self { session, driver, local, scratch: _scratch, first_scratch: _first, .. } = self;
        session.settle().await;
        drop(session);
        end(driver, local, state, reason.into()).await;
    }
}

async fn end(driver: DriverHandle, local: Local, state: ApplicationState, reason: String) {
    driver.stop(state, reason).await;
    match local {
        Local::Cluster(_) => {}
        Local::Threads(threads) => threads.stop().await,
        Local::OfOurOwn(cluster) => cluster.stop().await,
    }
}

/// Who runs this program, by name where the environment has one.
fn user() -> String {
    let named =
        ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

fn scratch(conf: &Conf) -> Result<Scratch, Error> {
    let dirs = conf.get(&keys::LOCAL_DIR);
    let mut made = Scratch::make(dirs.first().unwrap_or(&std::env::temp_dir()));
    for dir in dirs.iter().skip(1) {
        // One of several disks may have failed.
        made = made.or_else(|_| Scratch::make(dir));
    }
    made
}

/// How long a master may take to say how many cores there are: a figure to plan with is not worth more.
const CORES_WITHIN: Duration = Duration::from_secs(1);

/// Cores of workers.
#[derive(Clone, Copy)]
struct Cores {
    /// All together.
    all: u32,
    /// Of the largest worker.
    largest: u32,
}

/// Cores of a cluster's living workers. One, when no master says: registering will say why not, and better.
async fn cluster_cores(conf: &Conf, masters: &[Address]) -> Cores {
    if conf.get(&keys::SQL_SHUFFLE_PARTITIONS) != ShufflePartitions::Auto {
        return Cores { all: u32::MAX, largest: u32::MAX };
    }
    let ask = async { MasterClient::try_connect(masters).await?.status().await };
    let Ok(Ok(view)) = timeout(CORES_WITHIN, ask).await else { return Cores { all: 1, largest: 1 } };
    let living = view.workers.iter().filter(|w| w.state == WorkerState::Alive).map(|w| w.total.cores);
    Cores { all: living.clone().fold(0, u32::saturating_add), largest: living.max().unwrap_or(1) }
}
