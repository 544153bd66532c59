//! Every "not now" has a reason that people can act on.

use super::*;

/// The line of an explanation that says what an application waits for.
fn wait_line(bench: &mut Bench, app: &ApplicationId) -> String {
    let text = bench.explain(app.as_str()).unwrap();
    let line = text.lines().find(|line| line.contains("it waits") || line.contains("it gets no more"));
    line.unwrap_or("").trim().to_owned()
}

#[test]
fn each_reason_says_what_is_missing() {
    let mut bench = Bench::new();
    let asked = ApplicationSpec { cores_per_executor: Some(2), memory_per_executor_mib: 3000, ..spec("first") };
    let (app, fx) = bench.has_application(1, asked);
    let none = "no worker is registered; start one with `hearth worker` and the master's URL";
    assert_eq!(fx, [waiting(1, none)]);
    assert_eq!(wait_line(&mut bench, &app), format!("it waits: {none}"));

    bench.has_worker(10, 1);
    assert_eq!(
        wait_line(&mut bench, &app),
        "it waits: no worker is large enough for one executor of 2 cores, 3000 MiB: the largest has 1 core, 1024 MiB; \
         ask for less with --executor-cores or --executor-memory, or start a larger worker"
    );
    bench.has_worker(11, 4);
    assert_eq!(
        wait_line(&mut bench, &app),
        "it gets no more: no executor of 2 cores, 3000 MiB fits now: cores are free, but at most 1096 MiB beside \
         them, the rest is held by app-20261121093000-0001 \"first\": 2 cores, 3000 MiB"
    );
    bench.driver_says(1, AppUp::LimitExecutors { max_executors: Some(1) });
    assert_eq!(wait_line(&mut bench, &app), "it gets no more: it has all it may have: 1 executor, its limit is 1");
    assert_eq!(bench.status().active[0].waiting, None);

    let capped = ApplicationSpec { max_cores: Some(1), memory_per_executor_mib: 512, ..spec("second") };
    let (second, _) = bench.has_application(2, capped.clone());
    assert_eq!(
        wait_line(&mut bench, &second),
        "it gets no more: it has all it may have: its cap is 1 core (--total-executor-cores)"
    );
    let (third, _) = bench.has_application(3, ApplicationSpec { cores_per_executor: Some(2), ..capped });
    assert_eq!(
        wait_line(&mut bench, &third),
        "it waits: its cap is 1 core (--total-executor-cores), it holds 0, and an executor of 2 cores \
         (--executor-cores) would be above it"
    );
    bench.driver_link_closes(3);
    assert_eq!(
        wait_line(&mut bench, &third),
        "it waits: its driver's link is broken; nothing is granted until it is back"
    );
}

#[test]
fn holders_are_named_those_with_most_first_and_the_rest_is_counted() {
    let mut bench = Bench::new();
    bench.has_worker(10, 8);
    for n in 1..=6 {
        let cores = if n == 6 { 3 } else { 1 };
        let name = format!("holder {n}");
        bench
            .has_application(n, ApplicationSpec { max_cores: Some(cores), memory_per_executor_mib: 64, ..spec(&name) });
    }
    let (late, fx) = bench.has_application(9, ApplicationSpec { max_cores: Some(1), ..spec("late") });
    let holder = |n: u32, cores: &str| format!("app-20261121093000-000{n} \"holder {n}\": {cores}, 64 MiB");
    let mut reason = "no executor of 1 core, 1024 MiB fits now: 0 cores, 7808 MiB of 8 cores, 8192 MiB are free, the \
                      rest is held by "
        .to_owned();
    reason +=
        &[holder(6, "3 cores"), holder(1, "1 core"), holder(2, "1 core"), holder(3, "1 core"), holder(4, "1 core")]
            .join("; ");
    reason += "; and 1 more";
    assert_eq!(fx, [waiting(9, &reason)]);
    assert_eq!(bench.status().active.last().unwrap().waiting.as_ref(), Some(&reason));
    assert_eq!(wait_line(&mut bench, &late), format!("it waits: {reason}"));
}

