//! Jobs when nothing goes wrong, and their end.

use super::{Cluster, cluster, cluster_of, stage};
use crate::machine::{DriverOptions, Event, INLINE_LIMIT};
use hearth_core::{
    ApplicationState, JobId, Payload, PayloadHash, ReplyId, ShuffleId, TaskId,
    messages::{
        application::AppDown,
        task::{ResultBlock, TaskInput, TaskMetrics, TaskNews, TaskOutput, TaskStatus, TaskUp},
    },
};
use std::collections::BTreeMap;

#[test]
fn a_job_of_two_stages_runs_through() {
    let mut c = cluster_of(&[1, 2]);
    c.submit(1, vec![stage(2, &[]), stage(2, &[0])]);
    c.expect(&["x1 launch #0 s0.0p0", "x2 launch #1 s0.0p1", "j1 s0.0: 2 run, 0 of 2"]);
    assert_eq!(c.launches[&TaskId(0)].1.inputs, []);
    c.start(0);
    c.expect(&[]);
    c.succeed(0);
    c.expect(&["j1 s0.0: 1 run, 1 of 2"]);
    c.succeed(1);
    c.expect(&["x1 launch #2 s1.0p0", "x2 launch #3 s1.0p1", "j1 s0.0: 0 run, 2 of 2 over", "j1 s1.0: 2 run, 0 of 2"]);
    assert_eq!(c.launches[&TaskId(2)].1.inputs, [TaskInput { shuffle: ShuffleId(0), epoch: 0 }]);
    c.succeed(3);
    c.expect(&["j1 result 1", "j1 s1.0: 1 run, 1 of 2"]);
    c.succeed(2);
    c.expect(&[
        "j1 result 0",
        "j1 s1.0: 0 run, 2 of 2 over",
        "j1 done",
        "x1 forget 2 payloads, [shuffle-0], []",
        "x2 forget 2 payloads, [shuffle-0], []",
    ]);
    c.release(1);
    c.expect(&[]);
    c.driver.assert_empty();
}

#[test]
fn stored_results_are_kept_until_they_are_released() {
    let mut c = cluster_of(&[1]);
    c.submit(1, vec![stage(1, &[])]);
    c.store(0);
    c.expect(&["x1 launch #0 s0.0p0", "j1 s0.0: 1 run, 0 of 1", "j1 result 0", "j1 s0.0: 0 run, 1 of 1 over"]);
    // Until it is taken it may be lost.
    c.result_taken(1, 0);
    c.expect(&["j1 done", "x1 forget 1 payloads, [], []"]);
    c.release(1);
    c.expect(&["x1 forget 0 payloads, [], [task-0]"]);
    c.release(1);
    c.release(7);
    c.expect(&[]);
    c.driver.assert_empty();
}

#[test]
fn a_job_that_is_released_before_its_end_leaves_nothing_behind() {
    let mut c = cluster_of(&[1]);
    c.submit(1, vec![stage(1, &[])]);
    c.release(1);
    c.store(0);
    assert_eq!(c.take().last().unwrap(), "x1 forget 1 payloads, [], [task-0]");
    c.driver.assert_empty();
}

#[test]
fn a_stored_result_that_is_lost_is_made_again() {
    let mut c = cluster_of(&[2]);
    c.submit(1, vec![stage(1, &[]), stage(2, &[0])]);
    c.succeed(0);
    c.store(1);
    c.store(2);
    c.take();
    c.result_taken(1, 0);
    c.expect(&[]);
    c.result_lost(1, 1, 2);
    c.expect(&[
        "Warn: the result of partition 1 was lost and is made again: the disk is gone",
        "x1 launch #3 s1.1p1",
        "j1 s1.1: 1 run, 1 of 2",
    ]);
    c.result_lost(1, 1, 2); // Twice.
    c.result_lost(1, 0, 1); // It was taken.
    c.expect(&[]);
    c.store(3);
    c.expect(&["j1 result 1", "j1 s1.1: 0 run, 2 of 2 over"]);
    c.result_lost(1, 1, 2); // The attempt before.
    c.expect(&[]);
    c.result_taken(1, 1);
    c.expect(&["j1 done", "x1 forget 2 payloads, [shuffle-0], []"]);
    c.release(1);
    c.expect(&["x1 forget 0 payloads, [], [task-1, task-2, task-3]"]);
    c.result_lost(1, 1, 3); // The job is gone.
    c.driver.assert_empty();
}

