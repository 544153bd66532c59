//! `bench tpch`: what is to be run, and what is printed of it.

use crate::{
    args::{Shape, Slow, Tpch},
    data,
    engine::{Engine, Kind, Terms},
    failure::{Doing, Failure},
    machine::Machine,
    measure::{self, Runs},
    queries::Query,
    report::{self, Report},
    say,
};
use futures::future::select_all;
use hearth::MasterClient;
use hearth_core::{
    WorkerState,
    conf::master_url::{MasterUrl, Threads},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
};

/// What ends a run early, and the exit codes: 128 and the signal's number. A terminal that is closed sends SIGHUP.
const ENDED: [(SignalKind, u8); 4] = [
    (SignalKind::hangup(), 129),
    (SignalKind::interrupt(), 130),
    (SignalKind::quit(), 131),
    (SignalKind::terminate(), 143),
];

/// Runs it. The code says whether every row of Hearth and of its references was right.
pub(crate) fn run(args: &Tpch) -> Result<ExitCode, Failure> {
    // It only waits for others.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing("the runtime")?;
    runtime.block_on(async {
        let ended = ENDED.map(|(kind, code)| Ok((signal(kind).doing("signals")?, code)));
        let ended = ended.into_iter().collect::<Result<Vec<_>, Failure>>()?;
        let asked = ended.into_iter().map(|(mut signal, code)| {
            Box::pin(async move {
                signal.recv().await;
                code
            })
        });
        // Dropping the run ends every process that it started.
        tokio::select! {
            code = all(args) => code,
            (code, ..) = select_all(asked) => Ok(ExitCode::from(code)),
        }
    })
}

/// Sets a flag when it is dropped.
struct StopAtEnd(Arc<AtomicBool>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The files of all tables, made on a thread of their own, so that signals are heard. Dropping this ends that; the runtime's
/// end waits for it.
async fn tables(cache: &Path, scale: f64) -> Result<Vec<PathBuf>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let _stop = StopAtEnd(Arc::clone(&stop));
    let cache = cache.to_owned();
    spawn_blocking(move || data::tables(&cache, scale, &stop)).await.doing("the thread that makes tables")?
}

