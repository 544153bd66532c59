//! Executors and workers that go away, and some that come back.

use super::{Cluster, cluster_of, registration, stage};
use crate::machine::{DriverOptions, Event};
use hearth_core::{
    Determinism, ExecutorId, ExecutorState, LinkId, StageNode, TaskId,
    messages::{
        application::AppDown,
        task::{EXIT_WITHOUT_DRIVER, ExecutorRegistration, TaskFailure, TaskNews, TaskStatus, TaskUp},
    },
};

/// A driver that is registered with a master on link 0.
fn with_master(slots: &[u32]) -> Cluster {
    let mut c = super::master::registered(DriverOptions::default());
    for (id, slots) in (1..).zip(slots) {
        c.join(id, *slots);
    }
    c
}

fn over(id: u32, state: ExecutorState, exit_code: Option<i32>) -> AppDown {
    AppDown::ExecutorChanged { executor: ExecutorId(id), state, message: "gone".into(), exit_code }
}

#[test]
fn the_tasks_of_a_lost_executor_run_elsewhere_and_its_outputs_stay_with_the_block_service() {
    let mut c = with_master(&[1, 1]);
    c.submit(1, vec![stage(3, &[]), stage(1, &[0])]);
    c.succeed(0); // On executor 1, which then runs #2.
    c.take();
    c.master_says(over(1, ExecutorState::Lost, None));
    c.expect(&["Info: executor 1 is LOST: gone", "x1 close", "j1 s0.0: 1 run, 1 of 3"]);
    c.succeed(2); // Whatever it says now.
    c.expect(&["x1 close"]);
    c.succeed(1);
    c.expect(&["x2 launch #3 s0.0p2 again 1", "j1 s0.0: 1 run, 2 of 3"]);
    c.succeed_all([3, 4]);
    assert_eq!(c.take().last().unwrap(), "x2 forget 2 payloads, [shuffle-0], []");
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn what_an_executor_served_itself_is_lost_with_it() {
    let mut c = with_master(&[2, 2]);
    c.block_service = false;
    c.submit(1, vec![stage(4, &[]), stage(1, &[0])]);
    c.succeed_all(0..4);
    c.take();
    c.master_says(over(1, ExecutorState::Exited, Some(0)));
    // The reduce task ran on executor 1 and waits; the two maps that are needed again run at once.
    c.expect(&[
        "Info: executor 1 is EXITED (exit code 0): gone",
        "x1 close",
        "x2 launch #5 s0.1p0, #6 s0.1p2",
        "j1 s0.1: 2 run, 2 of 4",
        "j1 s1.0: 0 run, 0 of 1",
    ]);
    c.succeed_all([5, 6]);
    c.expect(&[
        "j1 s0.1: 1 run, 3 of 4",
        "x2 launch #7 s1.0p0 again 1",
        "j1 s0.1: 0 run, 4 of 4 over",
        "j1 s1.0: 1 run, 0 of 1",
    ]);
    c.succeed(7);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn a_running_stage_gets_its_lost_outputs_back() {
    let mut c = with_master(&[1, 1]);
    c.block_service = false;
    c.submit(1, vec![stage(4, &[]), stage(1, &[0])]);
    c.succeed(0);
    c.take();
    c.master_says(over(1, ExecutorState::Killed, None));
    assert_eq!(c.take().last().unwrap(), "j1 s0.0: 1 run, 0 of 4");
    c.succeed(1);
    c.expect(&["x2 launch #3 s0.0p0 again 1", "j1 s0.0: 1 run, 1 of 4"]);
    c.succeed_all(3..=6);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn outputs_that_nobody_needs_any_more_are_not_made_again() {
    let mut c = with_master(&[4, 4]);
    c.block_service = false;
    c.submit(1, vec![stage(1, &[]), stage(1, &[0]), stage(1, &[1])]);
    c.succeed_all([0, 1]);
    assert_eq!((c.launches[&hearth_core::TaskId(0)].0.0, c.launches[&hearth_core::TaskId(1)].0.0), (1, 2));
    c.take();
    c.master_says(over(1, ExecutorState::Exited, Some(0)));
    let lines = c.take();
    assert!(!lines.iter().any(|line| line.contains("s0.1")), "{lines:?}");
    c.succeed(*c.launches.keys().map(|task| &task.0).max().unwrap());
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn a_removed_worker_takes_its_executors_and_outputs_along() {
    let mut c = with_master(&[2, 2]);
    c.submit(1, vec![stage(4, &[]), stage(2, &[0])]);
    c.succeed_all(0..4);
    c.take();
    c.master_says(AppDown::WorkerRemoved { worker: "w1".parse().unwrap(), reason: "silent".into() });
    c.expect(&[
        "Warn: worker w1 is gone: silent",
        "x1 close",
        "x2 launch #6 s0.1p0",
        "j1 s0.1: 1 run, 2 of 4",
        "j1 s1.0: 1 run, 0 of 2",
    ]);
    // The reducer on executor 2 finds out: its stage attempt fails once, and the rest of the maps are on their way.
    c.fail_fetch(5, 0);
    assert_eq!(c.take()[1..], ["x2 launch #7 s0.1p2", "j1 s0.1: 2 run, 2 of 4", "j1 s1.0: 0 run, 0 of 2 over"]);
    c.succeed_all([6, 7]);
    c.pass(200);
    assert_eq!(c.take().last().unwrap(), "j1 s1.1: 2 run, 0 of 2");
    c.succeed_all([8, 9]);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

#[test]
fn an_executor_may_come_back_with_its_tasks() {
    let mut c = with_master(&[3]);
    c.submit(1, vec![stage(4, &[])]);
    c.take();
    c.send(Event::ExecutorLinkClosed { link: LinkId(1) });
    c.pass(1999);
    c.expect(&[]);
    // #1 never arrived there, or its news was lost; #77 is nobody's.
    c.register(1, 11, 3, &[0, 2, 77]);
    c.expect(&["x11 registered", "x11 kill #77: the driver does not wait for it any more", "j1 s0.0: 2 run, 0 of 4"]);
    c.pass(10);
    c.expect(&[]);
    // Only now is it known that its slot is free.
    let killed = TaskNews::Failed(TaskFailure::Killed("as told".into()));
    c.say(11, TaskUp::Statuses(vec![TaskStatus { task: TaskId(77), news: killed }]));
    c.expect(&["x11 launch #3 s0.0p1 again 1", "j1 s0.0: 3 run, 0 of 4"]);
    c.say(11, TaskUp::Statuses(vec![]));
    c.say(1, TaskUp::Heartbeat);
    c.expect(&["x1 close"]);
}

#[test]
fn an_executor_that_stays_away_loses_its_tasks_but_may_return() {
    let mut c = with_master(&[1, 1]);
    c.submit(1, vec![stage(2, &[])]);
    c.succeed(1);
    c.take();
    c.send(Event::ExecutorLinkClosed { link: LinkId(1) });
    c.pass(2000);
    c.expect(&[
        "Warn: executor 1 did not come back; its tasks are queued again",
        "x2 launch #2 s0.0p0 again 1",
        "j1 s0.0: 1 run, 1 of 2",
    ]);
    c.register(1, 11, 1, &[0]);
    c.expect(&["x11 registered", "x11 kill #0: the driver does not wait for it any more"]);
    c.succeed(2);
    c.take();
    c.release(1);
    c.driver.assert_empty();
}

/// Found by the simulation: its slots were given away while it still ended what it had brought back, and what it then had
/// to turn down counted as failures of those tasks.
#[test]
fn an_executor_that_comes_back_gets_tasks_once_it_has_ended_those_that_nobody_waits_for() {
    let mut c = with_master(&[2, 1]);
    c.submit(1, vec![stage(4, &[])]);
    c.take();
    c.send(Event::ExecutorLinkClosed { link: LinkId(1) });
    c.pass(2000);
    c.take();
    c.register(1, 11, 2, &[0, 2]);
    let kill = |task| format!("x11 kill #{task}: the driver does not wait for it any more");
    assert_eq!(c.take(), ["x11 registered".to_owned(), kill(0), kill(2)]);
    let started = TaskStatus { task: TaskId(2), news: TaskNews::Started };
    let over = |task| TaskStatus { task, news: TaskNews::Failed(TaskFailure::Killed("as told".into())) };
    c.say(11, TaskUp::Statuses(vec![over(TaskId(0)), started]));
    c.expect(&[]);
    c.say(11, TaskUp::Statuses(vec![over(TaskId(2))]));
    c.expect(&["x11 launch #3 s0.0p0 again 1, #4 s0.0p2 again 1", "j1 s0.0: 3 run, 0 of 4"]);
}

#[test]
fn an_executor_that_does_not_end_what_nobody_waits_for_is_given_up() {
    let mut c = with_master(&[1]);
    c.submit(1, vec![stage(1, &[])]);
    c.send(Event::ExecutorLinkClosed { link: LinkId(1) });
    c.pass(2000);
    c.register(1, 11, 1, &[0]);
    c.take();
    c.pass(29_999);
    assert!(c.take().iter().all(|line| line.contains("Heartbeat")));
    c.pass(1);
    let why = "task 0 did not end within 30 s of being killed (hearth.task.reapTimeout)";
    assert_eq!(c.take()[..2], [format!("Warn: executor 1 is given up: {why}"), "x11 close".to_owned()]);
}

#[test]
fn a_new_link_replaces_the_old_one() {
    let mut c = with_master(&[1]);
    c.register(1, 11, 1, &[]);
    c.expect(&["x1 close", "x11 registered"]);
    c.send(Event::ExecutorLinkClosed { link: LinkId(1) });
    c.pass(5000);
    c.expect(&[]);
}

/// A task that kills its executors ends its job, and four executors with it; their being lost is no failure of others.
#[test]
fn a_poison_task_fails_its_job_after_four_executors() {
    let mut c = with_master(&[]);
    c.submit(1, vec![stage(1, &[])]);
    for id in 1..=4 {
        c.take();
        c.join(id, 1);
        c.start(u64::from(id) - 1);
        c.take();
        // Half of the time the link closes long before the master knows why.
        if id % 2 == 0 {
            c.send(Event::ExecutorLinkClosed { link: LinkId(u64::from(id)) });
            c.pass(3000);
            c.take();
        }
        c.master_says(over(id, ExecutorState::Failed, Some(134)));
    }
    let lines = c.take();
    assert_eq!(
        lines.last().unwrap(),
        "j1 failed: task 0 of stage 0 (1 tasks of []) failed 4 times, which is the limit (spark.task.maxFailures); the \
         last time on executor 4 at h4: its executor died of signal 6 (exit code 134)"
    );
    c.driver.assert_empty();
}

/// Found by the simulation: each time its input was made again, with other rows, it began in a new task set, which knew of no
/// failure.
#[test]
fn a_poison_task_that_takes_its_inputs_along_fails_its_job_too() {
    let mut c = with_master(&[]);
    c.block_service = false;
    let source = StageNode { determinism: Determinism::Indeterminate, ..stage(1, &[]) };
    c.submit(1, vec![source, stage(1, &[0]), stage(1, &[1])]);
    for id in 1..=4 {
        let (map, poison) = (2 * u64::from(id) - 2, 2 * u64::from(id) - 1);
        c.take();
        c.join(id, 1);
        c.succeed_with(map, Some(map));
        c.start(poison);
        assert_eq!(c.launches[&TaskId(poison)].1.stage_attempt, id - 1, "each stands in a new task set");
        c.take();
        c.master_says(over(id, ExecutorState::Failed, Some(134)));
    }
    let lines = c.take();
    let failed = "j1 failed: task 0 of stage 1 (1 tasks of [0]) failed 4 times";
    assert!(lines.last().unwrap().starts_with(failed), "{lines:?}");
    c.driver.assert_empty();
}

#[test]
fn a_task_that_had_not_started_is_blamed_for_crashes_at_last() {
    let mut c = with_master(&[]);
    c.submit(1, vec![stage(1, &[])]);
    c.take();
    for id in 1..=9 {
        c.join(id, 1);
        c.take();
        c.master_says(over(id, ExecutorState::Failed, Some(134)));
        c.expect(&[
            &format!("Warn: executor {id} is FAILED (exit code 134): gone"),
            &format!("x{id} close"),
            "j1 s0.0: 0 run, 0 of 1",
        ]);
    }
    // What it could say may have died with each of them.
    c.join(10, 1);
    c.take();
    c.master_says(over(10, ExecutorState::Failed, Some(134)));
    assert_eq!(
        c.take().last().unwrap(),
        "j1 failed: task 0 of stage 0 (1 tasks of []) lost its executor 10 times, which is the limit; the last time \
         executor 10 at h10, which died of signal 6 (exit code 134)"
    );
    c.driver.assert_empty();
}

/// What an operator or the kernel kills is a loss and no failure of the task, but not for ever.
#[test]
fn executors_that_others_end_are_losses_of_which_there_may_be_ten() {
    let mut c = with_master(&[]);
    c.submit(1, vec![stage(1, &[])]);
    for id in 1..=10 {
        c.take();
        c.join(id, 1);
        c.start(u64::from(id) - 1);
        c.take();
        let code = [137, 143, EXIT_WITHOUT_DRIVER][id as usize % 3];
        c.master_says(over(id, ExecutorState::Failed, Some(code)));
        if id < 10 {
            c.expect(&[
                &format!("Warn: executor {id} is FAILED (exit code {code}): gone"),
                &format!("x{id} close"),
                "j1 s0.0: 0 run, 0 of 1",
            ]);
        }
    }
    assert_eq!(
        c.take().last().unwrap(),
        "j1 failed: task 0 of stage 0 (1 tasks of []) lost its executor 10 times, which is the limit; the last time \
         executor 10 at h10, which died of signal 15 (exit code 143)"
    );
    c.driver.assert_empty();
}

/// The end of its log follows the exit code, and is said once, however many tasks it had.
#[test]
fn what_a_crashed_executor_said_last_is_told_once() {
    let mut c = with_master(&[2]);
    c.submit(1, vec![stage(2, &[])]);
    c.start(0);
    c.start(1);
    c.take();
    let message = "Exited with error status 3; the end of its log:\nout of luck".into();
    let state = ExecutorState::Failed;
    c.master_says(AppDown::ExecutorChanged { executor: ExecutorId(1), state, message, exit_code: Some(3) });
    let failed = |task| {
        format!(
            "Warn: task {task} of stage 0 (2 tasks of []) failed on executor 1 at h1, failure 1 of 4: its executor \
             ended with exit code 3"
        )
    };
    c.expect(&[
        "Warn: executor 1 is FAILED (exit code 3): Exited with error status 3; the end of its log:\nout of luck",
        "x1 close",
        &failed(0),
        &failed(1),
        "j1 s0.0: 0 run, 0 of 2",
    ]);
}

/// An executor that hears nothing leaves.
#[test]
fn heartbeats_are_answered() {
    let mut c = cluster_of(&[1, 1]);
    c.say(1, TaskUp::Heartbeat);
    c.say(2, TaskUp::Heartbeat);
    c.say(1, TaskUp::Heartbeat);
    assert_eq!(c.heartbeats, [1, 2, 1]);
}

#[test]
fn a_silent_executor_is_lost() {
    let mut c = with_master(&[1]);
    c.submit(1, vec![stage(1, &[])]);
    c.take();
    c.pass(100_000);
    c.say(1, TaskUp::Heartbeat);
    c.pass(119_000);
    assert!(c.take().iter().all(|line| line.starts_with("to master: Heartbeat")));
    c.pass(6_000);
    c.expect(&[
        "Warn: executor 1 is given up: silent for 120 s (spark.network.timeout)",
        "x1 close",
        "to master: KillExecutors { executors: [exec-1], reason: \"silent for 120 s (spark.network.timeout)\" }",
        "j1 s0.0: 0 run, 0 of 1",
    ]);
    c.register(1, 11, 1, &[0]);
    c.expect(&[
        "Warn: executor 1 at h1 was refused: executor 1 is not known to this driver, or was given up",
        "x11 refused: executor 1 is not known to this driver, or was given up",
        "x11 close",
    ]);
}

#[test]
fn a_task_that_does_not_end_costs_its_executor() {
    let mut c = with_master(&[1]);
    c.submit(1, vec![stage(1, &[])]);
    c.send(Event::JobCancelled { job: hearth_core::JobId(1), reason: "enough".into() });
    c.take();
    for _ in 0..5 {
        c.pass(6_000);
        c.say(1, TaskUp::Heartbeat);
    }
    let lines: Vec<String> = c.take().into_iter().filter(|line| !line.contains("Heartbeat")).collect();
    let why = "task 0 did not end within 30 s of being killed (hearth.task.reapTimeout)";
    assert_eq!(
        lines,
        [
            format!("Warn: executor 1 is given up: {why}"),
            "x1 close".into(),
            format!("to master: KillExecutors {{ executors: [exec-1], reason: \"{why}\" }}"),
            "x1 close".into(),
        ]
    );
    c.driver.assert_empty();
}

#[test]
fn an_executor_that_leaves_takes_no_blame_along() {
    let mut c = with_master(&[1, 1]);
    c.submit(1, vec![stage(2, &[])]);
    c.start(0);
    c.take();
    c.say(1, TaskUp::Leaving { reason: "told to".into() });
    c.expect(&["Info: executor 1 leaves: told to", "x1 close", "j1 s0.0: 1 run, 0 of 2"]);
    c.succeed(1);
    c.expect(&["j1 result 1", "x2 launch #2 s0.0p0 again 1", "j1 s0.0: 1 run, 1 of 2"]);
    c.news(2, TaskNews::Started);
}

#[test]
fn strangers_are_looked_at() {
    let mut c = with_master(&[]);
    let mut said = registration(1, 1, &[]);
    said.version = "0.0.1".into();
    c.say(1, TaskUp::Register(said));
    let versions = "version 0.0.1 cannot talk to version 0.1.0; install the same version on both sides";
    c.expect(&[
        &format!("Warn: executor 1 at h1 was refused: {versions}"),
        &format!("x1 refused: {versions}"),
        "x1 close",
    ]);
    // Another driver was at this address before.
    let said = ExecutorRegistration { application: "app-0".parse().unwrap(), ..registration(1, 1, &[]) };
    c.say(1, TaskUp::Register(said));
    assert!(c.take()[1].starts_with("x1 refused: "), "an executor of somebody else is taken");
    c.register(1, 1, 0, &[]);
    assert_eq!(c.take()[1], "x1 refused: malformed message: an executor needs at least one core");
    c.say(5, TaskUp::Heartbeat);
    c.expect(&["x5 close"]);
    for id in 1..=1024 {
        c.join(id, 1);
    }
    c.register(1025, 1025, 1, &[]);
    assert!(c.take()[1].starts_with("x1025 refused: executors that the master has not spoken of is at its limit"));
    c.master_says(AppDown::ExecutorGranted(super::grant(7, 1)));
    c.join(1025, 1);
    c.say(1025, TaskUp::Register(registration(1025, 1, &[])));
    c.expect(&["Warn: executor 1025 registered twice on one link; the second one is ignored"]);
}

/// An executor that asks for outputs while they are being made again gives its task back; that is nobody's failure.
#[test]
fn a_task_whose_inputs_were_lost_is_given_back_without_blame() {
    let mut c = with_master(&[1, 1]);
    c.submit(1, vec![stage(1, &[]), stage(1, &[0])]);
    c.succeed(0);
    c.master_says(AppDown::WorkerRemoved { worker: "w1".parse().unwrap(), reason: "gone".into() });
    c.take();
    c.killed(1);
    c.expect(&["x2 launch #2 s0.1p0", "j1 s0.1: 1 run, 0 of 1", "j1 s1.0: 0 run, 0 of 1"]);
    c.succeed(2);
    assert_eq!(c.take()[0], "x2 launch #3 s1.0p0 again 1");
    c.killed(3);
    assert!(c.take()[0].ends_with("failure 1 of 4: killed, and not by the driver: as told"));
}

#[test]
fn an_executor_that_was_given_up_is_not_taken_back_by_its_grant() {
    let mut c = with_master(&[1]);
    c.say(1, TaskUp::Leaving { reason: "told to".into() });
    c.take();
    c.master_says(AppDown::ExecutorGranted(super::grant(1, 1)));
    c.expect(&["to master: KillExecutors { executors: [exec-1], reason: \"the driver has given it up\" }"]);
}

/// Nobody has to look for them there in vain first.
#[test]
fn stored_results_go_with_whoever_stored_them() {
    let mut c = with_master(&[1, 1]);
    c.submit(1, vec![stage(3, &[])]);
    c.store(0);
    c.store(1);
    c.take();
    c.master_says(AppDown::WorkerRemoved { worker: "w1".parse().unwrap(), reason: "silent".into() });
    let lines = c.take();
    assert!(
        lines.contains(&"Warn: the result of partition 0 was lost and is made again: worker w1 is gone".into()),
        "{lines:?}"
    );
    c.result_lost(1, 0, 0); // The reader finds it out too.
    c.expect(&[]);
    c.succeed(3);
    c.take();
    let newest = c.launches.keys().map(|task| task.0).max().unwrap();
    c.store(newest);
    assert!(c.take().iter().any(|line| line == "j1 result 0" || line == "j1 result 2"));
    (0..3).for_each(|partition| c.result_taken(1, partition));
    let newest = c.launches.keys().map(|task| task.0).max().unwrap();
    c.succeed(newest);
    c.take();
    c.release(1);
    c.take();
    c.driver.assert_empty();
}

/// A result that was taken may be made again all the same; nobody waits for it.
#[test]
fn a_result_that_was_taken_is_not_waited_for_again() {
    let mut c = with_master(&[1, 1]);
    c.submit(1, vec![stage(2, &[])]);
    c.store(0);
    c.take();
    c.master_says(AppDown::WorkerRemoved { worker: "w1".parse().unwrap(), reason: "silent".into() });
    // Its reader had it before.
    c.result_taken(1, 0);
    c.take();
    c.succeed(1);
    c.result_taken(1, 1);
    c.store(2);
    let lines = c.take();
    assert!(lines.iter().any(|line| line == "j1 done"), "{lines:?}");
    c.release(1);
    c.take();
    c.driver.assert_empty();
}