/// They lie where no executor is needed to read them.
#[test]
fn a_job_whose_results_are_all_there_needs_no_executor() {
    let mut c = super::master::registered(DriverOptions::default());
    c.join(1, 1);
    c.submit(1, vec![stage(1, &[])]);
    c.store(0);
    c.say(1, TaskUp::Leaving { reason: "idle".into() });
    c.master_says(AppDown::Waiting { reason: "no workers".into() });
    c.take();
    for _ in 0..6 {
        c.pass(10_000);
    }
    assert!(c.take().iter().all(|line| line.contains("Heartbeat")));
    // Were it lost, somebody would have to make it again.
    c.result_lost(1, 0, 0);
    for _ in 0..3 {
        c.pass(10_000);
    }
    let lines = c.take();
    let failed = "j1 failed: the application has no executor, and there was none to be had for 30 s: no workers";
    assert!(lines.contains(&failed.to_owned()), "{lines:?}");
    c.driver.assert_empty();
}

/// Even when what it was made of was lost with it.
#[test]
fn a_lost_result_brings_back_what_it_was_made_of() {
    let mut c = cluster_of(&[2, 2]);
    c.block_service = false;
    c.submit(1, vec![stage(1, &[]), stage(1, &[0])]);
    c.succeed(0); // On executor 1.
    c.store(1);
    c.say(1, TaskUp::Leaving { reason: "told to".into() });
    c.take();
    c.result_lost(1, 0, 1);
    assert_eq!(c.take()[1], "x2 launch #2 s0.1p0");
    c.succeed(2);
    assert_eq!(c.take()[0], "x2 launch #3 s1.1p0");
    c.store(3);
    c.result_taken(1, 0);
    c.take();
    c.release(1);
    c.take();
    c.driver.assert_empty();
}

/// Found by the simulation: a disk took more results with it than one may be lost times.
#[test]
fn results_that_are_lost_together_are_each_lost_once() {
    let mut c = cluster_of(&[6]);
    c.submit(1, vec![stage(6, &[])]);
    (0..6).for_each(|task| c.store(task));
    (0..6).for_each(|partition| c.result_lost(1, partition, u64::from(partition)));
    assert!(c.take().iter().all(|line| !line.contains("failed")));
    (6..12).for_each(|task| c.store(task));
    (0..6).for_each(|partition| c.result_taken(1, partition));
    assert!(c.take().contains(&"j1 done".to_owned()));
    c.release(1);
    c.take();
    c.driver.assert_empty();
}

#[test]
fn a_result_that_is_lost_again_and_again_ends_its_job() {
    let mut c = cluster_of(&[1]);
    c.submit(1, vec![stage(1, &[])]);
    for task in 0..4 {
        c.store(task);
        c.take();
        c.result_lost(1, 0, task);
    }
    c.expect(&[
        "j1 failed: the result of partition 0 was lost 4 times in a row before it could be read, which is the limit \
         (spark.stage.maxConsecutiveAttempts); the last time: the disk is gone",
        "x1 forget 1 payloads, [], [task-0, task-1, task-2, task-3]",
    ]);
    c.driver.assert_empty();
}

