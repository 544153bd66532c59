//! Tasks that run out of memory.

use super::{Cluster, cluster_of, stage};
use hearth_core::messages::task::{TaskFailure, TaskNews};

impl Cluster {
    fn run_out(&mut self, task: u64) {
        self.news(task, TaskNews::Failed(TaskFailure::OutOfMemory("a join wants 3 GB".into())));
    }
}

#[test]
fn running_out_of_memory_is_no_failure_until_the_thrifty_attempt_does() {
    let mut c = cluster_of(&[1]);
    c.submit(1, vec![stage(1, &[])]);
    c.take();
    c.run_out(0);
    c.expect(&[
        "Warn: task 0 of stage 0 (1 tasks of []) ran out of memory on executor 1 at h1, and runs again with operators that \
         spill: a join wants 3 GB",
        "x1 launch #1 s0.0p0 again 1 thriftily",
        "j1 s0.0: 1 run, 0 of 1",
    ]);
    c.run_out(1);
    c.expect(&[
        "Warn: task 0 of stage 0 (1 tasks of []) failed on executor 1 at h1, failure 1 of 4: out of memory: a join wants \
         3 GB",
        "x1 launch #2 s0.0p0 again 2 thriftily",
        "j1 s0.0: 1 run, 0 of 1",
    ]);
    for task in 2..5 {
        c.run_out(task);
    }
    let lines = c.take();
    assert_eq!(
        lines[lines.len() - 2],
        "j1 failed: task 0 of stage 0 (1 tasks of []) failed 4 times, which is the limit (spark.task.maxFailures); the \
         last time on executor 1 at h1: out of memory: a join wants 3 GB"
    );
    c.driver.assert_empty();
}

/// One partition has more rows than the others; where two have too many, all may.
#[test]
fn a_stage_saves_memory_once_two_of_its_tasks_ran_out() {
    let mut c = cluster_of(&[2]);
    c.submit(1, vec![stage(6, &[])]);
    c.expect(&["x1 launch #0 s0.0p0, #1 s0.0p1", "j1 s0.0: 2 run, 0 of 6"]);
    let launched = |c: &mut Cluster| c.take().into_iter().filter(|line| line.contains("launch")).collect::<Vec<_>>();
    c.run_out(0);
    assert_eq!(launched(&mut c), ["x1 launch #2 s0.0p0 again 1 thriftily"]);
    c.succeed(1);
    assert_eq!(launched(&mut c), ["x1 launch #3 s0.0p2"]);
    c.run_out(3);
    assert_eq!(launched(&mut c), ["x1 launch #4 s0.0p2 again 1 thriftily"]);
    c.succeed(2);
    assert_eq!(launched(&mut c), ["x1 launch #5 s0.0p3 thriftily"]);
}
