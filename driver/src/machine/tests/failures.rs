//! Tasks that fail, and inputs that cannot be read.

use super::{cluster_of, stage};
use crate::machine::Event;
use hearth_core::{
    Determinism, ReplyId, ShuffleId, StageNode, TaskId,
    messages::task::{FetchCause, TaskFailure, TaskMetrics, TaskNews, TaskOutput},
};

#[test]
fn a_failed_task_goes_again() {
    let mut c = cluster_of(&[1, 1]);
    c.submit(1, vec![stage(1, &[])]);
    c.expect(&["x1 launch #0 s0.0p0", "j1 s0.0: 1 run, 0 of 1"]);
    c.fail(0, "no luck");
    c.expect(&[
        "Warn: task 0 of stage 0 (1 tasks of []) failed on executor 1 at h1, failure 1 of 4: no luck",
        "x2 launch #1 s0.0p0 again 1",
        "j1 s0.0: 1 run, 0 of 1",
    ]);
    c.succeed(0); // Too late: it has failed.
    c.expect(&[]);
    c.succeed(1);
    assert_eq!(c.take()[..3], ["j1 result 0", "j1 s0.0: 0 run, 1 of 1 over", "j1 done"]);
    c.succeed(1); // Twice.
    c.expect(&[]);
    c.release(1);
    c.driver.assert_empty();
}

/// Each partition is counted for itself.
#[test]
fn the_fourth_failure_of_one_task_ends_the_job() {
    let mut c = cluster_of(&[1, 1]);
    c.submit(1, vec![stage(2, &[])]);
    let newest = |c: &super::Cluster, partition| {
        *c.launches.iter().rfind(|(_, (_, launch))| launch.partition == partition).unwrap().0
    };
    for partition in [0, 1, 0, 1, 0, 1] {
        c.fail(newest(&c, partition).0, "no luck");
        assert!(!c.take().iter().any(|line| line.starts_with("j1 failed")));
    }
    c.fail(newest(&c, 0).0, "no luck");
    assert!(c.take().last().unwrap().starts_with("j1 failed: task 0 of stage 0 (2 tasks of []) failed 4 times"));
    c.killed(newest(&c, 1).0);
    c.expect(&["x1 forget 1 payloads, [], []", "x2 forget 1 payloads, [], []"]);
    c.driver.assert_empty();
}

