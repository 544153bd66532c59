//! Copies of slow tasks.

use super::{Cluster, stage};
use crate::machine::{DriverOptions, Speculation};
use hearth_core::{TaskId, messages::task::TaskUp};
use std::collections::BTreeSet;

/// Executors 1.. of so many slots, each of a worker of its own.
fn speculating(slots: &[u32]) -> Cluster {
    let mut c = Cluster::new(DriverOptions { speculation: Some(Speculation::default()), ..DriverOptions::default() });
    for (id, slots) in (1..).zip(slots) {
        c.join(id, *slots);
    }
    c
}

/// Ten tasks on two executors, of which all but the first, on executor 1, were done after 200 ms.
fn one_left(slots: &[u32]) -> Cluster {
    let mut c = speculating(slots);
    c.submit(1, vec![stage(10, &[]), stage(1, &[0])]);
    c.pass(200);
    c.succeed_all(1..10);
    c.take();
    c
}

const SLOW: &str = "Info: task 0 of stage 0 (10 tasks of []) has run for 0.7 s on executor 1 at h1, where others took 0.2 s: it \
                    gets a copy elsewhere (spark.speculation)";

#[test]
fn a_slow_task_gets_one_copy_on_another_machine() {
    let mut c = one_left(&[5, 5]);
    c.pass(400); // Three times the median is 600 ms.
    c.expect(&[]);
    c.pass(100);
    c.expect(&[SLOW, "x2 launch #10 s0.0p0 again 1", "j1 s0.0: 2 run, 9 of 10"]);
    c.pass(10_000);
    c.expect(&[]);
    // The copy is first: the other one ends.
    c.succeed(10);
    c.expect(&[
        "x1 kill #0: another attempt was first",
        "x1 launch #11 s1.0p0",
        "j1 s0.0: 1 run, 10 of 10 over",
        "j1 s1.0: 1 run, 0 of 1",
    ]);
    c.killed(0);
    c.succeed(11);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn the_first_attempt_may_be_first_after_all() {
    let mut c = one_left(&[5, 5]);
    c.pass(500);
    c.take();
    c.succeed(0);
    assert_eq!(c.take()[0], "x2 kill #10: another attempt was first");
    c.succeed(10); // Too late.
    c.expect(&["j1 s0.0: 0 run, 10 of 10 over"]);
    c.succeed(11);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn when_one_of_the_two_is_lost_the_other_goes_on() {
    let mut c = one_left(&[5, 5]);
    c.pass(500);
    c.take();
    c.say(1, TaskUp::Leaving { reason: "told to".into() });
    c.expect(&["Info: executor 1 leaves: told to", "x1 close", "j1 s0.0: 1 run, 9 of 10"]);
    c.fail(10, "no luck");
    c.expect(&[
        "Warn: task 0 of stage 0 (10 tasks of []) failed on executor 2 at h2, failure 1 of 4: no luck",
        "x2 launch #11 s0.0p0 again 2",
        "j1 s0.0: 1 run, 9 of 10",
    ]);
    c.succeed_all([11, 12]);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

/// Its own machine is what is slow about it: it waits for another one.
#[test]
fn a_copy_waits_for_a_slot_elsewhere() {
    let mut c = one_left(&[10]);
    c.pass(500);
    c.expect(&[SLOW]);
    c.join(2, 1);
    c.expect(&["x2 launch #10 s0.0p0 again 1", "j1 s0.0: 2 run, 9 of 10"]);
    c.succeed_all([0, 11]);
    c.take();
    c.killed(10);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn too_few_are_done_to_tell() {
    let mut c = speculating(&[5, 5]);
    c.submit(1, vec![stage(10, &[])]);
    c.pass(200);
    c.succeed_all(2..10); // 8 of 10.
    c.take();
    c.pass(60_000);
    c.expect(&[]);
    c.succeed(1);
    c.take();
    c.pass(100);
    assert!(c.take()[1].starts_with("x2 launch #10 s0.0p0 again 1"));
}

/// Of two tasks 90 % are one: parts of tasks do not count.
#[test]
fn one_of_two_is_enough_to_tell() {
    let mut c = speculating(&[1, 1]);
    c.submit(1, vec![stage(2, &[])]);
    c.pass(200);
    c.succeed(1);
    c.take();
    c.pass(500);
    assert!(c.take()[1].starts_with("x2 launch #2 s0.0p0 again 1"));
}

/// Short tasks are not worth a copy.
#[test]
fn nothing_is_slow_that_runs_for_less_than_100_ms() {
    let mut c = speculating(&[5, 5]);
    c.submit(1, vec![stage(10, &[])]);
    c.pass(1);
    c.succeed_all(1..10);
    c.take();
    c.pass(98);
    c.expect(&[]);
    c.pass(100);
    assert!(c.take()[1].starts_with("x2 launch #10 s0.0p0 again 1"));
}

/// It was told to end, and was done before it heard of it: its output counts, and what it is an output of runs no more.
#[test]
fn a_copy_that_was_told_to_end_may_be_needed_after_all() {
    let mut c = speculating(&[40, 2]);
    c.block_service = false;
    c.submit(1, vec![stage(20, &[]), stage(1, &[0])]);
    let slow: Vec<u64> = (0..20).filter(|task| c.launches[&TaskId(*task)].0.0 == 1).take(2).collect();
    c.pass(200);
    c.succeed_all((0..20).filter(|task| !slow.contains(task)));
    c.pass(500);
    c.take();
    c.succeed(slow[0]);
    assert_eq!(c.take()[0], "x2 kill #20: another attempt was first");
    // With it goes what it served, and there is no slot for the partition that is missing again.
    c.say(1, TaskUp::Leaving { reason: "told to".into() });
    c.take();
    let before = c.launches.len();
    c.succeed(20);
    let mut done: BTreeSet<u64> = (0..=20).collect();
    while let Some(task) = c.launches.keys().map(|task| task.0).find(|task| done.insert(*task)) {
        c.succeed(task);
    }
    let again = c.launches.values().skip(before).filter(|(_, launch)| launch.partition == 0 && launch.stage.0 == 0);
    assert_eq!(again.count(), 0, "its partition runs no more");
    assert!(c.take().contains(&"j1 done".into()));
    c.release(1);
    c.take();
    c.driver.assert_empty();
}
