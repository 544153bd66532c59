//! Executors and workers that are left out.

use super::{Cluster, stage};
use crate::machine::{DriverOptions, Exclusion};
use hearth_core::{StageNode, messages::task::TaskUp};
use std::collections::BTreeSet;

/// Executors 1.. of so many slots, each of a worker of its own.
fn excluding(slots: &[u32]) -> Cluster {
    let options = DriverOptions { exclusion: Some(Exclusion::default()), ..DriverOptions::default() };
    let mut c = Cluster::new(options);
    for (id, slots) in (1..).zip(slots) {
        c.join(id, *slots);
    }
    c
}

/// The executor that a task was launched on; links have their executors' numbers.
fn at(c: &Cluster, task: u64) -> u64 {
    c.launches[&hearth_core::TaskId(task)].0.0
}

#[test]
fn a_task_goes_where_it_did_not_fail() {
    let mut c = excluding(&[4, 1]);
    c.submit(1, vec![stage(1, &[])]);
    assert_eq!(at(&c, 0), 1);
    c.fail(0, "no luck");
    assert_eq!(at(&c, 1), 2);
    c.succeed(1);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn a_stage_leaves_out_an_executor_where_several_of_its_tasks_failed() {
    let mut c = excluding(&[2, 1]);
    c.submit(1, vec![stage(5, &[])]);
    let mut done: BTreeSet<u64> = (0..3).filter(|task| at(&c, *task) == 1).collect();
    assert_eq!(done.len(), 2);
    done.iter().for_each(|task| c.fail(*task, "no luck"));
    // What runs there already goes on; nothing new comes, though there are slots.
    let on_first = |c: &Cluster| c.launches.keys().filter(|task| at(c, task.0) == 1).count();
    let before = on_first(&c);
    while let Some(task) = c.launches.keys().map(|task| task.0).find(|task| done.insert(*task)) {
        c.succeed(task);
    }
    assert_eq!(on_first(&c), before);
    assert!(c.take().contains(&"j1 done".into()));
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn a_task_that_may_run_nowhere_ends_its_job_unless_somebody_comes() {
    let mut c = excluding(&[1]);
    c.submit(1, vec![stage(1, &[])]);
    c.take();
    c.fail(0, "no luck");
    c.expect(&[
        "Warn: task 0 of stage 0 (1 tasks of []) failed on executor 1 at h1, failure 1 of 4: no luck",
        "j1 s0.0: 0 run, 0 of 1",
        "Warn: task 0 of stage 0 (1 tasks of []) may run nowhere: it failed on every executor, or they are left out \
         (spark.excludeOnFailure); its job ends in 120 s unless another one comes",
    ]);
    c.pass(100_000);
    c.say(1, TaskUp::Heartbeat);
    c.join(2, 1);
    c.expect(&["x2 launch #1 s0.0p0 again 1", "j1 s0.0: 1 run, 0 of 1"]);
    c.fail(1, "no luck");
    c.take();
    for _ in 0..12 {
        c.pass(10_000);
        c.say(1, TaskUp::Heartbeat);
        c.say(2, TaskUp::Heartbeat);
    }
    let lines = c.take();
    assert_eq!(
        lines[1],
        "j1 failed: task 0 of stage 0 (1 tasks of []) could run nowhere for 120 s \
         (spark.scheduler.excludeOnFailure.unschedulableTaskSetTimeout): executor 1 of w1 (this task failed 1 times there, 1 \
         tasks of the stage did), executor 2 of w2 (this task failed 1 times there, 1 tasks of the stage did); see why it \
         failed there, or set spark.excludeOnFailure.enabled=false"
    );
    c.driver.assert_empty();
}

/// Its tasks succeeded elsewhere: it is the executor that is to blame, for an hour.
#[test]
fn the_application_leaves_out_an_executor_that_fails_what_succeeds_elsewhere() {
    let mut c = excluding(&[2, 2]);
    c.submit(1, vec![stage(4, &[])]);
    let on_first: Vec<u64> = (0..4).filter(|task| at(&c, *task) == 1).collect();
    on_first.iter().for_each(|task| c.fail(*task, "no luck"));
    let mut done = BTreeSet::from_iter(on_first);
    while let Some(task) = c.launches.keys().map(|task| task.0).find(|task| done.insert(*task)) {
        c.succeed(task);
    }
    let lines = c.take();
    assert!(
        lines.contains(&"Warn: executor 1 is left out: 2 tasks failed there that succeeded elsewhere".into()),
        "{lines:?}"
    );
    c.release(1);
    let before = c.launches.len() as u64;
    c.submit(2, vec![stage(4, &[])]);
    assert!((before..before + 2).all(|task| at(&c, task) == 2) && c.launches.len() as u64 == before + 2);
    c.take();
    // An hour later it may again.
    for _ in 0..361 {
        c.pass(10_000);
        c.say(1, TaskUp::Heartbeat);
        c.say(2, TaskUp::Heartbeat);
    }
    assert_eq!((at(&c, before + 2), at(&c, before + 3)), (1, 1));
    c.take();
}

/// What a wide task waits for is kept from others where it may run, and not where it may not.
#[test]
fn a_wide_task_waits_where_it_may_run() {
    let mut c = excluding(&[4, 4]);
    c.submit(1, vec![StageNode { slots: 4, ..stage(1, &[]) }]);
    c.submit(2, vec![stage(40, &[])]);
    c.fail(0, "no luck");
    let mut done = BTreeSet::from([0]);
    let wide = |c: &Cluster| c.launches.values().filter(|(_, launch)| launch.slots == 4).count();
    while wide(&c) < 2 {
        let task = c.launches.keys().map(|task| task.0).find(|task| done.insert(*task));
        c.succeed(task.expect("the wide task starts before all others are done"));
    }
    assert!(done.len() < 20, "{} others were done before", done.len());
    c.take();
}
