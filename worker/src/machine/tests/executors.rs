//! Executors: launches, ends, reports.

use super::*;

const BROKEN: &str = "no link to the master: it broke; try 1 of 27 in 100ms";

#[test]
fn a_launch_is_obeyed_once() {
    let mut bench = Bench::running();
    let again = bench.said(launch(0, 2));
    assert_eq!(again, [Effect::Log { level: Level::Debug, text: "executor app-1/0 is launched already".into() }]);
    bench.nothing_left();
}

#[test]
fn an_end_is_reported_with_its_reason() {
    let mut bench = Bench::running();
    let fx = bench.event(exited(child(0), 0, "said goodbye"));
    assert_eq!(
        fx,
        [info("executor app-1/0 is EXITED: Exited"), bench.up(changed(0, ExecutorState::Exited, "Exited", Some(0))),]
    );
    bench.said(launch(1, 2));
    bench.event(started(child(1), 0));
    let text = "Exited with error status 101; the end of its log:\npanicked";
    let fx = bench.event(exited(child(1), 101, "panicked\n"));
    assert_eq!(
        fx,
        [
            warn(&format!("executor app-1/1 is FAILED: {text}")),
            bench.up(changed(1, ExecutorState::Failed, text, Some(101))),
        ]
    );
    bench.said(launch(2, 2));
    bench.event(started(child(2), 0));
    let fx = bench.event(exited(child(2), 137, ""));
    assert_eq!(
        fx,
        [
            warn("executor app-1/2 is FAILED: Caught fatal signal 9"),
            bench.up(changed(2, ExecutorState::Failed, "Caught fatal signal 9", Some(137))),
        ]
    );
    // A second report of the same end is none.
    assert_eq!(bench.event(exited(child(2), 137, "")), []);
    bench.nothing_left();
}

#[test]
fn an_executor_that_cannot_be_started_has_failed() {
    let mut bench = Bench::registered();
    assert_eq!(bench.said(launch(0, 1)).len(), 2);
    let fx = bench.event(Event::SpawnFailed { child: child(0), message: "no such program".into() });
    assert_eq!(
        fx,
        [
            warn("executor app-1/0 is FAILED: no such program"),
            bench.up(changed(0, ExecutorState::Failed, "no such program", None)),
        ]
    );
    // The same order again gets the same answer.
    assert_eq!(bench.said(launch(0, 1)), [bench.up(changed(0, ExecutorState::Failed, "no such program", None))]);
    bench.nothing_left();
}

#[test]
fn cores_and_memory_are_never_promised_twice() {
    let mut bench = Bench::running();
    let why = "executor app-1/1 wants 3 cores, 1024 MiB, but only 2 cores, 3072 MiB are free on this worker";
    assert_eq!(bench.said(launch(1, 3)), [warn(why), bench.up(changed(1, ExecutorState::Failed, why, None))]);
    let mut large = order(2, 1);
    large.resources.memory_mib = 3073;
    let fx = bench.said(WorkerDown::LaunchExecutor(large));
    assert!(
        matches!(&fx[0], Effect::Log { level: Level::Warn, text } if text.contains("wants 1 core, 3073 MiB")),
        "{fx:?}"
    );
    assert_eq!(fx.len(), 2);
    assert_eq!(bench.said(launch(3, 2)), [info("starting executor app-1/3 with 2 cores, 1024 MiB"), spawn(3, 2)]);
    bench.nothing_left();
}

#[test]
fn a_kill_is_soft_then_hard_and_reported_as_such() {
    let mut bench = Bench::running();
    let fx = bench.said(kill_order(0));
    assert_eq!(fx, [kill(child(0), false), info("ending executor app-1/0: not wanted")]);
    // Asked again, the first order stands.
    assert_eq!(bench.said(kill_order(0)), [info("ending executor app-1/0: not wanted")]);
    assert_eq!(bench.pass_to_deadline(5 * SECOND), [kill(child(0), true)]);
    let fx = bench.event(exited(child(0), 137, "tail"));
    assert_eq!(
        fx,
        [
            info("executor app-1/0 is KILLED: not wanted"),
            bench.up(changed(0, ExecutorState::Killed, "not wanted", Some(137))),
        ]
    );
    // A kill of one that is over gets its report again.
    assert_eq!(bench.said(kill_order(0)), [bench.up(changed(0, ExecutorState::Killed, "not wanted", Some(137)))]);
    bench.pass(10 * SECOND);
    bench.nothing_left();
}

#[test]
fn a_kill_waits_for_the_start() {
    let mut bench = Bench::registered();
    bench.said(launch(0, 1));
    assert_eq!(bench.said(kill_order(0)), [info("ending executor app-1/0: not wanted")]);
    let fx = bench.event(started(child(0), 0));
    assert_eq!(
        fx,
        [
            kill(child(0), false),
            info("executor app-1/0 runs as process 77"),
            bench.up(changed(0, ExecutorState::Running, "", None)),
        ]
    );
    let fx = bench.event(exited(child(0), 143, ""));
    assert_eq!(
        fx,
        [
            info("executor app-1/0 is KILLED: not wanted"),
            bench.up(changed(0, ExecutorState::Killed, "not wanted", Some(143))),
        ]
    );
    bench.nothing_left();
}

#[test]
fn a_kill_of_an_unknown_executor_is_reported_at_once() {
    let mut bench = Bench::registered();
    let killed = changed(7, ExecutorState::Killed, "it is not on this worker", None);
    assert_eq!(bench.said(kill_order(7)), [bench.up(killed)]);
    bench.nothing_left();
}

