//! Which faults justify which failure of a job. A run whose faults do not must succeed.

use super::{
    cluster::Cluster,
    faults::{Kind, Kind::*},
    node::NodeId,
};
use hearth_core::{Determinism, JobId};
use hearth_driver::machine::JobFailure;

/// Failures of one task, or of one stage in a row, that end a job; executors that may fail in a row.
const ATTEMPTS: u64 = 4;
const EXECUTORS: u64 = 10;
/// Attempts of a stage that one loss of outputs may cost: the one that finds out, and one more to condemn the rest.
const ATTEMPTS_A_LOSS: u64 = 2;

/// Whether the faults so far justify this failure; else what is missing.
pub(super) fn justify(cluster: &Cluster, driver: NodeId, job: JobId, failure: &JobFailure) -> Result<(), String> {
    let place = cluster.place_of(driver);
    let application = &cluster.options.applications[place];
    let fired = |kinds: &[Kind]| kinds.iter().map(|kind| cluster.outcome.fired[*kind as usize]).sum::<u64>();
    let need = |count: u64, least: u64, what: &str| {
        if count >= least { Ok(()) } else { Err(format!("{count} of at least {least} {what}")) }
    };
    // Faults after which two processes cannot talk for a while.
    let apart = fired(&[Partition, OneWay, Pause, Swizzle, HalfOpen]);
    let executors_lost = fired(&[KillExecutor, KillWorker, KillMaster, KillBlockService, SpawnFails, Deaf]) + apart;
    let own_outputs = if application.serves_itself { executors_lost } else { 0 };
    let outputs_lost = fired(&[LoseDisk, KillWorker, KillBlockService]) + own_outputs + apart;
    match failure {
        JobFailure::Cancelled(_) if cluster.faults.was_cancelled(driver, job) => Ok(()),
        JobFailure::Indeterminate { .. } => {
            let graph = &application.jobs[cluster.users[place].done.len()];
            let vague = graph.stages.iter().filter(|stage| stage.determinism == Determinism::Indeterminate);
            need(vague.count() as u64, 1, "indeterminate stages")?;
            need(outputs_lost, 1, "losses of outputs")
        }
        // While two machines cannot talk, each attempt may fail anew.
        JobFailure::StageFailed { .. } | JobFailure::ResultLost { .. } if apart > 0 => Ok(()),
        JobFailure::StageFailed { .. } | JobFailure::ResultLost { .. } => {
            need(ATTEMPTS_A_LOSS * outputs_lost, ATTEMPTS, "attempts that losses of outputs may cost")
        }
        JobFailure::TaskFailed { .. } => {
            let crashes = fired(&[KillExecutor]);
            need(cluster.outcome.failed + cluster.outcome.answers_lost + crashes, ATTEMPTS, "failures of tasks")
        }
        JobFailure::TaskLost { .. } => need(executors_lost, EXECUTORS, "losses of executors"),
        JobFailure::NoExecutors { .. } => need(executors_lost, 1, "losses of executors"),
        JobFailure::MasterUnreachable { .. } | JobFailure::Forgotten { .. } => {
            need(fired(&[KillMaster]) + apart, 1, "times that the master was away")
        }
        JobFailure::Ended { .. } => need(fired(&[SpawnFails, KillExecutor]), EXECUTORS, "failures of executors"),
        _ => Err("no fault does".into()),
    }
}
