//! Which faults justify which failure of a job. A run whose faults do not must succeed.
//!
//! Only those count that a job can have met: that were not over long before it began, and that struck a machine which has to do
//! with its application. In a run that is strict none does.

use super::{
    cluster::{Cluster, MASTER_HOST},
    faults::{Fired, Kind, Kind::*, Note},
    node::{Job, NodeId},
};
use hearth_core::{Determinism, JobId, Now};
use hearth_driver::machine::JobFailure;
use std::{collections::BTreeSet, time::Duration};

/// Failures of one task, or of one stage in a row, that end a job; executors that may fail in a row.
const ATTEMPTS: u64 = 4;
const EXECUTORS: u64 = 10;
/// Attempts of a stage that one loss of outputs may cost: the one that finds out, and one more to condemn the rest.
const ATTEMPTS_A_LOSS: u64 = 2;

/// Two processes that cannot talk for less than this lose nothing by it, not even when they look for one another anew.
const NOTICED: Duration = Duration::from_secs(5);

/// Of the time in which an application must be registered, the part that tries under way may waste.
const REGISTERED: Duration = Duration::from_secs(2);

/// How long after the end of a fault its consequences may begin: a peer that is silent is given up after two minutes.
const AFTERMATH: Duration = Duration::from_secs(120);

/// What one job, or its application, may have met.
struct Met<'a> {
    cluster: &'a Cluster,
    driver: NodeId,
    /// The machines that its application has to do with.
    hosts: BTreeSet<usize>,
    since: Now,
}

impl<'a> Met<'a> {
    fn of(cluster: &'a Cluster, driver: NodeId, since: Now) -> Self {
        let own = cluster.nodes[driver.0].host;
        let hosts = cluster.faults.used(driver).chain([MASTER_HOST, own]).collect();
        Self { cluster, driver, hosts, since }
    }

    /// How many faults of some kinds it may have met that lasted for so long.
    fn fired(&self, kinds: &[Kind], at_least: Duration) -> u64 {
        let met = |fault: &&Fired| {
            kinds.contains(&fault.kind)
                && fault.lasts >= at_least
                && fault.over.after(AFTERMATH) >= self.since
                && fault.touches.concern(&self.hosts)
        };
        self.cluster.faults.fired().iter().filter(met).count() as u64
    }

    fn noted(&self, note: Note) -> u64 {
        self.cluster.faults.noted(note, self.driver, self.since)
    }

    /// Faults after which two processes lose one another.
    fn apart(&self) -> u64 {
        self.fired(&[Partition, OneWay, Pause, Swizzle], NOTICED) + self.fired(&[HalfOpen], Duration::ZERO)
    }

    fn executors_lost(&self) -> u64 {
        let kinds = [KillExecutor, KillWorker, StopWorker, KillMaster, KillBlockService, SpawnFails, Deaf];
        self.fired(&kinds, Duration::ZERO) + self.apart() + self.noted(Note::Crash)
    }
}

/// Whether the faults so far justify this failure; else what is missing.
pub(super) fn justify(
    cluster: &Cluster,
    driver: NodeId,
    (id, job): (JobId, &Job),
    failure: &JobFailure,
) -> Result<(), String> {
    let application = &cluster.options.applications[cluster.place_of(driver)];
    let faults = &cluster.faults;
    let wanted = &application.jobs[job.place].graph;
    let vague = wanted.stages.iter().any(|stage| stage.determinism == Determinism::Indeterminate);
    if cluster.options.only.is_some() {
        let fated = matches!(failure, JobFailure::Indeterminate { .. }) && vague;
        return if fated { Ok(()) } else { Err("in a strict run nothing does".into()) };
    }
    let began = cluster.nodes[driver.0].driver().map_or(Now::default(), |process| process.since);
    let (of_job, of_driver) = (Met::of(cluster, driver, job.since), Met::of(cluster, driver, began));
    // While two machines cannot talk, or a process that serves blocks is stopped, each attempt may fail anew.
    let patience = cluster.options.retry_wait * cluster.options.fetch_retries;
    let stopped = if application.serves_itself { of_job.fired(&[Pause], patience) } else { 0 };
    let disowned = u64::from(cluster.disowned.contains(&driver));
    let unreachable = of_job.fired(&[Partition, OneWay], patience) + stopped + disowned;
    let outputs_lost = of_job.fired(&[LoseDisk, DamageOutput, KillWorker, StopWorker], Duration::ZERO)
        + of_job.apart()
        + match application.serves_itself {
            true => of_job.executors_lost(),
            false => of_job.fired(&[KillBlockService], Duration::ZERO),
        };
    match failure {
        JobFailure::Cancelled(_) if faults.was_cancelled(driver, id) => Ok(()),
        JobFailure::Indeterminate { .. } => {
            need(u64::from(vague), 1, "indeterminate stages")?;
            need(outputs_lost + unreachable, 1, "losses of outputs")
        }
        JobFailure::StageFailed { .. } | JobFailure::ResultLost { .. } if unreachable > 0 => Ok(()),
        JobFailure::StageFailed { .. } | JobFailure::ResultLost { .. } => {
            need(ATTEMPTS_A_LOSS * outputs_lost, ATTEMPTS, "attempts that losses of outputs may cost")
        }
        JobFailure::TaskFailed { stage, partition, .. } => {
            // Every task fails that waits for an answer.
            let unanswered = ATTEMPTS * of_job.noted(Note::NoAnswer);
            need(faults.counted(driver, *stage, *partition) + unanswered, ATTEMPTS, "failures of it")
        }
        // Tasks that failed anywhere may be left with nowhere to run.
        JobFailure::Unschedulable { .. } if application.excludes => {
            let failed = faults.counted_of(driver) + of_driver.noted(Note::NoAnswer) + of_driver.noted(Note::BadEnd);
            need(failed, 1, "failures of tasks")
        }
        JobFailure::TaskLost { .. } => need(of_job.executors_lost(), EXECUTORS, "losses of executors"),
        JobFailure::NoExecutors { .. } => {
            // Wherever there could have been some.
            let hosts = (0..=cluster.nodes.iter().map(|node| node.host).max().unwrap_or(0)).collect();
            need(Met { hosts, ..of_driver }.executors_lost(), 1, "losses of executors")
        }
        JobFailure::MasterUnreachable { .. } => {
            let apart = of_driver.fired(&[Partition, OneWay, Pause, Swizzle], REGISTERED);
            let away = of_driver.fired(&[KillMaster, HalfOpen], Duration::ZERO);
            need(apart + away, 1, "times that the master was away")
        }
        JobFailure::Forgotten { .. } => {
            let away = of_driver.fired(&[KillMaster], Duration::ZERO) + of_driver.apart();
            need(away, 1, "times that the master was away")
        }
        JobFailure::Ended { .. } => need(of_driver.noted(Note::BadEnd), EXECUTORS, "executors that ended in failure"),
        _ => Err("no fault does".into()),
    }
}

/// Whether an application may have been given up whose driver runs.
pub(super) fn may_be_disowned(cluster: &Cluster, driver: NodeId) -> bool {
    let met = Met::of(cluster, driver, Now::default());
    met.apart() + met.fired(&[KillMaster], Duration::ZERO) > 0 || met.noted(Note::BadEnd) >= EXECUTORS
}

fn need(count: u64, least: u64, what: &str) -> Result<(), String> {
    if count >= least { Ok(()) } else { Err(format!("{count} of at least {least} {what}")) }
}
