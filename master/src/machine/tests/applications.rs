//! Applications register, wait, are granted executors, lose their drivers, fail, and end.

use super::*;

const ONE_CORE: &str = "no executor of 1 core, 1024 MiB fits now: 0 cores, 0 MiB of 2 cores, 2048 MiB are free, the \
                        rest is held by ";

#[test]
fn what_nobody_could_run_is_refused() {
    let mut bench = Bench::new();
    let mut refused = |spec: ApplicationSpec, refusal: Refusal| {
        let expected = [
            warn(&format!("application \"bad\" is refused: {refusal}")),
            to_driver(1, AppDown::Refused { refusal, term: 1 }),
            close(1),
        ];
        assert_eq!(bench.driver_says(1, AppUp::Register(spec)), expected);
    };
    let malformed = |text: &str| Refusal::Malformed(text.into());
    let mismatch = Refusal::VersionMismatch { theirs: "0".into(), ours: VERSION.into() };
    refused(ApplicationSpec { version: "0".into(), ..spec("bad") }, mismatch);
    refused(
        ApplicationSpec { cores_per_executor: Some(0), ..spec("bad") },
        malformed("an executor needs at least 1 core; see --executor-cores"),
    );
    refused(
        ApplicationSpec { memory_per_executor_mib: 0, ..spec("bad") },
        malformed("an executor needs 1 to 1073741824 MiB of memory, 0 were asked for; see --executor-memory"),
    );
    refused(
        ApplicationSpec { user: "x".repeat(1025), ..spec("bad") },
        malformed("an application's user may have 1024 bytes, this one has 1025"),
    );
    let first = malformed("the first message on a driver's link must be a registration");
    assert_eq!(
        bench.driver_says(2, AppUp::Heartbeat),
        [to_driver(2, AppDown::Refused { refusal: first, term: 1 }), close(2)]
    );
    bench.master.assert_empty();
}

/// Found by the simulation: a master that was started again at once gave two applications one name, and with it one
/// directory and the same executors.
#[test]
fn names_are_not_given_again_by_a_master_that_was_started_again() {
    let wall = WALL.0 / 1000;
    let named = |term| {
        let mut bench = Bench::with(MasterOptions { term, ..Default::default() });
        bench.has_application(1, spec("one")).0
    };
    // The clock stands still, or was put back; only the term rises.
    let names: Vec<_> = [wall + 1, wall + 2, wall + 3].map(named).into();
    assert_eq!(names[0].as_str(), format!("app-{}-0001", hearth_core::WallTime((wall + 1) * 1000).compact()));
    assert!(names[0] < names[1] && names[1] < names[2], "{names:?}");
    assert_eq!(named(1), hearth_core::ApplicationId::new(WALL, 1), "an old reign names by the clock");
}

#[test]
fn the_second_application_waits_is_told_why_once_a_minute_and_gets_its_turn() {
    let mut bench =
        Bench::with(MasterOptions { worker_timeout: std::time::Duration::from_secs(600), ..Default::default() });
    bench.has_worker(10, 2);
    let (first, _) = bench.has_application(1, spec("first"));
    let (second, fx) = bench.has_application(2, spec("se\u{1b}cond"));
    let reason = format!("{ONE_CORE}{first} \"first\": 2 cores, 1024 MiB");
    let reason = reason.replace("0 cores, 0 MiB of", "0 cores, 1024 MiB of");
    assert_eq!(fx, [waiting(2, &reason)]);
    assert_eq!(bench.wait(59_999), NONE);
    assert_eq!(bench.wait(1), [waiting(2, &reason)]);

    bench.driver_says(1, AppUp::Unregister { state: ApplicationState::Finished, message: String::new() });
    assert_eq!(bench.wait(60_000), [waiting(2, &reason.replace("\"first\"", "(ending)"))]);
    let fx = bench.worker_says(10, reports(&first, 0, ExecutorState::Killed, None));
    assert_eq!(fx, granted(&second, "se\u{1b}cond", 2, 0, 10, 2, 1024));
    assert_eq!(bench.wait(120_000), NONE);
}