async fn all(args: &Tpch) -> Result<ExitCode, Failure> {
    let machine = Machine::look();
    let cache = data::cache()?;
    let hearths = hearths(args);
    let cores = cores(&hearths).await?;
    let before = |kind| args.before.clone().map(|dir| Kind::Before(Box::new(kind), dir));
    let hearths = hearths.into_iter().flat_map(|kind| [Some(kind.clone()), before(kind)]).flatten();
    warn(&machine, cores);
    let numbers = match (args.profile, args.queries.as_slice()) {
        (Some(query), _) => vec![query],
        (None, []) => (1..=22).collect(),
        (None, some) => some.to_vec(),
    };
    let queries = numbers.into_iter().map(Query::read).collect::<Result<Vec<_>, _>>()?;
    let tables = tables(&cache, args.scale).await?;
    let dir = tempfile::tempdir().doing("a temporary directory")?;
    let terms = Terms {
        tables,
        cores,
        executor_memory_mib: args.executor_memory,
        conf: args.conf.clone(),
        timeout: args.timeout,
    };
    let mut skipped = Vec::new();
    let mut engines = Vec::new();
    for kind in [Kind::DataFusion].into_iter().chain(hearths) {
        let place = dir.path().join(engines.len().to_string());
        engines.push(Engine::start(kind, &terms, &place).await?);
    }
    for &peer in &args.peers {
        let place = dir.path().join(engines.len().to_string());
        let started = match peer.python(&cache).await {
            Ok(python) => Engine::start(Kind::Peer(peer, python), &terms, &place).await,
            Err(failure) => Err(failure),
        };
        match started {
            Ok(engine) => engines.push(engine),
            Err(failure) => {
                say::remark(&format!("{} is left out: {failure}", peer.name()));
                skipped.push(peer.name());
            }
        }
    }
    let runs = match args.check {
        true => Runs { warm: 0, untimed: 1, timed: 0 },
        false => Runs { warm: args.warm, untimed: 1, timed: args.profile.map_or(args.runs, |_| 1) },
    };
    let detail = args.profile.is_some();
    let measured = measure::measure(&mut engines, &queries, runs, detail, dir.path()).await?;
    for engine in &mut engines {
        engine.end("the run is over".to_owned()).await;
    }
    let terms = report::Terms {
        scale: args.scale,
        runs: runs.timed,
        cores,
        executor_memory_mib: args.executor_memory,
        warm: runs.warm,
        conf: args.conf.clone(),
    };
    let report = Report { terms, machine: &machine, engines: &engines, measured: &measured, skipped: &skipped };
    print(args, &report)?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(args: &Tpch, report: &Report<'_>) -> Result<(), Failure> {
    let text = match (args.check, args.profile) {
        (true, _) => report::text::check(report),
        (_, Some(_)) => report::text::profile(report),
        _ => report::text::times(report),
    };
    say::figures(&text);
    let Some(dir) = &args.out else { return Ok(()) };
    fs::create_dir_all(dir).doing(dir.display())?;
    let (json, picture) = (dir.join("tpch.json"), dir.join("tpch.svg"));
    fs::write(&json, report::json::json(report)?).doing(json.display())?;
    fs::write(&picture, report::picture::svg(report)?).doing(picture.display())?;
    say::remark(&format!("written: {} and {}", json.display(), picture.display()));
    Ok(())
}

/// Where Hearth runs.
fn hearths(args: &Tpch) -> Vec<Kind> {
    let masters = args.masters.iter().cloned().map(Kind::Hearth);
    let slow = [false, true].map(|speculation| Some(Slow { percent: args.slow_worker?, speculation }));
    let kinds = [None].into_iter().chain(slow.into_iter().filter(Option::is_some));
    let clusters = args.clusters.iter().flat_map(|shape| kinds.clone().map(|slow| Kind::HearthCluster(*shape, slow)));
    let asked: Vec<_> = masters.chain(clusters).collect();
    let local = Kind::Hearth(MasterUrl::Local { threads: Threads::Fixed(2), max_failures: None });
    match (asked.is_empty(), args.check) {
        (false, _) => asked,
        (true, false) => vec![local],
        (true, true) => {
            let own = MasterUrl::LocalCluster { workers: 2, cores: 1, memory_mib: args.executor_memory };
            vec![local, Kind::Hearth(own), Kind::HearthCluster(Shape { workers: 2, cores: 1 }, None)]
        }
    }
}

/// How many cores Hearth has: what all others get too.
async fn cores(hearths: &[Kind]) -> Result<u32, Failure> {
    let mut found: Option<(u32, String)> = None;
    for kind in hearths {
        let cores = match kind {
            Kind::Hearth(MasterUrl::Local { threads: Threads::Fixed(threads), .. }) => *threads,
            Kind::Hearth(MasterUrl::Local { threads: Threads::All, .. }) => machine_cores(),
            Kind::Hearth(MasterUrl::LocalCluster { workers, cores, .. }) => workers * cores,
            Kind::Hearth(MasterUrl::Cluster(masters)) => {
                let master = MasterClient::connect(masters).await.doing("the cluster")?;
                let view = master.status().await.doing("the cluster")?;
                let alive = view.workers.iter().filter(|worker| worker.state == WorkerState::Alive);
                alive.map(|worker| worker.total.cores).sum()
            }
            Kind::HearthCluster(shape, _) => shape.workers * shape.cores,
            Kind::DataFusion | Kind::Before(..) | Kind::Peer(..) => continue,
        };
        match &found {
            Some((others, name)) if *others != cores => {
                let text =
                    format!("{} has {cores} cores and {name} has {others}: measure them in two runs", kind.name());
                return Err(Failure::new(text));
            }
            _ => found = Some((cores, kind.name())),
        }
    }
    match found {
        Some((cores @ 1.., _)) => Ok(cores),
        _ => Err(Failure::new("the cluster has no living worker: start one with `hearth worker`")),
    }
}

fn machine_cores() -> u32 {
    thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

fn warn(machine: &Machine, cores: u32) {
    if machine.is_busy() {
        say::remark(&format!("others are at work (load {:.1}): these figures are trials", machine.load));
    }
    if machine.cores > cores as usize {
        say::remark(&format!(
            "this machine has {} cores and the engines are to use {cores}: threads beside those that compute have the others; \
             run it all under `taskset` to be strict",
            machine.cores
        ));
    }
    if machine.cores < cores as usize {
        say::remark(&format!(
            "this machine has {} cores for {cores} threads: they wait for one another",
            machine.cores
        ));
    }
}
