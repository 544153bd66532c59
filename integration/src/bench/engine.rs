//! One engine of a run: a child process that answers queries, and what became of it.

use crate::{
    args::{Shape, Slow},
    cluster::Cluster,
    failure::{Doing, Failure},
    hearth_binary,
    memory::Peak,
    peers::Peer,
    process::Process,
    protocol::{Ask, Reply, Setup},
};
use hearth_core::conf::master_url::MasterUrl;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::process::Command;

/// How long an engine may take to start: the JVMs of a cluster took 90 s on two cores with ten others at work.
const START: Duration = Duration::from_secs(300);

/// Which engine, and where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Plain DataFusion: one process, its default settings.
    DataFusion,
    /// Hearth on this master.
    Hearth(MasterUrl),
    /// Hearth on a master and workers that are started for the run, of which the first may be made slow.
    HearthCluster(Shape, Option<Slow>),
    /// One of the two above, by the programs of another build, which lie in this directory.
    Before(Box<Kind>, PathBuf),
    /// Another engine, by its Python.
    Peer(Peer, PathBuf),
}

impl Kind {
    /// What tables call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::DataFusion => "datafusion".to_owned(),
            Self::Hearth(master) => format!("hearth {master}"),
            Self::HearthCluster(shape, slow) => {
                let slow = match slow {
                    None => "",
                    Some(Slow { speculation: false, .. }) => " slow",
                    Some(Slow { speculation: true, .. }) => " slow+spec",
                };
                format!("hearth {}x{}{slow}", shape.workers, shape.cores)
            }
            Self::Before(kind, _) => format!("{} before", kind.name()),
            Self::Peer(peer, _) => peer.name().to_owned(),
        }
    }

    /// What it is, whoever built it.
    pub(crate) fn base(&self) -> &Self {
        match self {
            Self::Before(kind, _) => kind,
            kind => kind,
        }
    }

    /// Whether it is the other build of this one.
    pub(crate) fn is_before(&self, now: &Self) -> bool {
        matches!(self, Self::Before(kind, _) if **kind == *now)
    }

    /// One of the programs that it consists of.
    fn program(&self, name: &str) -> Result<PathBuf, Failure> {
        match (self, name) {
            (Self::Before(_, dir), name) => Ok(dir.join(name)),
            (_, "bench") => std::env::current_exe().doing("this program's own path"),
            _ => hearth_binary(),
        }
    }

    /// Whether it is what is measured, not what it is measured against.
    pub(crate) const fn is_hearth(&self) -> bool {
        matches!(self, Self::Hearth(_) | Self::HearthCluster(..) | Self::Before(..))
    }

    /// Whether it computes as Hearth does, digit by digit.
    pub(crate) const fn is_datafusion_inside(&self) -> bool {
        matches!(self, Self::DataFusion) || self.is_hearth()
    }
}

/// What all engines of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) tables: Vec<PathBuf>,
    pub(crate) cores: u32,
    pub(crate) executor_memory_mib: u64,
    pub(crate) conf: Vec<(String, String)>,
    pub(crate) timeout: Duration,
}

/// An engine, and its process while it lives.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) kind: Kind,
    pub(crate) version: String,
    pub(crate) peak: Peak,
    living: Result<Living, String>,
    timeout: Duration,
}

#[derive(Debug)]
struct Living {
    process: Process,
    cluster: Option<Cluster>,
}

