//! The cluster in the shape in which Spark's master shows it at `/json/`, for the tools that read that.

use hearth_core::{
    ApplicationId, ApplicationState, MasterState, WallTime, WorkerId, WorkerState,
    messages::status::{ApplicationView, ClusterView, WorkerView},
};
use serde::Serialize;

/// The master.
#[derive(Debug, Serialize)]
pub(super) struct MasterJson {
    url: String,
    workers: Vec<WorkerJson>,
    aliveworkers: usize,
    cores: u64,
    coresused: u64,
    memory: u64,
    memoryused: u64,
    activeapps: Vec<ApplicationJson>,
    completedapps: Vec<ApplicationJson>,
    /// Drivers that the cluster runs itself: there are none before cluster deploy mode.
    activedrivers: [(); 0],
    completeddrivers: [(); 0],
    status: MasterState,
}

/// A worker. Memory is in MiB.
#[derive(Debug, Serialize)]
struct WorkerJson {
    id: WorkerId,
    host: String,
    port: u16,
    cores: u32,
    coresused: u32,
    coresfree: u32,
    memory: u64,
    memoryused: u64,
    memoryfree: u64,
    state: WorkerState,
    /// Milliseconds since the epoch.
    lastheartbeat: u64,
}

/// An application. Memory is in MiB, times in milliseconds.
#[derive(Debug, Serialize)]
struct ApplicationJson {
    id: ApplicationId,
    starttime: u64,
    name: String,
    cores: u32,
    user: String,
    memoryperexecutor: u64,
    submitdate: String,
    state: ApplicationState,
    duration: u64,
}

/// The cluster as of `now`. Totals count living workers only, as Spark's do.
pub(super) fn master(view: &ClusterView, now: WallTime) -> MasterJson {
    let alive = || view.workers.iter().filter(|worker| worker.state == WorkerState::Alive);
    MasterJson {
        url: view.url.clone(),
        workers: view.workers.iter().map(|w| worker(w, now)).collect(),
        aliveworkers: alive().count(),
        cores: alive().map(|w| u64::from(w.total.cores)).sum(),
        coresused: alive().map(|w| u64::from(w.used.cores)).sum(),
        memory: alive().map(|w| w.total.memory_mib).sum(),
        memoryused: alive().map(|w| w.used.memory_mib).sum(),
        activeapps: view.active.iter().map(application).collect(),
        completedapps: view.completed.iter().map(application).collect(),
        activedrivers: [],
        completeddrivers: [],
        status: view.state,
    }
}

fn worker(view: &WorkerView, now: WallTime) -> WorkerJson {
    WorkerJson {
        id: view.id.clone(),
        host: view.host.clone(),
        port: view.port,
        cores: view.total.cores,
        coresused: view.used.cores,
        coresfree: view.total.cores.saturating_sub(view.used.cores),
        memory: view.total.memory_mib,
        memoryused: view.used.memory_mib,
        memoryfree: view.total.memory_mib.saturating_sub(view.used.memory_mib),
        state: view.state,
        lastheartbeat: now.0.saturating_sub(view.silent_millis),
    }
}

fn application(view: &ApplicationView) -> ApplicationJson {
    ApplicationJson {
        id: view.id.clone(),
        starttime: view.submitted.0,
        name: view.name.clone(),
        cores: view.cores,
        user: view.user.clone(),
        memoryperexecutor: view.memory_per_executor_mib,
        submitdate: view.submitted.to_string(),
        state: view.state,
        duration: view.duration_millis,
    }
}