/// The limit is one of failures in a row.
#[test]
fn an_output_ends_a_row_of_failures() {
    let mut c = cluster_of(&[1]);
    c.submit(1, vec![stage(1, &[]), stage(1, &[0])]);
    for map in [0, 5] {
        for task in map..map + 3 {
            c.fail(task, "no luck");
        }
        c.succeed(map + 3);
        c.take();
        c.fail_fetch(map + 4, map + 3);
        c.pass(200);
    }
    assert!(c.take().last().unwrap().starts_with("j1 s0.2: 1 run"), "its output was lost twice");
    c.fail(10, "no luck");
    assert!(c.take()[0].contains("failure 1 of 4"));
    c.succeed_all([11, 12]);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn the_end_of_a_job_names_task_executor_and_cause() {
    let mut c = cluster_of(&[1]);
    c.submit(1, vec![stage(1, &[])]);
    for task in 0..4 {
        c.fail(task, "disk on fire");
    }
    let lines = c.take();
    assert_eq!(
        lines[lines.len() - 2],
        "j1 failed: task 0 of stage 0 (1 tasks of []) failed 4 times, which is the limit (spark.task.maxFailures); \
         the last time on executor 1 at h1: disk on fire"
    );
    c.driver.assert_empty();
}

#[test]
fn an_error_of_the_query_is_not_tried_again() {
    let mut c = cluster_of(&[2]);
    c.submit(1, vec![stage(2, &[])]);
    c.take();
    c.news(0, TaskNews::Failed(TaskFailure::Query("t.csv, line 3: not a number: \"x\"".into())));
    c.expect(&[
        "x1 kill #1: t.csv, line 3: not a number: \"x\"",
        "j1 s0.0: 1 run, 0 of 2 over",
        "j1 failed: t.csv, line 3: not a number: \"x\"",
    ]);
    c.killed(1);
    c.expect(&["x1 forget 1 payloads, [], []"]);
    c.driver.assert_empty();
}

#[test]
fn outputs_that_make_no_sense_are_failures() {
    let mut c = cluster_of(&[1]);
    c.submit(1, vec![stage(1, &[]), stage(1, &[0])]);
    c.take();
    let TaskOutput::Map(good) = c.output(0) else { panic!("a map task") };
    let mut output = good.clone();
    output.sizes.pop();
    c.news(0, TaskNews::Succeeded(TaskOutput::Map(output), TaskMetrics::default()));
    assert!(c.take()[0].ends_with("the executor reported 1 blocks instead of 2"));
    c.news(1, TaskNews::Succeeded(TaskOutput::Map(good), TaskMetrics::default()));
    assert!(c.take()[0].ends_with("the executor reported the output of partition 0 by task 0, which it is not"));
    let stray = TaskFailure::FetchFailed {
        shuffle: ShuffleId(0),
        map_partition: 0,
        map_task: TaskId(0),
        location: Box::new(c.location(1)),
        cause: FetchCause::NotFound,
        message: "it reads nothing".into(),
    };
    c.news(2, TaskNews::Failed(stray));
    assert!(c.take()[0].contains("failure 3 of 4"));
    c.killed(3);
    assert!(c.take().iter().any(|line| line.contains("killed, and not by the driver")));
    c.driver.assert_empty();
}

#[test]
fn a_failed_fetch_runs_only_the_missing_map_again() {
    let mut c = cluster_of(&[2, 2]);
    c.submit(1, vec![stage(4, &[]), stage(2, &[0])]);
    c.succeed_all(0..4);
    c.take();
    c.fail_fetch(5, 2); // Tasks and partitions have the same numbers here.
    c.expect(&[
        "Warn: stage 1: cannot fetch the output of map task 2 (partition 2 of shuffle 0) from h1:7: it is not there: searched",
        "j1 s0.0: 0 run, 3 of 4 over",
        "j1 s1.0: 1 run, 0 of 2 over",
    ]);
    c.send(Event::MapStatusesAsked { reply: ReplyId(1), shuffle: ShuffleId(0), epoch: 0 });
    c.expect(&["answer 1: no: shuffle 0 (1 of its 4 outputs) is gone"]);
    // A second one of the same attempt is stale news.
    c.fail_fetch(4, 2);
    c.expect(&["j1 s1.0: 0 run, 0 of 2 over"]);
    c.pass(199);
    c.expect(&[]);
    c.pass(1);
    c.expect(&["x1 launch #6 s0.1p2", "j1 s0.1: 1 run, 3 of 4"]);
    c.succeed(6);
    c.expect(&["x1 launch #8 s1.1p1", "x2 launch #7 s1.1p0", "j1 s0.1: 0 run, 4 of 4 over", "j1 s1.1: 2 run, 0 of 2"]);
    let input = c.launches[&TaskId(7)].1.inputs[0];
    assert_eq!(input.epoch, 1, "what an executor knows from before the loss will not do");
    c.send(Event::MapStatusesAsked { reply: ReplyId(1), shuffle: ShuffleId(0), epoch: 1 });
    c.expect(&["answer 1: shuffle 0 epoch 1 [task-0, task-1, task-6, task-3]"]);
    c.succeed_all([7, 8]);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

/// Whoever cannot be reached has nothing that can be read, on whichever disk: one attempt finds that out, for all.
#[test]
fn a_server_out_of_reach_loses_all_that_it_has() {
    let mut c = cluster_of(&[2, 2]);
    c.submit(1, vec![stage(4, &[]), stage(2, &[0])]);
    c.succeed_all(0..4);
    c.take();
    c.fail_fetch_for(FetchCause::Unreachable, 5, 2);
    assert_eq!(c.take()[1..], ["j1 s0.0: 0 run, 2 of 4 over", "j1 s1.0: 1 run, 0 of 2 over"]);
    c.pass(200);
    c.expect(&["x1 launch #6 s0.1p0", "x2 launch #7 s0.1p2", "j1 s0.1: 2 run, 2 of 4"]);
}

/// What an older attempt still runs may give the missing output; the newer attempt's copy is then of no use.
#[test]
fn a_zombie_may_be_first() {
    let mut c = cluster_of(&[4]);
    c.submit(1, vec![stage(1, &[]), stage(2, &[0])]);
    c.succeed(0);
    c.take();
    c.fail_fetch(1, 0);
    c.pass(200);
    c.succeed(3);
    assert_eq!(c.take().last().unwrap(), "j1 s1.1: 3 run, 0 of 2");
    c.succeed(2); // s1.0p1
    c.expect(&["j1 result 1", "x1 kill #5: another attempt was first", "j1 s1.1: 2 run, 1 of 2"]);
    c.succeed(4);
    c.expect(&["j1 result 0", "j1 s1.1: 1 run, 2 of 2 over", "j1 done"]);
    c.succeed(5); // Too late: nobody hears of it, but the job is cleared away only now.
    c.expect(&["x1 forget 2 payloads, [shuffle-0], []"]);
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn a_stage_that_cannot_read_its_input_four_times_in_a_row_fails() {
    let mut c = cluster_of(&[1]);
    c.submit(1, vec![stage(1, &[]), stage(1, &[0])]);
    c.succeed(0);
    for attempt in 0..4 {
        c.fail_fetch(attempt * 2 + 1, attempt * 2);
        c.pass(200);
        if attempt < 3 {
            c.succeed(attempt * 2 + 2);
        }
    }
    let lines = c.take();
    let over = lines.iter().position(|line| line.starts_with("j1 failed")).unwrap();
    assert_eq!(
        lines[over],
        "j1 failed: stage 1 (1 tasks of [0]) could not read its input in 4 attempts in a row, which is the limit \
         (spark.stage.maxConsecutiveAttempts); the last time: cannot fetch the output of map task 6 (partition 0 of \
         shuffle 0) from h1:7: it is not there: searched"
    );
    assert_eq!(lines[over + 1..], ["x1 forget 2 payloads, [shuffle-0], []"]);
    c.driver.assert_empty();
}

/// On whichever of its disks each of the two was.
#[test]
fn a_second_failure_at_one_server_condemns_all_that_it_has() {
    let mut c = cluster_of(&[4, 4]);
    c.submit(1, vec![stage(8, &[]), stage(1, &[0])]);
    c.succeed_all(0..8);
    c.fail_fetch(8, 0);
    c.pass(200);
    c.succeed(9);
    assert_eq!(c.launches[&TaskId(9)].0.0, 2);
    c.take();
    c.fail_fetch(10, 2); // Even tasks were run by executor 1.
    assert_eq!(c.take()[1..], ["j1 s0.1: 0 run, 5 of 8 over", "j1 s1.1: 0 run, 0 of 1 over"]);
    c.pass(200);
    let lines = c.take();
    assert_eq!(lines.last().unwrap(), "j1 s0.2: 3 run, 5 of 8");
    c.succeed_all(11..=14);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

fn indeterminate(tasks: u32, from: &[usize]) -> StageNode {
    StageNode { determinism: Determinism::Indeterminate, ..stage(tasks, from) }
}

/// Rows of two runs must not meet: what read from the first run begins anew.
#[test]
fn what_read_a_lost_output_begins_anew_when_it_comes_back_with_other_rows() {
    let mut c = cluster_of(&[4]);
    c.submit(1, vec![indeterminate(2, &[]), stage(2, &[0]), stage(1, &[1])]);
    c.succeed_with(0, Some(7));
    c.succeed_with(1, Some(8));
    c.succeed(2);
    c.take();
    c.fail_fetch(3, 1);
    assert_eq!(c.take()[1..], ["j1 s0.0: 0 run, 1 of 2 over", "j1 s1.0: 0 run, 1 of 2 over"]);
    c.pass(200);
    c.expect(&["x1 launch #4 s0.1p1", "j1 s0.1: 1 run, 1 of 2"]);
    c.succeed_with(4, Some(9));
    c.expect(&[
        "Warn: partition 1 of stage 0 (2 tasks of []) was lost, and made again it has other rows; what has read from the \
         stage begins anew: stage 1",
        "x1 launch #5 s1.1p0, #6 s1.1p1",
        "j1 s0.1: 0 run, 2 of 2 over",
        "j1 s1.1: 2 run, 0 of 2",
    ]);
    c.succeed_all(5..=7);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

/// The same rows in the same blocks: what was read of the first run is right.
#[test]
fn an_output_that_comes_back_with_the_same_rows_costs_its_readers_nothing() {
    let mut c = cluster_of(&[4]);
    c.submit(1, vec![indeterminate(2, &[]), stage(2, &[0]), stage(1, &[1])]);
    c.succeed_with(0, Some(7));
    c.succeed_with(1, Some(8));
    c.succeed(2);
    c.fail_fetch(3, 1);
    c.pass(200);
    c.take();
    c.succeed_with(4, Some(8));
    c.expect(&["x1 launch #5 s1.1p1", "j1 s0.1: 0 run, 2 of 2 over", "j1 s1.1: 1 run, 1 of 2"]);
    c.succeed_all([5, 6]);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

/// It is the output that readers saw which counts, however often it was lost since.
#[test]
fn an_output_that_is_lost_twice_is_compared_each_time() {
    let mut c = cluster_of(&[4]);
    c.submit(1, vec![indeterminate(1, &[]), stage(3, &[0]), stage(1, &[1])]);
    c.succeed_with(0, Some(7));
    c.succeed(1);
    c.fail_fetch(2, 0);
    c.pass(200);
    c.take();
    c.succeed_with(4, Some(7));
    c.expect(&["x1 launch #5 s1.1p1, #6 s1.1p2", "j1 s0.1: 0 run, 1 of 1 over", "j1 s1.1: 3 run, 1 of 3"]);
    c.fail_fetch(5, 4);
    c.pass(200);
    c.take();
    c.succeed_with(7, Some(9));
    let lines = c.take();
    assert!(lines[0].starts_with("Warn: partition 0 of stage 0"), "{lines:?}");
}

/// A task that read the first run and ends after all does not count.
#[test]
fn what_was_rolled_back_is_not_believed() {
    let mut c = cluster_of(&[4]);
    c.submit(1, vec![indeterminate(2, &[]), stage(2, &[0]), stage(1, &[1])]);
    c.succeed_all([0, 1]);
    c.fail_fetch(3, 1);
    c.pass(200);
    c.take();
    // Without a checksum nobody can tell.
    c.succeed(4);
    assert_eq!(
        c.take()[1..],
        [
            "x1 kill #2: an input was lost and made again with other rows",
            "x1 launch #5 s1.1p0, #6 s1.1p1",
            "j1 s0.1: 0 run, 2 of 2 over",
            "j1 s1.1: 3 run, 0 of 2",
        ]
    );
    c.succeed(2);
    c.expect(&["j1 s1.1: 2 run, 0 of 2"]);
    c.succeed_all(5..=7);
    assert_eq!(c.take().last().unwrap(), "x1 forget 3 payloads, [shuffle-0, shuffle-1], []");
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn results_that_were_handed_out_cannot_be_taken_back() {
    let mut c = cluster_of(&[4]);
    c.submit(1, vec![indeterminate(2, &[]), stage(2, &[0])]);
    c.succeed_all([0, 1, 2]);
    c.fail_fetch(3, 1);
    c.pass(200);
    c.take();
    c.succeed(4);
    let lines = c.take();
    let failed = "j1 failed: partition 1 of stage 0 (2 tasks of []) was lost, and made again it has other rows,";
    assert!(lines.iter().any(|line| line.starts_with(failed)), "{lines:?}");
    c.driver.assert_empty();
}

/// Its disks are as full for the next attempt. Where there is no other machine, that one must do.
#[test]
fn a_task_that_could_not_write_goes_to_another_machine() {
    let full = || TaskNews::Failed(TaskFailure::Disk { path: "/d".into(), message: "no space left".into() });
    let launched =
        |c: &mut super::Cluster| c.take().into_iter().filter(|line| line.contains("launch")).collect::<Vec<_>>();
    let mut c = cluster_of(&[1]);
    c.submit(1, vec![stage(1, &[])]);
    c.news(0, full());
    assert_eq!(launched(&mut c), ["x1 launch #0 s0.0p0", "x1 launch #1 s0.0p0 again 1"]);
    c.join(2, 1);
    c.submit(2, vec![stage(2, &[])]);
    assert_eq!(launched(&mut c), ["x2 launch #2 s1.0p0"]);
    c.news(1, full());
    assert_eq!(launched(&mut c), ["x1 launch #3 s1.0p1"], "the free slot goes to somebody else");
    c.succeed(3);
    assert_eq!(launched(&mut c), [""; 0], "it waits");
    c.succeed(2);
    assert_eq!(launched(&mut c), ["x2 launch #4 s0.0p0 again 2"]);
    c.succeed(4);
    c.take();
    c.release(1);
    c.release(2);
    c.driver.assert_empty();
}