#[test]
fn news_of_unknown_children_changes_nothing() {
    let mut bench = Bench::registered();
    assert_eq!(bench.event(started(child(9), 0)), []);
    assert_eq!(bench.event(exited(child(9), 1, "")), []);
    assert_eq!(bench.event(Event::SpawnFailed { child: child(9), message: String::new() }), []);
    bench.nothing_left();
}

#[test]
fn an_end_without_a_link_is_reported_once_there_is_one() {
    let mut bench = Bench::running();
    assert_eq!(bench.close(), [warn(BROKEN)]);
    let fx = bench.event(exited(child(0), 3, ""));
    assert_eq!(fx, [warn("executor app-1/0 is FAILED: Exited with error status 3")]);
    assert_eq!(bench.pass_to_deadline(Duration::from_millis(100)), [Effect::Dial]);
    // Still listed: a master that misses it would not wait for its report.
    assert_eq!(bench.open(), [bench.up(register(vec![live(0, 2, ExecutorState::Running)]))]);
    let report = changed(0, ExecutorState::Failed, "Exited with error status 3", Some(3));
    let registered = info("registered as worker-1 with a master of term 1");
    assert_eq!(bench.said(taken(1)), [registered.clone(), bench.up(report.clone())]);
    // The link breaks before it must have arrived: it is said again.
    bench.close();
    bench.pass(Duration::from_millis(200));
    assert_eq!(bench.open(), [bench.up(register_keeping(vec![], vec![app()]))]);
    assert_eq!(bench.said(taken(1)), [registered.clone(), bench.up(report)]);
    // The link lives for a minute and more: it must have arrived.
    for _ in 0..4 {
        bench.nothing_left();
    }
    bench.close();
    bench.pass(Duration::from_millis(100));
    bench.open();
    assert_eq!(bench.said(taken(1)), [registered]);
    bench.nothing_left();
}

#[test]
fn the_files_of_an_application_go_when_its_last_executor_is_over() {
    let mut bench = Bench::running();
    bench.said(launch(1, 2));
    bench.event(started(child(1), 0));
    let fx = bench.said(finished());
    assert_eq!(fx, [info("app-1 is over"), kill(child(0), false), kill(child(1), false)]);
    // No new one begins where files are about to go.
    let late = bench.said(launch(2, 1));
    assert_eq!(late, [bench.up(changed(2, ExecutorState::Killed, "the application is over", None))]);
    let over = "the application is over";
    let ended = |bench: &Bench, id: u32| {
        [
            info(&format!("executor app-1/{id} is KILLED: {over}")),
            bench.up(changed(id, ExecutorState::Killed, over, Some(143))),
        ]
    };
    assert_eq!(bench.event(exited(child(1), 143, "")), ended(&bench, 1));
    let fx = bench.event(exited(child(0), 143, ""));
    assert_eq!(fx[..2], ended(&bench, 0));
    assert_eq!(fx[2..], [Effect::RemoveApplicationFiles { application: app() }]);
    bench.nothing_left();
}

#[test]
fn the_files_of_an_application_without_executors_go_at_once() {
    let mut bench = Bench::registered();
    let gone = [info("app-1 is over"), Effect::RemoveApplicationFiles { application: app() }];
    assert_eq!(bench.said(finished()), gone);
    assert_eq!(bench.said(finished()), gone);
    bench.nothing_left();
}

#[test]
fn files_are_kept_and_listed_until_the_master_says_that_the_application_is_over() {
    let mut bench = Bench::running();
    bench.event(exited(child(0), 0, ""));
    // No executor lives, but others may read what it wrote.
    let again = |bench: &mut Bench, term, listed: Vec<ApplicationId>| {
        bench.close();
        bench.pass(3 * SECOND);
        assert_eq!(bench.open(), [bench.up(register_keeping(vec![], listed))]);
        bench.said(taken(term));
    };
    again(&mut bench, 1, vec![app()]);
    // Another master, which has never heard of it.
    again(&mut bench, 2, vec![app()]);
    assert_eq!(bench.said(finished()), [info("app-1 is over"), Effect::RemoveApplicationFiles { application: app() }]);
    again(&mut bench, 2, vec![]);
    bench.nothing_left();
}

#[test]
fn an_application_that_is_over_is_not_listed_while_its_executors_end() {
    let mut bench = Bench::running();
    bench.said(finished());
    bench.close();
    bench.pass(Duration::from_millis(100));
    assert_eq!(bench.open(), [bench.up(register_keeping(vec![live(0, 2, ExecutorState::Running)], vec![]))]);
    bench.said(taken(2));
    // A master that does not know it says so, which changes nothing.
    assert_eq!(bench.said(finished()), [info("app-1 is over")]);
    let fx = bench.event(exited(child(0), 143, ""));
    assert_eq!(fx[2..], [Effect::RemoveApplicationFiles { application: app() }]);
    bench.nothing_left();
}

#[test]
fn old_directories_are_looked_for_every_hour_but_not_those_of_applications_that_may_go_on() {
    let looks = |bench: &mut Bench| -> Vec<Effect> {
        let mut fx = bench.pass(3600 * SECOND);
        fx.retain(|effect| matches!(effect, Effect::RemoveOldApplications { .. }));
        fx
    };
    let look = |keep: &[ApplicationId]| {
        let unchanged_for = Duration::from_secs(7 * 24 * 3600);
        [Effect::RemoveOldApplications { keep: keep.iter().cloned().collect(), unchanged_for }]
    };
    let mut bench = Bench::running();
    assert_eq!(looks(&mut bench), look(&[app()]));
    bench.event(exited(child(0), 0, ""));
    assert_eq!(looks(&mut bench), look(&[app()]));
    bench.said(finished());
    assert_eq!(looks(&mut bench), look(&[]));
}