#[test]
fn workers_executors_and_ended_applications_are_explained_and_strangers_are_not() {
    let mut bench = Bench::new();
    bench.has_worker(10, 2);
    let (app, _) = bench.has_application(1, ApplicationSpec { cores_per_executor: Some(1), ..spec("first\n") });
    bench.worker_says(10, reports(&app, 0, ExecutorState::Running, None));
    let failed = WorkerUp::ExecutorChanged {
        application: app.clone(),
        executor: ExecutorId(1),
        state: ExecutorState::Failed,
        message: "no such file\n\u{1b}[31mred".into(),
        exit_code: Some(127),
    };
    bench.worker_says(10, failed);
    assert_eq!(
        bench.explain(app.as_str()).unwrap(),
        "app-20261121093000-0001 \"first\\n\" is RUNNING\n  it has 2 executors with 2 cores, 2048 MiB\n  \
         it gets no more: no executor of 1 core, 1024 MiB fits now: 0 cores, 0 MiB of 2 cores, 2048 MiB are free, \
         the rest is held by app-20261121093000-0001 \"first\\n\": 2 cores, 2048 MiB\n  \
         executor 0 on worker-10: RUNNING, 1 core, 1024 MiB\n  executor 2 on worker-10: LAUNCHING, 1 core, 1024 MiB\n  \
         executor 1 on worker-10: FAILED: no such file\\n\\u{1b}[31mred\n"
    );
    assert_eq!(
        bench.explain("worker-10").unwrap(),
        "worker-10 at localhost:7010 is ALIVE\n  it was last heard of 0.0 s ago\n  0 cores, 0 MiB of 2 cores, 2048 MiB \
         are free\n  app-20261121093000-0001/0: 1 core, 1024 MiB\n  app-20261121093000-0001/2: 1 core, 1024 MiB\n"
    );
    bench.wait(1500);
    let executor = |e: u32| format!("{app}/{e}");
    assert_eq!(
        bench.explain(&executor(0)).unwrap(),
        format!("{app}/0 on worker-10 is RUNNING with 1 core, 1024 MiB\n  it has been running for 1.5 s\n")
    );
    assert_eq!(
        bench.explain(&executor(1)).unwrap(),
        format!("{app}/1 on worker-10 is over: FAILED\n  no such file\\n\\u{{1b}}[31mred\n")
    );
    bench.driver_says(1, AppUp::Unregister { state: ApplicationState::Failed, message: "bad\u{7}".into() });
    assert_eq!(
        bench.explain(app.as_str()).unwrap(),
        format!(
            "{app} \"first\\n\" is over: FAILED\n  bad\\u{{7}}\n  executor 0 on worker-10 is still ending and holds 1 \
             core, 1024 MiB\n  executor 2 on worker-10 is still ending and holds 1 core, 1024 MiB\n  executor 1 on \
             worker-10: FAILED: no such file\\n\\u{{1b}}[31mred\n"
        )
    );
    bench.worker_says(10, reports(&app, 0, ExecutorState::Killed, Some(143)));
    bench.worker_says(10, reports(&app, 2, ExecutorState::Exited, Some(0)));
    assert_eq!(
        bench.explain(app.as_str()).unwrap(),
        format!(
            "{app} \"first\\n\" is over: FAILED\n  bad\\u{{7}}\n  executor 1 on worker-10: FAILED: no such \
             file\\n\\u{{1b}}[31mred\n  executor 0 on worker-10: KILLED: it is KILLED\n  executor 2 on worker-10: \
             EXITED: it is EXITED\n"
        )
    );
    assert_eq!(bench.explain(&executor(2)).unwrap(), format!("{app}/2 on worker-10 is over: EXITED\n  it is EXITED\n"));
    for unknown in ["", "x", "../../etc/passwd", "app-1/x", &executor(7), &"y".repeat(500)] {
        let shown = unknown.chars().take(200).collect();
        assert_eq!(bench.explain(unknown), Err(Refusal::UnknownId(shown)));
    }
}

#[test]
fn an_executor_whose_end_is_forgotten_is_told_from_one_that_never_was() {
    let mut bench = Bench::new();
    bench.has_worker(10, 1);
    let (app, _) = bench.has_application(1, spec("first"));
    // Killed ones are no failures: each is replaced at once.
    for n in 0..=10 {
        bench.worker_says(10, reports(&app, n, ExecutorState::Killed, Some(143)));
    }
    let forgotten = format!("{app}/0 is over; how it ended is forgotten, later ones are remembered\n");
    let remembered = format!("{app}/1 on worker-10 is over: KILLED\n  it is KILLED\n");
    for over in [false, true] {
        if over {
            bench.driver_says(1, AppUp::Unregister { state: ApplicationState::Finished, message: String::new() });
        }
        assert_eq!(bench.explain(&format!("{app}/0")).unwrap(), forgotten);
        assert_eq!(bench.explain(&format!("{app}/1")).unwrap(), remembered);
        let never = format!("{app}/12");
        assert_eq!(bench.explain(&never), Err(Refusal::UnknownId(never.clone())));
    }
}

#[test]
fn workers_that_were_stopped_are_told_apart_from_those_that_died() {
    let mut bench = Bench::new();
    bench.has_worker(10, 1);
    bench.has_worker(11, 1);
    bench.worker_says(10, WorkerUp::Leaving { reason: "SIGTERM".into() });
    bench.wait(60_000);
    let (app, fx) = bench.has_application(1, spec("first"));
    let reason = "no worker is alive (1 dead, 1 stopped); start one with `hearth worker` and the master's URL";
    assert_eq!(fx, [waiting(1, reason)]);
    assert_eq!(wait_line(&mut bench, &app), format!("it waits: {reason}"));
}