/// Two children read one stage, and a third reads both: each stage runs once.
#[test]
fn a_diamond_runs_each_stage_once() {
    let mut c = cluster_of(&[8]);
    c.submit(1, vec![stage(1, &[]), stage(1, &[0]), stage(1, &[0]), stage(1, &[1, 2, 1])]);
    c.expect(&["x1 launch #0 s0.0p0", "j1 s0.0: 1 run, 0 of 1"]);
    c.succeed(0);
    c.expect(&[
        "x1 launch #1 s1.0p0, #2 s2.0p0",
        "j1 s0.0: 0 run, 1 of 1 over",
        "j1 s1.0: 1 run, 0 of 1",
        "j1 s2.0: 1 run, 0 of 1",
    ]);
    c.succeed(2);
    c.expect(&["j1 s2.0: 0 run, 1 of 1 over"]);
    c.succeed(1);
    c.expect(&["x1 launch #3 s3.0p0", "j1 s1.0: 0 run, 1 of 1 over", "j1 s3.0: 1 run, 0 of 1"]);
    let inputs: Vec<u32> = c.launches[&TaskId(3)].1.inputs.iter().map(|input| input.shuffle.0).collect();
    assert_eq!(inputs, [1, 2, 1], "inputs come in the order in which the payload numbers them");
    c.succeed(3);
    c.expect(&[
        "j1 result 0",
        "j1 s3.0: 0 run, 1 of 1 over",
        "j1 done",
        // Stages 1 and 2 have the same payload.
        "x1 forget 3 payloads, [shuffle-0, shuffle-1, shuffle-2], []",
    ]);
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn older_jobs_are_served_first_and_payloads_are_shared() {
    let mut c = cluster_of(&[2]);
    c.submit(1, vec![stage(3, &[])]);
    c.submit(2, vec![stage(3, &[])]);
    c.expect(&["x1 launch #0 s0.0p0, #1 s0.0p1", "j1 s0.0: 2 run, 0 of 3", "j2 s1.0: 0 run, 0 of 3"]);
    c.succeed_all([0, 1]);
    c.expect(&[
        "j1 result 0",
        "x1 launch #2 s0.0p2",
        "j1 s0.0: 2 run, 1 of 3",
        "j1 result 1",
        "x1 launch #3 s1.0p0",
        "j1 s0.0: 1 run, 2 of 3",
        "j2 s1.0: 1 run, 0 of 3",
    ]);
    c.succeed(2);
    // No word of forgetting: the other job has the same payload.
    c.expect(&[
        "j1 result 2",
        "x1 launch #4 s1.0p1",
        "j1 s0.0: 0 run, 3 of 3 over",
        "j2 s1.0: 2 run, 0 of 3",
        "j1 done",
    ]);
    c.succeed_all([3, 4]);
    c.succeed(5);
    assert_eq!(c.take().last().unwrap(), "x1 forget 1 payloads, [], []");
    c.release(1);
    c.release(2);
    c.driver.assert_empty();
}

#[test]
fn ten_thousand_tasks_go_out_in_one_batch_an_executor() {
    let mut c = cluster_of(&[2500, 2500, 2500, 2500]);
    c.submit(1, vec![stage(10_000, &[]), stage(1, &[0])]);
    let lines = c.take();
    assert_eq!(lines.len(), 5, "one batch an executor, and one word on the stage");
    assert!(lines[..4].iter().all(|line| line.contains(" launch ") && line.matches('#').count() == 2500));
    assert_eq!(lines[4], "j1 s0.0: 10000 run, 0 of 10000");
    let mut batches: BTreeMap<u64, Vec<TaskStatus>> = BTreeMap::new();
    for (task, (link, _)) in &c.launches {
        let news = TaskNews::Succeeded(c.output(task.0), TaskMetrics::default());
        batches.entry(link.0).or_default().push(TaskStatus { task: *task, news });
    }
    for (link, batch) in batches {
        c.say(link, TaskUp::Statuses(batch));
    }
    c.expect(&[
        "j1 s0.0: 7500 run, 2500 of 10000",
        "j1 s0.0: 5000 run, 5000 of 10000",
        "j1 s0.0: 2500 run, 7500 of 10000",
        "x1 launch #10000 s1.0p0",
        "j1 s0.0: 0 run, 10000 of 10000 over",
        "j1 s1.0: 1 run, 0 of 1",
    ]);
    c.succeed(10_000);
    assert_eq!(c.take().len(), 3 + 4);
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn tasks_wait_for_executors_that_come_later() {
    let mut c = cluster();
    c.submit(1, vec![stage(2, &[])]);
    c.expect(&["j1 s0.0: 0 run, 0 of 2"]);
    c.pass(29_999);
    c.expect(&[]);
    c.join(4, 1);
    c.expect(&["x4 launch #0 s0.0p0", "j1 s0.0: 1 run, 0 of 2"]);
    c.succeed_all([0, 1]);
    assert_eq!(c.take().last().unwrap(), "x4 forget 1 payloads, [], []");
    c.release(1);
    c.driver.assert_empty();
}

/// Nobody can be asked for one, and none comes.
#[test]
fn tasks_do_not_wait_for_ever_for_executors_that_nobody_sends() {
    let mut c = cluster();
    c.submit(1, vec![stage(2, &[])]);
    c.pass(30_000);
    c.expect(&[
        "j1 s0.0: 0 run, 0 of 2",
        "j1 s0.0: 0 run, 0 of 2 over",
        "j1 failed: the application has no executor, and there was none to be had for 30 s: there is no master to ask for \
         more",
    ]);
    c.driver.assert_empty();
}

#[test]
fn a_graph_that_cannot_run_is_refused() {
    let mut c = cluster_of(&[1]);
    c.submit(1, vec![stage(1, &[]), stage(1, &[])]);
    c.expect(&["j1 failed: the stage graph is not valid: nothing reads the output of stage 0"]);
    c.submit(2, vec![]);
    c.expect(&["j2 failed: the stage graph is not valid: a stage graph needs at least one stage"]);
    c.driver.assert_empty();
}

#[test]
fn jobs_are_bounded_and_numbered_once() {
    let mut c = Cluster::new(DriverOptions { max_jobs: 1, ..DriverOptions::default() });
    c.submit(1, vec![stage(1, &[])]);
    c.expect(&["j1 s0.0: 0 run, 0 of 1"]);
    c.submit(2, vec![stage(1, &[])]);
    c.expect(&["j2 failed: 1 jobs are open already, which is the limit; wait for one of them to end"]);
    c.submit(1, vec![stage(1, &[])]);
    c.expect(&["Error: job 1 was submitted twice; the second one is ignored"]);
    c.send(Event::JobCancelled { job: JobId(1), reason: "enough".into() });
    c.expect(&["j1 s0.0: 0 run, 0 of 1 over", "j1 failed: cancelled: enough"]);
    c.driver.assert_empty();
}

#[test]
fn a_cancelled_job_is_cleared_away_when_its_last_task_has_ended() {
    let mut c = cluster_of(&[2]);
    c.submit(1, vec![stage(3, &[]), stage(1, &[0])]);
    c.expect(&["x1 launch #0 s0.0p0, #1 s0.0p1", "j1 s0.0: 2 run, 0 of 3"]);
    c.send(Event::JobCancelled { job: JobId(1), reason: "Ctrl-C".into() });
    c.expect(&[
        "x1 kill #0: cancelled: Ctrl-C",
        "x1 kill #1: cancelled: Ctrl-C",
        "j1 s0.0: 2 run, 0 of 3 over",
        "j1 failed: cancelled: Ctrl-C",
    ]);
    c.send(Event::JobCancelled { job: JobId(1), reason: "twice".into() });
    c.killed(1);
    c.expect(&[]);
    c.succeed(0); // It was faster than the word.
    c.expect(&["x1 forget 2 payloads, [shuffle-0], []"]);
    c.driver.assert_empty();
}

#[test]
fn executors_ask_for_payloads_and_outputs() {
    let mut c = cluster_of(&[2]);
    c.submit(1, vec![stage(2, &[]), stage(1, &[0])]);
    c.take();
    let ask = |shuffle, epoch| Event::MapStatusesAsked { reply: ReplyId(9), shuffle: ShuffleId(shuffle), epoch };
    c.send(Event::PayloadAsked { reply: ReplyId(3), hash: Payload::new("2 []").hash() });
    c.send(Event::PayloadAsked { reply: ReplyId(4), hash: PayloadHash([0; 32]) });
    c.succeed(1);
    c.send(ask(0, 0));
    c.send(ask(7, 0));
    c.send(ask(0, 5));
    let none = "0".repeat(64);
    c.expect(&[
        "answer 3: b\"2 []\"",
        &format!("answer 4: no: payload {none} is gone"),
        "j1 s0.0: 1 run, 1 of 2",
        "answer 9: no: shuffle 0 (1 of its 2 outputs) is gone",
        "answer 9: no: shuffle 7 is gone",
        "answer 9: no: malformed message: epoch 5 of shuffle 0 is ahead of the driver's 0",
    ]);
    c.succeed(0);
    c.take();
    c.send(ask(0, 0));
    c.expect(&["answer 9: shuffle 0 epoch 0 [task-0, task-1]"]);
}

/// Results that nobody reads do not pile up; the one that the reader wants next always runs.
#[test]
fn result_tasks_run_ahead_of_their_reader_only_so_far() {
    let options = DriverOptions { result_buffer_bytes: 2 * INLINE_LIMIT, ..DriverOptions::default() };
    let mut c = Cluster::new(options);
    c.join(1, 8);
    c.submit(1, vec![stage(4, &[])]);
    c.expect(&["x1 launch #0 s0.0p0, #1 s0.0p1", "j1 s0.0: 2 run, 0 of 4"]);
    c.fail(0, "no luck");
    c.expect(&[
        "Warn: task 0 of stage 0 (4 tasks of []) failed on executor 1 at h1, failure 1 of 4: no luck",
        "x1 launch #2 s0.0p0 again 1",
        "j1 s0.0: 2 run, 0 of 4",
    ]);
    let full = ResultBlock::Inline(vec![0; 2 << 20].into());
    c.news(1, TaskNews::Succeeded(TaskOutput::Result(full), TaskMetrics::default()));
    c.expect(&["j1 result 1", "j1 s0.0: 1 run, 1 of 4"]);
    c.fail(2, "no luck");
    c.take();
    c.succeed(3);
    c.expect(&["j1 result 0", "j1 s0.0: 0 run, 2 of 4"]);
    c.send(Event::ResultTaken { job: JobId(1), partition: 0 });
    c.expect(&[]);
    c.send(Event::ResultTaken { job: JobId(1), partition: 1 });
    c.expect(&["x1 launch #4 s0.0p2, #5 s0.0p3", "j1 s0.0: 2 run, 2 of 4"]);
    c.succeed_all([4, 5]);
    assert_eq!(c.take().last().unwrap(), "x1 forget 1 payloads, [], []");
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn stopping_ends_everything() {
    let mut c = cluster_of(&[1, 1]);
    c.submit(1, vec![stage(2, &[])]);
    c.take();
    c.send(Event::StopAsked { state: ApplicationState::Finished, message: "bye".into() });
    c.expect(&[
        "x1 stop: bye",
        "x1 close",
        "x2 stop: bye",
        "x2 close",
        "j1 s0.0: 0 run, 0 of 2 over",
        "j1 failed: cancelled: bye",
        "stopped",
    ]);
    c.send(Event::PayloadAsked { reply: ReplyId(3), hash: PayloadHash([0; 32]) });
    c.submit(2, vec![stage(1, &[])]);
    c.succeed(0);
    c.pass(1_000_000);
    c.expect(&[
        "answer 3: no: the application is gone",
        "j2 failed: cancelled: the application has stopped",
        "x1 close",
    ]);
}
