//! What is told of a stage's tasks.

use super::{Cluster, cluster_of, stage};
use crate::machine::{FailureCounts, Spread};
use hearth_core::{
    StageId,
    messages::task::{OperatorMetrics, TaskMetrics, TaskNews},
};

/// A task that read so many rows in so many milliseconds.
fn did(rows_read: u64, run_millis: u64) -> TaskMetrics {
    let operators = vec![OperatorMetrics { place: 0, rows: rows_read, compute_micros: run_millis }];
    TaskMetrics { rows_read, run_millis, bytes_read: 100, peak_memory: rows_read, operators, ..TaskMetrics::default() }
}

fn succeed(c: &mut Cluster, task: u64, metrics: TaskMetrics) {
    let output = c.output(task);
    c.news(task, TaskNews::Succeeded(output, metrics));
}

#[test]
fn sums_spreads_and_failures_of_a_stage_are_told() {
    let mut c = cluster_of(&[4, 1]);
    c.submit(1, vec![stage(3, &[]), stage(1, &[0])]);
    succeed(&mut c, 0, did(10, 20));
    let early = c.metrics[&StageId(0)].clone();
    assert_eq!((early.attempts, early.total.rows_read, early.run_millis.count), (3, 10, 1));
    assert_eq!(early.total.operators, [], "told when the stage is over");
    succeed(&mut c, 1, did(12, 21));
    c.fail(2, "no luck");
    succeed(&mut c, 3, did(60, 63));
    let map = c.metrics[&StageId(0)].clone();
    assert_eq!(map.attempts, 4);
    assert_eq!((map.total.rows_read, map.total.bytes_read, map.total.peak_memory), (82, 300, 60));
    assert_eq!(map.total.operators, [OperatorMetrics { place: 0, rows: 82, compute_micros: 104 }]);
    assert_eq!(map.rows_read, Spread { count: 3, median: 12, max: 60 });
    assert_eq!(map.run_millis, Spread { count: 3, median: 21, max: 63 });
    assert_eq!(map.run_millis.skew(), Some(3.0));
    assert_eq!(map.failures, FailureCounts { transient: 1, ..FailureCounts::default() });
    c.take();
    // The reader cannot fetch; what is made again counts as work that was done.
    c.fail_fetch(4, 0);
    c.pass(200);
    succeed(&mut c, 5, did(10, 20));
    succeed(&mut c, 6, did(82, 5));
    let (map, reduce) = (&c.metrics[&StageId(0)], &c.metrics[&StageId(1)]);
    assert_eq!((map.attempts, map.rows_read.count, map.total.rows_read), (5, 4, 92));
    assert_eq!((reduce.attempts, reduce.failures.fetch, reduce.total.rows_read), (2, 1, 82));
    c.release(1);
    c.take();
    c.driver.assert_empty();
}

#[test]
fn what_is_lost_and_what_is_late_is_counted_once() {
    let mut c = cluster_of(&[1, 1]);
    c.submit(1, vec![stage(1, &[])]);
    c.say(1, hearth_core::messages::task::TaskUp::Leaving { reason: "test".into() });
    assert_eq!(c.metrics[&StageId(0)].failures, FailureCounts { lost: 1, ..FailureCounts::default() });
    succeed(&mut c, 1, did(1, 1));
    succeed(&mut c, 1, did(1, 1));
    let result = &c.metrics[&StageId(0)];
    assert_eq!((result.attempts, result.total.rows_read, result.failures.total()), (2, 1, 1));
    c.release(1);
    c.take();
    c.driver.assert_empty();
}