#[test]
fn the_cap_holds_and_a_lower_limit_kills_nothing() {
    let mut bench = Bench::new();
    bench.has_worker(10, 4);
    let asked = ApplicationSpec { cores_per_executor: Some(1), max_cores: Some(3), ..spec("first") };
    let (app, fx) = bench.has_application(1, asked);
    let all: Vec<_> = (0..3).flat_map(|e| granted(&app, "first", 1, e, 10, 1, 1024)).collect();
    assert_eq!(fx, all);
    assert_eq!(bench.driver_says(1, AppUp::LimitExecutors { max_executors: Some(1) }), NONE);
    assert_eq!(bench.used(), [3]);

    let executors = vec![ExecutorId(0), ExecutorId(1), ExecutorId(77)];
    let idle = AppUp::KillExecutors { executors, reason: "idle".into() };
    assert_eq!(bench.driver_says(1, idle.clone()), [kill(10, &app, 0, "idle"), kill(10, &app, 1, "idle")]);
    assert_eq!(bench.driver_says(1, idle), NONE, "nobody is killed twice");
    let over = |bench: &mut Bench, e| bench.worker_says(10, reports(&app, e, ExecutorState::Killed, None));
    assert_eq!(over(&mut bench, 0), [changed(1, 0, ExecutorState::Killed, "it is KILLED", None)]);
    assert_eq!(over(&mut bench, 1), [changed(1, 1, ExecutorState::Killed, "it is KILLED", None)]);
    assert_eq!(bench.driver_says(1, AppUp::LimitExecutors { max_executors: Some(0) }), NONE);
    let no_limit = bench.driver_says(1, AppUp::LimitExecutors { max_executors: None });
    assert_eq!(
        no_limit,
        [granted(&app, "first", 1, 3, 10, 1, 1024), granted(&app, "first", 1, 4, 10, 1, 1024)].concat()
    );
}

#[test]
fn an_application_without_a_cap_gets_the_default_one() {
    let mut bench = Bench::with(MasterOptions { default_cores: Some(1), ..Default::default() });
    bench.has_worker(10, 4);
    bench.has_application(1, spec("first"));
    assert_eq!(bench.used(), [1]);
    bench.has_application(2, ApplicationSpec { max_cores: Some(2), ..spec("second") });
    assert_eq!(bench.used(), [3]);
}

#[test]
fn a_driver_that_goes_away_for_good_loses_its_application() {
    let mut bench = Bench::new();
    bench.has_worker(10, 2);
    let (app, _) = bench.has_application(1, spec("first"));
    assert_eq!(
        bench.driver_link_closes(1),
        [info(&format!("{app}: its driver's link broke; it has 10s to come back"))]
    );
    assert_eq!(bench.wait(9_999), NONE);
    let message = "its driver went away and did not come back within 10s";
    assert_eq!(
        bench.wait(1),
        [
            persisted_end(&app, ApplicationState::Killed, message),
            info(&format!("{app} is over: KILLED: {message}")),
            kill(10, &app, 0, "its application is over"),
            forget(10, &app),
        ]
    );
    let gone = Refusal::UnknownApplication(app.clone());
    let again = AppUp::Reconnect { application: app.clone(), executors: vec![], spec: spec("first") };
    assert_eq!(bench.driver_says(2, again), [to_driver(2, AppDown::Refused { refusal: gone, term: 1 }), close(2)]);
    bench.worker_says(10, reports(&app, 0, ExecutorState::Killed, None));
    bench.master.assert_empty();
}

#[test]
fn a_driver_that_comes_back_is_told_what_it_missed() {
    let mut bench = Bench::new();
    bench.has_worker(10, 1);
    bench.has_worker(11, 1);
    bench.has_worker(12, 1);
    let (app, fx) = bench.has_application(1, spec("first"));
    assert_eq!(fx.len(), 12);
    bench.driver_link_closes(1);
    // While it is away: 0 gets running, 1's worker is gone, 2 fails; nothing new is granted.
    assert_eq!(bench.worker_says(10, reports(&app, 0, ExecutorState::Running, None)), NONE);
    bench.worker_says(11, WorkerUp::Leaving { reason: "SIGTERM".into() });
    let failed = bench.worker_says(12, reports(&app, 2, ExecutorState::Failed, Some(1)));
    assert_eq!(failed, [warn(&format!("{app}: executor 2 on worker-12 is over: FAILED with code 1"))]);

    let executors = vec![ExecutorId(1), ExecutorId(2), ExecutorId(5)];
    let back = AppUp::Reconnect { application: app.clone(), executors, spec: spec("first") };
    let (worker, resources) = (worker_id(10), Resources::new(1, 1024));
    let grant = ExecutorGrant { executor: ExecutorId(0), worker, host: "localhost".into(), resources };
    let lost = "its worker worker-11 is gone: it leaves: SIGTERM";
    let mut expected = vec![
        info(&format!("{app}: its driver is back")),
        to_driver(2, AppDown::Registered { application: app.clone(), term: 1 }),
        to_driver(2, AppDown::ExecutorGranted(grant)),
        changed(2, 0, ExecutorState::Running, "", None),
        changed(2, 1, ExecutorState::Lost, lost, None),
        changed(2, 2, ExecutorState::Failed, "it is FAILED", None),
        changed(2, 5, ExecutorState::Lost, "it ended while the driver was away", None),
        to_driver(2, AppDown::WorkerRemoved { worker: worker_id(11), reason: "it is gone".into() }),
    ];
    expected.extend(granted(&app, "first", 2, 3, 12, 1, 1024));
    assert_eq!(bench.driver_says(2, back.clone()), expected);
    assert_eq!(bench.wait(20_000), NONE);

    // Another link of the same driver, before the old one's end was seen.
    let again = bench.driver_says(3, back);
    assert_eq!(again[..2], [close(2), info(&format!("{app}: its driver is back"))]);
    assert_eq!(bench.driver_link_closes(2), NONE);
}

