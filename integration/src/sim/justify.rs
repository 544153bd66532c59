//! Which faults justify which failure of a job. A run whose faults do not must succeed.

use super::{
    cluster::Cluster,
    faults::{Kind, Kind::*},
    node::NodeId,
};
use hearth_core::{Determinism, JobId};
use hearth_driver::machine::JobFailure;
use std::time::Duration;

/// Failures of one task, or of one stage in a row, that end a job; executors that may fail in a row.
const ATTEMPTS: u64 = 4;
const EXECUTORS: u64 = 10;
/// Attempts of a stage that one loss of outputs may cost: the one that finds out, and one more to condemn the rest.
const ATTEMPTS_A_LOSS: u64 = 2;

/// Two processes that cannot talk for less than this lose nothing by it, not even when they look for one another anew.
const NOTICED: Duration = Duration::from_secs(5);

/// Of the time in which an application must be registered, the part that tries under way may waste.
const REGISTERED: Duration = Duration::from_secs(2);

/// Whether the faults so far justify this failure; else what is missing.
pub(super) fn justify(
    cluster: &Cluster,
    driver: NodeId,
    (job, wanted): (JobId, usize),
    failure: &JobFailure,
) -> Result<(), String> {
    let place = cluster.place_of(driver);
    let application = &cluster.options.applications[place];
    let faults = &cluster.faults;
    let fired = |kinds: &[Kind]| faults.fired(kinds, Duration::ZERO);
    let apart = apart(cluster);
    let executors_lost = fired(&[KillExecutor, KillWorker, StopWorker, KillMaster, KillBlockService, SpawnFails, Deaf])
        + apart
        + cluster.outcome.crashes;
    // While two machines cannot talk, or a process that serves blocks is stopped, each attempt may fail anew.
    let patience = cluster.options.retry_wait * cluster.options.fetch_retries;
    let stopped = if application.serves_itself { faults.fired(&[Pause], patience) } else { 0 };
    let disowned = u64::from(cluster.disowned.contains(&driver));
    let unreachable = faults.fired(&[Partition, OneWay], patience) + stopped + disowned;
    let outputs_lost = fired(&[LoseDisk, KillWorker, StopWorker])
        + apart
        + if application.serves_itself { executors_lost } else { fired(&[KillBlockService]) };
    let wanted = &application.jobs[wanted].graph;
    match failure {
        JobFailure::Cancelled(_) if faults.was_cancelled(driver, job) => Ok(()),
        JobFailure::Indeterminate { .. } => {
            let vague = wanted.stages.iter().filter(|stage| stage.determinism == Determinism::Indeterminate);
            need(vague.count() as u64, 1, "indeterminate stages")?;
            need(outputs_lost + unreachable, 1, "losses of outputs")
        }
        JobFailure::StageFailed { .. } | JobFailure::ResultLost { .. } if unreachable > 0 => Ok(()),
        JobFailure::StageFailed { .. } | JobFailure::ResultLost { .. } => {
            need(ATTEMPTS_A_LOSS * outputs_lost, ATTEMPTS, "attempts that losses of outputs may cost")
        }
        JobFailure::TaskFailed { stage, partition, .. } => {
            // Every task fails that waits for an answer.
            let unanswered = ATTEMPTS * cluster.outcome.answers_lost;
            need(faults.counted(driver, *stage, *partition) + unanswered, ATTEMPTS, "failures of it")
        }
        // Tasks that failed anywhere may be left with nowhere to run.
        JobFailure::Unschedulable { .. } if application.excludes => {
            let crashes = fired(&[KillExecutor, SpawnFails]) + cluster.outcome.crashes;
            need(cluster.outcome.failed + cluster.outcome.answers_lost + crashes, 1, "failures of tasks")
        }
        JobFailure::TaskLost { .. } => need(executors_lost, EXECUTORS, "losses of executors"),
        JobFailure::NoExecutors { .. } => need(executors_lost, 1, "losses of executors"),
        JobFailure::MasterUnreachable { .. } => {
            let apart = faults.fired(&[Partition, OneWay, Pause, Swizzle], REGISTERED) + fired(&[HalfOpen]);
            need(fired(&[KillMaster]) + apart, 1, "times that the master was away")
        }
        JobFailure::Forgotten { .. } => need(fired(&[KillMaster]) + apart, 1, "times that the master was away"),
        JobFailure::Ended { .. } => {
            need(fired(&[SpawnFails, KillExecutor]) + cluster.outcome.crashes, EXECUTORS, "failures of executors")
        }
        _ => Err("no fault does".into()),
    }
}

/// Faults so far after which two processes lose one another.
fn apart(cluster: &Cluster) -> u64 {
    let faults = &cluster.faults;
    faults.fired(&[Partition, OneWay, Pause, Swizzle], NOTICED) + faults.fired(&[HalfOpen], Duration::ZERO)
}

/// Whether an application may have been given up whose driver runs.
pub(super) fn may_be_disowned(cluster: &Cluster) -> bool {
    let failed = cluster.faults.fired(&[SpawnFails, KillExecutor], Duration::ZERO) + cluster.outcome.crashes;
    apart(cluster) + cluster.faults.fired(&[KillMaster], Duration::ZERO) > 0 || failed >= EXECUTORS / 4
}

fn need(count: u64, least: u64, what: &str) -> Result<(), String> {
    if count >= least { Ok(()) } else { Err(format!("{count} of at least {least} {what}")) }
}
