//! Masters, workers' daemons and whole machines that go.

use super::{
    super::{Daemon, Process, TestCluster, eventually, signal},
    executors::REMOTE,
    ledger,
    trial::Trial,
};
use rustix::process::Signal;
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How soon what a worker started must have noticed that it is gone.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

/// A4: a machine goes with its files, when all scans are done and what reads them begins.
pub(super) fn worker_lost(trial: &mut Trial) {
    machine_lost(trial);
}

/// A4 where outputs lie on two disks of the machine: they have one server, and go together.
pub(super) fn worker_lost_with_disks(trial: &mut Trial) {
    trial.give_disks(2);
    machine_lost(trial);
}

fn machine_lost(trial: &mut Trial) {
    trial.slowly("task.start[stage=3,attempt=0,stage_attempt=0]=sleep(700)");
    let mut cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &REMOTE);
    if trial.is_faulty() {
        eventually("a task reads what the scans have written", || {
            trial.fired().iter().any(|fired| fired.get("stage") == "3").then_some(())
        });
        assert!(!query.is_over(), "{}", query.log());
        let disks = disks_of(trial, &cluster, 0);
        for disk in &disks {
            let written = super::files(disk).into_iter().any(|file| file.extension().is_some_and(|e| e == "index"));
            assert!(written, "no output is on {}", disk.display());
        }
        // All of it at once, as a machine goes.
        let work_dir = cluster.work_dir(0);
        let gone: Vec<_> = Process::below(&work_dir).into_iter().map(|process| process.pid).collect();
        cluster.workers[0].signal(Signal::KILL);
        gone.iter().for_each(|pid| signal(*pid, Signal::KILL));
        cluster.workers[0].wait();
        eventually("nothing of the machine is left", || Process::below(&work_dir).is_empty().then_some(()));
        for disk in disks.iter().chain([&work_dir]) {
            fs::remove_dir_all(disk).expect("the machine's disk");
        }
        trial.happened(gone.len() + 1);
    }
    trial.ends_right(&mut query);
    trial.only_lost_ran_again(|attempt| attempt.worker() == Some(0));
    trial.few_attempts(2);
    trial.nothing_is_left(&cluster);
}

/// A worker's own directories on the disks that workers were given.
fn disks_of(trial: &Trial, cluster: &TestCluster, worker: usize) -> Vec<PathBuf> {
    let id = cluster.worker(worker).id;
    trial.disks().into_iter().map(|disk| disk.join(id.as_str())).collect()
}

/// A7: the master is killed while a job runs, and another one takes its place. Workers come back to it by themselves, and
/// never is more of one given out than it has. Masters do not recover applications yet: a job ends right, or with the one
/// error that says so.
pub(super) fn master_killed(trial: &mut Trial) {
    trial.slowly("task.start[stage>=3]=sleep(700)");
    let mut cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[]);
    if trial.is_faulty() {
        trial.await_busy(&cluster, 2);
        assert!(!query.is_over(), "{}", query.log());
        cluster.kill_master();
        cluster.start_master_again();
        trial.happened(1);
        nothing_is_given_twice(&cluster, &mut query);
        if query.wait().success() {
            trial.ends_right(&mut query);
        } else {
            trial.ends_wrong(&mut query, &["hearth: ", "master", "restart"]);
        }
    } else {
        trial.ends_right(&mut query);
    }
    // Such a job's executors are told to end.
    let fired = trial.fired();
    let heard = ledger::heard_before(&fired, u64::MAX);
    trial.only_lost_ran_again(|attempt| !heard.contains(attempt.get("task")));
    trial.nothing_is_left(&cluster);
}

/// Until a query is over.
fn nothing_is_given_twice(cluster: &TestCluster, query: &mut Daemon) {
    eventually("the end of the query", || {
        let workers = cluster.status().workers;
        for worker in &workers {
            let (used, total) = (worker.used.cores, worker.total.cores);
            assert!(used <= total, "{used} of {total} cores of {} are given out", worker.id);
        }
        for place in 0..cluster.workers.len() {
            let (living, total) = (executors_on(cluster, place), cluster.worker(place).total.cores as usize);
            assert!(living <= total, "{living} executors of one core run where there are {total}");
        }
        query.is_over().then_some(())
    });
}

fn executors_on(cluster: &TestCluster, place: usize) -> usize {
    let below = Process::below(&cluster.work_dir(place));
    below.iter().filter(|process| process.command.contains(" executor ")).count()
}

/// A12: a worker's daemon is killed, and what it had started lives. None of that outlives it for long; the job goes on
/// elsewhere, and a new daemon in the same place removes the old one's files.
pub(super) fn worker_daemon_killed(trial: &mut Trial) {
    trial.slowly("task.start[stage=3,attempt=0,stage_attempt=0]=sleep(700)");
    let mut cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &REMOTE);
    if trial.is_faulty() {
        eventually("a task reads what the scans have written", || {
            trial.fired().iter().any(|fired| fired.get("stage") == "3").then_some(())
        });
        trial.await_busy(&cluster, 2);
        assert!(!query.is_over(), "{}", query.log());
        let daemon = cluster.workers[0].pid();
        let work_dir = cluster.work_dir(0);
        let children = || Process::below(&work_dir).into_iter().filter(|process| process.pid != daemon).count();
        assert!(children() >= 2, "an executor and the block service live");
        cluster.workers[0].signal(Signal::KILL);
        cluster.workers[0].wait();
        trial.happened(1);
        let begun = Instant::now();
        eventually("nobody outlives the daemon", || (children() == 0).then_some(()));
        let stayed = begun.elapsed();
        assert!(stayed < NOTICED_WITHIN, "what the daemon had started lived on for {stayed:?}");
    }
    trial.ends_right(&mut query);
    trial.only_lost_ran_again(|attempt| attempt.worker() == Some(0));
    trial.few_attempts(2);
    if trial.is_faulty() {
        cluster.start_worker_again(0, 1);
    }
    trial.nothing_is_left(&cluster);
}
