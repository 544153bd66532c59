//! Tasks that take more than one slot.

use super::{Cluster, cluster, cluster_of, stage};
use hearth_core::{ExecutorId, StageNode, TaskId, messages::application::AppDown};

fn wide(slots: u32, tasks: u32) -> StageNode {
    StageNode { slots, ..stage(tasks, &[]) }
}

/// The job ends well, and nothing is left of it.
fn finish(c: &mut Cluster, job: u32) {
    assert!(c.take().contains(&format!("j{job} done")));
    c.release(job);
}

#[test]
fn a_wide_task_holds_all_its_slots() {
    let mut c = cluster_of(&[2, 4]);
    c.submit(1, vec![wide(3, 2)]);
    c.expect(&["x2 launch #0 s0.0p0", "j1 s0.0: 1 run, 0 of 2"]);
    assert_eq!(c.launches[&TaskId(0)].1.slots, 3);
    // One slot is left beside it, and it is kept for the second task: the other executor's two are not.
    c.submit(2, vec![stage(4, &[])]);
    c.expect(&["x1 launch #1 s1.0p0, #2 s1.0p1", "j2 s1.0: 2 run, 0 of 4"]);
    c.succeed(1);
    c.expect(&["j2 result 0", "x1 launch #3 s1.0p2", "j2 s1.0: 2 run, 1 of 4"]);
    c.succeed(0);
    // The wide one first, which came first; then one slot of the large executor is free for all.
    c.expect(&["j1 result 0", "x2 launch #4 s0.0p1, #5 s1.0p3", "j1 s0.0: 1 run, 1 of 2", "j2 s1.0: 3 run, 1 of 4"]);
    c.succeed_all([4, 2, 3, 5]);
    let lines = c.take();
    assert!(lines.contains(&"j1 done".to_owned()) && lines.contains(&"j2 done".to_owned()), "{lines:?}");
    c.release(1);
    c.release(2);
    c.driver.assert_empty();
}

/// Many narrow tasks of a later job never let all slots be free at once by themselves.
#[test]
fn narrow_tasks_do_not_starve_a_wide_one() {
    let mut c = cluster_of(&[2]);
    c.submit(1, vec![stage(2, &[])]);
    c.submit(2, vec![wide(2, 1)]);
    c.submit(3, vec![stage(50, &[])]);
    c.take();
    c.succeed(0);
    assert_eq!(c.take(), ["j1 result 0", "j1 s0.0: 1 run, 1 of 2"], "the free slot is kept");
    c.succeed(1);
    assert_eq!(c.launches.len(), 3);
    assert_eq!(c.launches[&TaskId(2)].1.slots, 2);
    finish(&mut c, 1);
    c.succeed(2);
    assert_eq!(c.launches.len(), 5, "then the narrow ones get both slots");
    finish(&mut c, 2);
    for task in 3..53 {
        c.succeed(task);
    }
    finish(&mut c, 3);
    c.driver.assert_empty();
}

#[test]
fn a_task_that_fits_no_executor_ends_its_job() {
    let mut c = cluster_of(&[1, 3]);
    c.submit(1, vec![wide(4, 1)]);
    c.expect(&[
        "j1 s0.0: 0 run, 0 of 1 over",
        "j1 failed: a task of stage 0 (1 tasks of []) takes 4 slots of one executor, and the largest executor has 3; \
         give executors more cores (spark.executor.cores), or set hearth.sql.fuse=never",
        "x1 forget 1 payloads, [], []",
        "x2 forget 1 payloads, [], []",
    ]);
    c.release(1);
    c.driver.assert_empty();
}

/// Without any executor there is nothing to compare with: the job waits as every job does.
#[test]
fn a_wide_task_waits_for_the_first_executor_and_for_one_that_is_on_its_way() {
    let mut c = super::master::registered(Default::default());
    c.take();
    c.submit(1, vec![wide(2, 1)]);
    c.expect(&["j1 s0.0: 0 run, 0 of 1"]);
    c.master_says(AppDown::ExecutorGranted(super::grant(2, 2)));
    c.join(1, 1);
    c.expect(&[]);
    c.join(2, 2);
    c.expect(&["x2 launch #0 s0.0p0", "j1 s0.0: 1 run, 0 of 1"]);
    c.succeed(0);
    finish(&mut c, 1);
    c.driver.assert_empty();
    assert_eq!(c.driver.executors.largest(), Some(2));
}

#[test]
fn the_slots_of_a_lost_wide_task_are_not_lost() {
    let mut c = cluster();
    c.join(1, 2);
    c.submit(1, vec![wide(2, 1)]);
    c.fail(0, "no luck");
    assert!(c.take().contains(&"x1 launch #1 s0.0p0 again 1".to_owned()));
    assert!(c.driver.executors.runs(ExecutorId(1), TaskId(1)));
    c.succeed(1);
    finish(&mut c, 1);
    c.driver.assert_empty();
}
