//! What must hold, seen from outside of the machines: on the simulated processes and on what they do, not on what any
//! machine believes.

use super::{
    cluster::{Cluster, Done},
    graph,
    node::{DriverProcess, ExecutorProcess, Node, Process},
    options::{FAULTS, TASKS},
};
use hearth_core::{
    Resources,
    messages::task::{MapStatuses, TaskFailure, TaskLaunch, TaskNews, TaskUp},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long after the last job processes may take to be gone: an executor whose driver vanished leaves within 20 s, and the
/// master that hears nothing of a driver gives its application up after 100 s.
pub(super) const SETTLED: Duration = Duration::from_secs(300);
/// How long the news of the last end may take to reach the master.
const NEWS: Duration = Duration::from_secs(30);

/// The processes that live on a worker fit into it.
pub(super) fn cores(cluster: &Cluster, place: usize) {
    let executors = cluster.nodes.iter().filter_map(|node| node.executor()).filter(|e| e.worker == place);
    let used = executors.fold(Resources::default(), |sum, executor| sum.plus(&executor.resources));
    let total = cluster.options.workers[place];
    assert!(total.fits(&used), "cores oversubscribed: the executors on worker {place} hold {used} of {total}");
}

/// The tasks of an executor fit into its slots.
pub(super) fn slots(process: &ExecutorProcess) {
    let used: u32 = process.tasks.values().map(|task| task.launch.slots).sum();
    let cores = process.resources.cores;
    assert!(used <= cores, "cores oversubscribed: {:?} runs tasks of {used} slots on {cores} cores", process.id);
}

/// A task starts with statuses that are no older than it was told.
pub(super) fn inputs(launch: &TaskLaunch, inputs: &[Arc<MapStatuses>]) {
    assert_eq!(launch.inputs.len(), inputs.len(), "{:?} got something else than it reads", launch.task);
    for (wanted, got) in launch.inputs.iter().zip(inputs) {
        assert_eq!(wanted.shuffle, got.shuffle, "{:?} got the statuses of another shuffle", launch.task);
        let (old, new) = (got.epoch, wanted.epoch);
        assert!(old >= new, "{:?} starts with statuses of epoch {old}, older than {new}", launch.task);
    }
}

/// No executor has to turn a task down: its driver knows how many of its slots are free.
pub(super) fn news(message: &TaskUp) {
    let TaskUp::Statuses(statuses) = message else { return };
    for status in statuses {
        if let TaskNews::Failed(TaskFailure::Transient(text)) = &status.news {
            assert!(
                !text.starts_with("no ") || !text.contains("free slot"),
                "{:?} was turned down: {text}",
                status.task
            );
        }
    }
}

/// A driver launches an attempt once, of the newest attempt of a stage, and of no job that is over.
pub(super) fn launch(driver: &mut DriverProcess, launch: &TaskLaunch) {
    let task = launch.task;
    assert!(driver.launched.insert(task), "{task:?} was launched twice");
    assert!(!driver.over.contains(&launch.job), "{task:?} of {:?} was launched, which is over", launch.job);
    let newest = driver.newest.entry(launch.stage).or_default();
    let attempt = launch.stage_attempt;
    assert!(
        attempt >= *newest,
        "attempt {attempt} of {:?} launches {task:?} after attempt {newest} began",
        launch.stage
    );
    *newest = attempt;
}

/// Every job gave the rows of a run without faults, and enough happened.
pub(super) fn at_end(cluster: &Cluster) {
    for (place, (user, application)) in cluster.users.iter().zip(&cluster.options.applications).enumerate() {
        for (job, (done, wanted)) in user.done.iter().zip(&application.jobs).enumerate() {
            let Some(Done::Rows(rows)) = done else { continue };
            let mut variants = BTreeMap::new();
            for (stage, partition, variant) in rows.iter().flat_map(|(_, origins)| origins) {
                let known = variants.entry((*stage, *partition)).or_insert(*variant);
                assert_eq!(
                    known, variant,
                    "wrong rows: job {job} of application {place} mixes two runs of task {partition} of stage {stage}"
                );
            }
            let expected = graph::expected(&wanted.graph, &variants);
            assert_eq!(rows.len(), expected.len(), "job {job} of application {place} lacks results");
            let wrong: Vec<_> = (0..rows.len()).filter(|p| rows[*p].0 != expected[*p]).collect();
            assert!(wrong.is_empty(), "wrong rows: job {job} of application {place} in partitions {wrong:?}");
        }
    }
    let (tasks, fired) = (cluster.outcome.tasks, cluster.outcome.faults());
    assert!(tasks >= u64::from(TASKS), "only {tasks} tasks were started");
    let strict = cluster.options.only.is_some();
    assert!(fired >= FAULTS || strict || cluster.options.faults == 0, "only {fired} faults fired");
}

/// Whether all processes that belong to applications are gone, and the news of it has been around.
pub(super) fn is_settled(cluster: &mut Cluster) -> bool {
    let lives = |process: &Process| matches!(process, Process::Driver(_) | Process::Executor(_));
    let keeps = cluster.seats.iter().any(|seat| !seat.restarted && !seat.disk.is_empty());
    let remembers = |node: &Node| node.worker().is_some_and(|worker| worker.machine.keeps_anything());
    if keeps || cluster.nodes.iter().any(remembers) || cluster.nodes.iter().any(|node| lives(&node.process)) {
        cluster.settled_at = None;
        return false;
    }
    let now = cluster.now;
    now.since(*cluster.settled_at.get_or_insert(now)) >= NEWS
}

/// After the last job: no process of an application lives, every table is empty, nothing is left on disks.
pub(super) fn after_all(cluster: &Cluster) {
    for (id, node) in cluster.nodes.iter().enumerate() {
        match &node.process {
            Process::Driver(_) => panic!("the driver node-{id} lives on"),
            Process::Executor(executor) => panic!("{:?} of node-{} lives on", executor.id, executor.driver.0),
            Process::Master(master) => master.assert_empty(),
            Process::Worker(worker) => worker.machine.assert_empty(),
            Process::Gone => {}
        }
    }
    for (place, seat) in cluster.seats.iter().enumerate() {
        assert!(seat.node.is_some(), "worker {place} did not come back");
        // One that was started again knows of no application; it removes what is old after days.
        let left: Vec<_> = seat.disk.owners().collect();
        assert!(seat.restarted || left.is_empty(), "outputs are left on worker {place}: of the drivers {left:?}");
    }
}
