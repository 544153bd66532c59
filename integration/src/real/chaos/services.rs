//! Block services and drivers that die.

use super::{
    super::{Daemon, TestCluster, eventually},
    executors::REMOTE,
    trial::Trial,
};
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How long an executor may live without its driver.
const ALONE: Duration = Duration::from_secs(20);
/// What the machine may need to see it.
const SEEN_WITHIN: Duration = Duration::from_secs(3);

/// Bytes that each block service serves at least.
const SERVED: u64 = 1_000_000;

/// Another number in each run, which a run that fails tells among its failpoints.
fn by_chance(below: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after its epoch");
    u64::from(now.subsec_nanos()) / 1000 * 7919 % below
}

/// The workers whose block service a task gave up, by what the driver said: all that they have is condemned.
pub(super) fn unreachable(cluster: &TestCluster, query: &Daemon) -> BTreeSet<usize> {
    const FAILED: &str = "cannot fetch the output of map task";
    let log = query.log();
    let failed: Vec<_> = log.lines().filter(|line| line.contains(FAILED)).collect();
    let is_named = |worker: &usize| {
        let view = cluster.worker(*worker);
        let from = format!(" from {}:{}: ", view.host, view.port);
        failed.iter().any(|line| line.contains(&from))
    };
    let found: BTreeSet<_> = (0..cluster.workers.len()).filter(is_named).collect();
    assert_eq!(found.is_empty(), failed.is_empty(), "a server that nobody knows: {failed:#?}");
    found
}

/// A3: both block services die, after another number of bytes in each run. They come back at the same ports, with the same
/// files, so that most readers have no more than to ask again.
pub(super) fn block_services_killed(trial: &mut Trial) {
    let first = by_chance(SERVED);
    let second = SERVED - first;
    trial.failpoints(&format!(
        "blocks.serve[bytes>={first},dir~worker-0]=kill*1; blocks.serve[bytes>={second},dir~worker-1]=kill*1"
    ));
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &REMOTE);
    trial.ends_right(&mut query);
    trial.must_have_fired(2..=2);
    let condemned = unreachable(&cluster, &query);
    trial.only_lost_ran_again(|attempt| attempt.worker().is_some_and(|worker| condemned.contains(&worker)));
    trial.few_attempts(4);
    trial.nothing_is_left(&cluster);
    eventually("the workers have other block services", || (cluster.block_services().len() == 2).then_some(()));
}

/// A3: a block service dies where readers try but once. The failure is typed, and only maps of that server run again.
pub(super) fn block_service_fails(trial: &mut Trial) {
    trial.failpoints(&format!("blocks.serve[bytes>={},dir~worker-0]=kill*1", by_chance(SERVED)));
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[&REMOTE[..], &["--conf", "spark.shuffle.io.maxRetries=0"]].concat());
    trial.ends_right(&mut query);
    trial.must_have_fired(1..=1);
    let condemned = unreachable(&cluster, &query);
    let expected = if trial.is_faulty() { BTreeSet::from([0]) } else { BTreeSet::new() };
    assert_eq!(condemned, expected, "{}", query.log());
    trial.only_lost_ran_again(|attempt| attempt.worker() == Some(0));
    trial.few_attempts(2);
    trial.nothing_is_left(&cluster);
}

/// A11: the client's process is killed.
pub(super) fn driver_killed(trial: &mut Trial) {
    driver_gone(trial, Signal::KILL);
}

/// A11: the client's process says nothing any more, and its connections stay open. All timeouts are as they are without being
/// set.
pub(super) fn driver_silent(trial: &mut Trial) {
    driver_gone(trial, Signal::STOP);
}

fn driver_gone(trial: &mut Trial, how: Signal) {
    trial.slowly("task.start[stage=3]=sleep(500)");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[]);
    if trial.is_faulty() {
        trial.await_busy(&cluster, 2);
        assert!(!query.is_over(), "{}", query.log());
        query.signal(how);
        trial.happened(1);
        let begun = Instant::now();
        eventually("the executors have left", || cluster.executors().is_empty().then_some(()));
        let stayed = begun.elapsed();
        assert!(stayed < ALONE + SEEN_WITHIN, "the executors stayed for {stayed:?}");
        query.signal(Signal::KILL);
        trial.ends(&mut query);
        // The master waits for a driver that may come back.
        let app = cluster.await_application("faulty", |app| app.state.is_final());
        assert_eq!(app.state, hearth_core::ApplicationState::Killed, "{}", app.message);
        assert!(begun.elapsed() < ALONE + stayed, "its application lived on for {:?}", begun.elapsed());
        // Who is killed cannot remove what is its own: the next driver on its machine does, after a minute.
        fs::remove_dir_all(cluster.driver_scratch()).expect("the driver's directory");
    } else {
        trial.ends_right(&mut query);
    }
    trial.only_lost_ran_again(|_| false);
    trial.nothing_is_left(&cluster);
}
