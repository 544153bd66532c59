//! Executors that die.

use super::trial::{ANSWER, QUERY_ARGS, Trial};
use std::collections::BTreeSet;

/// Blocks come over the network, so that there is something to break.
pub(super) const REMOTE: [&str; 2] = ["--conf", "hearth.shuffle.localRead=false"];

/// A1: what it had finished stays, by the block service; what it ran goes again.
pub(super) fn killed_mid_map(trial: &mut Trial) {
    trial.failpoints("output.write[path~shuffle_,buffered>=1]=kill*1");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[]);
    trial.ends_right(&mut query);
    trial.must_have_fired(1..=1);
    trial.only_lost_ran_again(|_| false);
    trial.nothing_is_left(&cluster);
}

/// A1 where executors serve what they wrote themselves: it goes with them.
pub(super) fn killed_with_its_outputs(trial: &mut Trial) {
    trial.failpoints("task.start[stage=3]=kill*1");
    let cluster = trial.cluster(&[1, 1]);
    let own = ["--conf", "spark.shuffle.service.enabled=false"];
    let mut query = trial.start(&cluster, &[&own[..], &REMOTE].concat());
    trial.ends_right(&mut query);
    let killed: Vec<_> = trial.must_have_fired(1..=1).iter().map(super::Fired::pid).collect();
    // All that it ever began. Whoever was about to read it runs again too.
    trial.only_lost_ran_again(|attempt| killed.contains(&attempt.pid()));
    trial.few_attempts(3);
    trial.nothing_is_left(&cluster);
}

/// A2: in the middle of its input's bytes. Nothing of a stage that was finished runs again.
pub(super) fn killed_mid_reduce(trial: &mut Trial) {
    trial.failpoints("fetch.chunk[all>=100000]=kill*1");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &REMOTE);
    trial.ends_right(&mut query);
    trial.must_have_fired(1..=1);
    trial.only_lost_ran_again(|_| false);
    trial.few_attempts(1);
    trial.nothing_is_left(&cluster);
}

/// A5: both die at their second task's beginning, and so do their replacements.
pub(super) fn all_killed(trial: &mut Trial) {
    trial.failpoints("task.start[stage>=1,attempt=0]=kill*4");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[]);
    trial.ends_right(&mut query);
    let fired = trial.must_have_fired(4..=4);
    if trial.is_faulty() {
        let pids: BTreeSet<_> = fired.iter().map(super::Fired::pid).collect();
        assert_eq!(pids.len(), 4, "four executors died: {fired:?}");
    }
    trial.only_lost_ran_again(|_| false);
    trial.nothing_is_left(&cluster);
}

/// A5: nobody ever comes as far as a task. The master stops replacing them, and the query ends with the reason.
pub(super) fn all_killed_for_good(trial: &mut Trial) {
    trial.failpoints("executor.register=abort");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[]);
    if trial.is_faulty() {
        trial.ends_wrong(&mut query, &["executor"]);
        trial.must_have_fired(2..=100);
    } else {
        trial.ends_right(&mut query);
    }
    trial.only_lost_ran_again(|_| false);
    trial.nothing_is_left(&cluster);
}

/// A20 by SIGABRT.
pub(super) fn poison_abort(trial: &mut Trial) {
    poison(trial, "abort");
}

/// A20 by SIGSEGV.
pub(super) fn poison_segv(trial: &mut Trial) {
    poison(trial, "segv");
}

/// A20 by recursion without end.
pub(super) fn poison_overflow(trial: &mut Trial) {
    poison(trial, "overflow");
}

/// A task that kills whoever runs it fails its job after four attempts, on at least two executors. Another application does
/// not notice.
fn poison(trial: &mut Trial, deed: &str) {
    // The other application's stages have two tasks each.
    trial.failpoints(&format!("task.start[stage=2,partition=3]={deed}"));
    let cluster = trial.cluster(&[2, 2]);
    let limited = ["--conf", "spark.cores.max=2"];
    let mut query = trial.start(&cluster, &limited);
    let mut bystander = cluster.start_sql("bystander", &[&QUERY_ARGS[..], &limited].concat());
    if trial.is_faulty() {
        trial.ends_wrong(&mut query, &["task 3 of stage 2", "failed 4 times", "spark.task.maxFailures"]);
        // A death before the driver heard of the start is not the task's failure.
        let fired = trial.must_have_fired(4..=8);
        let pids: BTreeSet<_> = fired.iter().map(super::Fired::pid).collect();
        assert!(pids.len() >= 2, "{fired:?}");
    } else {
        trial.ends_right(&mut query);
    }
    assert!(bystander.wait().success(), "{}", bystander.log());
    assert_eq!(bystander.output().trim(), ANSWER.trim());
    assert!(!bystander.log().contains("failure"), "{}", bystander.log());
    trial.only_lost_ran_again(|_| false);
    trial.nothing_is_left(&cluster);
}
