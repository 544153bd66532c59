//! What must hold after every step, seen from outside of the machines: on the simulated processes, not on what any
//! machine believes.

use super::{cluster::Cluster, node::NodeId, work};
use std::collections::BTreeMap;

/// Panics when something holds that must not.
pub(super) fn after_step(cluster: &Cluster) {
    cores_never_oversubscribed(cluster);
}

/// The cores of the processes that live on a worker fit into it, and no executor runs more tasks than it has cores.
fn cores_never_oversubscribed(cluster: &Cluster) {
    let mut used: BTreeMap<usize, u32> = BTreeMap::new();
    for (id, process) in &cluster.executors {
        let used = used.entry(process.worker).or_default();
        *used += process.resources.cores;
        let total = cluster.options.workers[process.worker].cores;
        assert!(
            *used <= total,
            "cores oversubscribed: the executors on worker {} hold {used} of {total} cores",
            process.worker
        );
        let running = process.tasks.len();
        let cores = process.resources.cores;
        assert!(running <= cores as usize, "cores oversubscribed: {id:?} runs {running} tasks on {cores} cores");
    }
}

/// Every job ended, with the right rows.
pub(super) fn at_end(cluster: &Cluster) {
    for (place, driver) in cluster.drivers.iter().enumerate() {
        let application = &cluster.options.applications[place];
        assert_eq!(driver.ended.len(), application.jobs.len(), "not every job of {:?} ended", NodeId::Driver(place));
        for (job, graph) in application.jobs.iter().enumerate() {
            if let Err(failure) = &driver.ended[job] {
                // A job may fail only when chance was told to let tasks fail.
                assert!(cluster.options.fail_once_in > 0, "job {job} of driver {place} failed: {failure}");
                continue;
            }
            let rows = &driver.results[job];
            let partitions = graph.stages[graph.result()].tasks;
            assert_eq!(rows.len(), partitions as usize, "job {job} of driver {place} lacks result partitions");
            for (partition, row) in rows {
                assert_eq!(*row, work::expected(graph, *partition), "job {job} of driver {place} gave wrong rows");
            }
        }
    }
}