impl Engine {
    /// Starts it, with everything that it writes below `dir`.
    pub(crate) async fn start(kind: Kind, terms: &Terms, dir: &Path) -> Result<Self, Failure> {
        let name = kind.name();
        std::fs::create_dir_all(dir).doing(dir.display())?;
        let cluster = match kind.base() {
            Kind::HearthCluster(shape, slow) => {
                let (hearth, place) = (kind.program("hearth")?, dir.join("cluster"));
                Some(Cluster::start(&hearth, *shape, *slow, terms.executor_memory_mib, &place).await.doing(&name)?)
            }
            _ => None,
        };
        let command = match &kind {
            Kind::Peer(peer, python) => peer.command(python),
            _ => {
                let mut command = Command::new(kind.program("bench")?);
                command.arg("serve");
                command
            }
        };
        let setup = Setup {
            engine: match &kind {
                Kind::DataFusion => "datafusion".to_owned(),
                Kind::Hearth(_) | Kind::HearthCluster(..) | Kind::Before(..) => "hearth".to_owned(),
                Kind::Peer(peer, _) => peer.name().to_owned(),
            },
            tables: terms.tables.clone(),
            cores: terms.cores,
            executor_memory_mib: terms.executor_memory_mib,
            scratch: dir.to_owned(),
            conf: hearth_conf(kind.base(), cluster.as_ref(), terms, dir),
        };
        let process = Process::start(command, &dir.join("log")).doing(&name)?;
        let living = Ok(Living { process, cluster });
        let mut engine = Self { kind, version: String::new(), peak: Peak::default(), living, timeout: terms.timeout };
        engine.version = engine.call(&setup, START).await.doing(format!("{name} does not start"))?.version;
        Ok(engine)
    }

    /// Runs a query. An engine that fails to answer at all is ended, and has no further answers.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Result<Reply, Failure> {
        let reply = self.call(ask, self.timeout).await;
        if let Ok(living) = &self.living {
            let daemons = living.cluster.iter().flat_map(Cluster::pids);
            self.peak.look(daemons.chain([living.process.pid()]));
        }
        reply
    }

    async fn call(&mut self, what: &impl serde::Serialize, patience: Duration) -> Result<Reply, Failure> {
        let living = self.living.as_mut().map_err(Failure::new)?;
        let reply = exchange(&mut living.process, what, patience).await;
        match reply {
            Ok(Reply { error: Some(error), .. }) => Err(Failure::new(error)),
            Ok(reply) => Ok(reply),
            Err(failure) => {
                self.end(format!("it was ended earlier: {failure}")).await;
                Err(failure)
            }
        }
    }

    /// Ends its processes.
    pub(crate) async fn end(&mut self, why: String) {
        if let Ok(Living { process, cluster }) = std::mem::replace(&mut self.living, Err(why)) {
            process.end().await;
            if let Some(cluster) = cluster {
                cluster.stop().await;
            }
        }
    }
}

async fn exchange(process: &mut Process, what: &impl serde::Serialize, patience: Duration) -> Result<Reply, Failure> {
    process.say(&serde_json::to_string(what).doing("a request")?).await?;
    let line = process.line(patience).await?;
    serde_json::from_str(&line).doing(format!("it answered {line:?}"))
}

/// The configuration of Hearth for this master.
fn hearth_conf(kind: &Kind, cluster: Option<&Cluster>, terms: &Terms, dir: &Path) -> Vec<(String, String)> {
    let master = match (kind, cluster) {
        (Kind::Hearth(master), _) => master.to_string(),
        (_, Some(cluster)) => cluster.url.clone(),
        _ => return Vec::new(),
    };
    let mut conf = vec![
        ("spark.app.name", "bench".to_owned()),
        ("spark.master", master.clone()),
        // It goes with the run, however that ends.
        ("spark.local.dir", dir.to_string_lossy().into_owned()),
    ];
    // Local mode takes what the machine has, a cluster of one's own what its URL says.
    if master.starts_with("hearth://") {
        conf.push(("spark.executor.memory", format!("{}m", terms.executor_memory_mib)));
    } else if let Kind::Hearth(MasterUrl::LocalCluster { memory_mib, .. }) = kind {
        conf.push(("spark.executor.memory", format!("{memory_mib}m")));
    }
    if let Kind::HearthCluster(_, Some(Slow { speculation: true, .. })) = kind {
        conf.push(("spark.speculation", "true".to_owned()));
    }
    let conf = conf.into_iter().map(|(key, value)| (key.to_owned(), value));
    conf.chain(terms.conf.iter().cloned()).collect()
}
