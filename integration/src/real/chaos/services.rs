//! Block services, workers and drivers that die.

use super::{
    super::{Process, eventually, signal},
    executors::REMOTE,
    trial::Trial,
};
use rustix::process::Signal;
use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How long an executor may live without its driver.
const ALONE: Duration = Duration::from_secs(20);

/// A3: both block services die, after another number of bytes in each trial. They come back at the same ports, with the same
/// files.
pub(super) fn block_service_killed(trial: &mut Trial) {
    static TRIALS: AtomicU64 = AtomicU64::new(0);
    let first = TRIALS.fetch_add(1, Ordering::Relaxed) * 170_000 % 1_000_000;
    let second = 1_000_000 - first;
    trial.failpoints(&format!(
        "blocks.serve[bytes>={first},dir~worker-0]=kill*1; blocks.serve[bytes>={second},dir~worker-1]=kill*1"
    ));
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &REMOTE);
    trial.ends_right(&mut query);
    trial.must_have_fired(2..=2);
    trial.few_attempts(4);
    trial.nothing_is_left(&cluster);
    eventually("the workers have other block services", || (cluster.block_services().len() == 2).then_some(()));
}

/// A4: a machine goes with its files, when all scans are done and what reads them begins.
pub(super) fn worker_lost(trial: &mut Trial) {
    trial.slowly("task.start[stage=3,attempt=0,stage_attempt=0]=sleep(700)");
    let mut cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &REMOTE);
    if trial.is_faulty() {
        eventually("a task reads what the scans have written", || {
            trial.fired().iter().any(|fired| fired.get("stage") == "3").then_some(())
        });
        assert!(!query.is_over(), "{}", query.log());
        // All of it at once, as a machine goes.
        let work_dir = cluster.work_dir(0);
        let gone: Vec<_> = Process::below(&work_dir).into_iter().map(|process| process.pid).collect();
        cluster.workers[0].signal(Signal::KILL);
        gone.iter().for_each(|pid| signal(*pid, Signal::KILL));
        cluster.workers[0].wait();
        eventually("nothing of the machine is left", || Process::below(&work_dir).is_empty().then_some(()));
        fs::remove_dir_all(&work_dir).expect("the machine's disk");
        trial.happened(gone.len() + 1);
        trial.took(gone);
    }
    trial.ends_right(&mut query);
    // The first failure condemns one output, the second all that was there.
    trial.few_attempts(3);
    trial.nothing_is_left(&cluster);
}

/// A11: the client's process is killed.
pub(super) fn driver_killed(trial: &mut Trial) {
    trial.slowly("task.start[stage=3]=sleep(500)");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[]);
    if !trial.is_faulty() {
        trial.ends_right(&mut query);
        return trial.nothing_is_left(&cluster);
    }
    trial.await_busy(&cluster, 2);
    assert!(!query.is_over(), "{}", query.log());
    query.signal(Signal::KILL);
    trial.ends(&mut query);
    trial.happened(1);
    let begun = Instant::now();
    let app = cluster.await_application("faulty", |app| app.state.is_final());
    assert_eq!(app.state, hearth_core::ApplicationState::Killed, "{}", app.message);
    assert!(begun.elapsed() < ALONE, "its application lived on for {:?}", begun.elapsed());
    trial.nothing_is_left(&cluster);
}

/// A11: the client's process says nothing any more, and its connections stay open.
pub(super) fn driver_silent(trial: &mut Trial) {
    trial.slowly("task.start[stage=3]=sleep(500)");
    let cluster = trial.cluster(&[1, 1]);
    let conf = [
        "--conf",
        "spark.executor.heartbeatInterval=500ms",
        "--conf",
        "hearth.executor.driverTimeout=2s",
        "--conf",
        "hearth.executor.silenceTimeout=4s",
    ];
    let mut query = trial.start(&cluster, &conf);
    if !trial.is_faulty() {
        trial.ends_right(&mut query);
        return trial.nothing_is_left(&cluster);
    }
    trial.await_busy(&cluster, 2);
    assert!(!query.is_over(), "{}", query.log());
    query.signal(Signal::STOP);
    trial.happened(1);
    let begun = Instant::now();
    eventually("the executors have left", || cluster.executors().is_empty().then_some(()));
    assert!(begun.elapsed() < ALONE, "the executors stayed for {:?}", begun.elapsed());
    query.signal(Signal::KILL);
    trial.ends(&mut query);
    // The master waits for a driver that may come back.
    cluster.await_application("faulty", |app| app.state.is_final());
    trial.nothing_is_left(&cluster);
}