#[test]
fn ten_failed_executors_in_a_row_end_an_application_with_pauses_in_between() {
    let mut bench = Bench::new();
    bench.has_worker(10, 1);
    let (app, fx) = bench.has_application(1, spec("first"));
    assert_eq!(fx, granted(&app, "first", 1, 0, 10, 1, 1024));
    for (executor, pause) in [0_u32, 100, 200, 400, 800, 1600, 3200, 5000, 5000].into_iter().enumerate() {
        let executor = u32::try_from(executor).unwrap();
        bench.worker_says(10, reports(&app, executor, ExecutorState::Running, None));
        let fx = bench.worker_says(10, reports(&app, executor, ExecutorState::Exited, Some(3)));
        let mut expected = vec![
            changed(1, executor, ExecutorState::Exited, "it is EXITED", Some(3)),
            warn(&format!("{app}: executor {executor} on worker-10 is over: EXITED with code 3")),
        ];
        let next = granted(&app, "first", 1, executor + 1, 10, 1, 1024);
        if pause == 0 {
            expected.extend(next);
            assert_eq!(fx, expected);
            continue;
        }
        let count = executor + 1;
        expected.push(waiting(
            1,
            &format!(
                "its executors end soon after their start ({count} failures in a row, 10 end it); the next one is \
                 started in {:.1} s",
                f64::from(pause) / 1000.0
            ),
        ));
        assert_eq!(fx, expected);
        assert_eq!(bench.wait(u64::from(pause) - 1), NONE);
        assert_eq!(bench.wait(1), next);
    }
    let reason = "10 executors in a row failed within 10s of their start and none is running; the last one, executor 9 \
                  on worker-10: it is FAILED";
    let state = ApplicationState::Failed;
    assert_eq!(
        bench.worker_says(10, reports(&app, 9, ExecutorState::Failed, None)),
        [
            changed(1, 9, ExecutorState::Failed, "it is FAILED", None),
            warn(&format!("{app}: executor 9 on worker-10 is over: FAILED")),
            persisted_end(&app, state, reason),
            info(&format!("{app} is over: FAILED: {reason}")),
            to_driver(1, AppDown::Ended { state, reason: reason.into() }),
            close(1),
            forget(10, &app),
        ]
    );
    bench.master.assert_empty();
}

#[test]
fn failures_do_not_end_an_application_that_has_a_running_executor() {
    let mut bench = Bench::with(MasterOptions { max_executor_retries: 2, ..Default::default() });
    bench.has_worker(10, 1);
    bench.has_worker(11, 1);
    let (app, _) = bench.has_application(1, spec("first"));
    bench.worker_says(10, reports(&app, 0, ExecutorState::Running, None));
    bench.worker_says(11, reports(&app, 1, ExecutorState::Failed, Some(1)));
    bench.worker_says(11, reports(&app, 2, ExecutorState::Failed, Some(1)));
    bench.wait(100);
    bench.worker_says(11, reports(&app, 3, ExecutorState::Failed, Some(1)));
    assert_eq!(bench.status().active.len(), 1);
    // The last one that runs fails as well, soon after its start: that is the end.
    bench.worker_says(10, reports(&app, 0, ExecutorState::Failed, Some(1)));
    assert_eq!(bench.status().completed[0].state, ApplicationState::Failed);
}

#[test]
fn an_end_that_is_none_is_refused_and_applications_are_bounded() {
    let options = MasterOptions { max_applications: 1, retained_applications: 1, ..Default::default() };
    let mut bench = Bench::with(options);
    let (app, _) = bench.has_application(1, spec("first"));
    let running = AppUp::Unregister { state: ApplicationState::Running, message: String::new() };
    let refusal = Refusal::Malformed("an application cannot end as RUNNING".into());
    assert_eq!(bench.driver_says(1, running), [to_driver(1, AppDown::Refused { refusal, term: 1 })]);
    let twice = [warn(&format!("{app} registers a second time on its link; ignored"))];
    assert_eq!(bench.driver_says(1, AppUp::Register(spec("first"))), twice);

    let full = Refusal::Full { what: "the number of applications".into(), limit: 1 };
    assert_eq!(
        bench.driver_says(2, AppUp::Register(spec("second"))),
        [
            warn(&format!("application \"second\" is refused: {full}")),
            to_driver(2, AppDown::Refused { refusal: full, term: 1 }),
            close(2)
        ]
    );
    let end = AppUp::Unregister { state: ApplicationState::Failed, message: "x".repeat(9_000) };
    bench.driver_says(1, end.clone());
    let (second, _) = bench.has_application(3, spec("second"));
    bench.driver_says(3, end);
    let view = bench.status();
    assert_eq!(view.completed.iter().map(|a| (&a.id, a.message.len())).collect::<Vec<_>>(), [(&second, 4000)]);
}
