//! Workers come, fall silent, break, come back, and leave.

use super::*;

const LINK_LOST: &str = "its link broke and did not come back within 2s";

#[test]
fn versions_and_claims_that_make_no_sense_are_refused() {
    let mut bench = Bench::new();
    let refused = |link, refusal: Refusal| {
        [
            warn(&format!("worker-10 at localhost:7010 is refused: {refusal}")),
            to_worker(link, WorkerDown::Refused { refusal, term: 1 }),
            close(link),
        ]
    };
    let good = registration(10, 4);
    let other = WorkerRegistration { version: "9.9.9".into(), ..good.clone() };
    let mismatch = Refusal::VersionMismatch { theirs: "9.9.9".into(), ours: VERSION.into() };
    assert_eq!(bench.worker_says(1, WorkerUp::Register(other)), refused(1, mismatch));

    let none = WorkerRegistration { resources: Resources::new(0, 1024), ..good.clone() };
    let claim = Refusal::Malformed("a worker must offer 1 to 65536 cores, it offers 0; see --cores".into());
    assert_eq!(bench.worker_says(2, WorkerUp::Register(none)), refused(2, claim));

    let executors = vec![live(&app_id(7), 0, 5, ExecutorState::Running)];
    let overfull = WorkerRegistration { executors, ..good };
    let claim = "its executors hold 5 cores, 1024 MiB, more than the 4 cores, 4096 MiB it offers";
    assert_eq!(bench.worker_says(3, WorkerUp::Register(overfull)), refused(3, Refusal::Malformed(claim.into())));

    let first = Refusal::Malformed("the first message on a worker's link must be its registration".into());
    assert_eq!(
        bench.worker_says(4, WorkerUp::Heartbeat),
        [to_worker(4, WorkerDown::Refused { refusal: first, term: 1 }), close(4)]
    );
    assert!(bench.status().workers.is_empty());
}

#[test]
fn only_one_living_worker_has_an_id_or_an_address() {
    let mut bench = Bench::new();
    bench.has_worker(10, 4);
    let duplicate = Refusal::DuplicateWorker { worker: worker_id(10), address: "localhost:7010".into() };
    let refused = |who: &str, link| {
        [
            warn(&format!("{who} at localhost:7010 is refused: {duplicate}")),
            to_worker(link, WorkerDown::Refused { refusal: duplicate.clone(), term: 1 }),
            close(link),
        ]
    };
    assert_eq!(bench.worker_says(11, WorkerUp::Register(registration(10, 4))), refused("worker-10", 11));
    let same_address = WorkerRegistration { address: registration(10, 4).address, ..registration(12, 4) };
    assert_eq!(bench.worker_says(12, WorkerUp::Register(same_address.clone())), refused("worker-12", 12));

    // When the first one's link is closed, another one may have the address, and the first is gone.
    bench.worker_link_closes(10);
    let mut expected = vec![
        removed(10, "another worker has its address"),
        warn("worker-10 is given up with 0 executors: another worker has its address"),
    ];
    expected.extend([
        Effect::Persist(Record::worker_registered(&same_address)),
        info("worker-12 at localhost:7010 registered with 4 cores, 4096 MiB"),
        to_worker(12, registered()),
    ]);
    assert_eq!(bench.worker_says(12, WorkerUp::Register(same_address)), expected);
}

#[test]
fn a_registration_said_twice_is_answered_twice_and_changes_nothing() {
    let mut bench = Bench::new();
    bench.has_worker(10, 4);
    bench.has_application(1, spec("first"));
    assert_eq!(bench.worker_says(10, WorkerUp::Register(registration(10, 4))), [to_worker(10, registered())]);
    assert_eq!(bench.used(), [4]);
}

#[test]
fn a_silent_worker_is_dead_after_its_timeout_and_is_told_once_to_register_anew() {
    let mut bench = Bench::new();
    bench.has_worker(10, 4);
    let (app, _) = bench.has_application(1, spec("first"));
    bench.worker_says(10, reports(&app, 0, ExecutorState::Running, None));
    assert_eq!(bench.wait(59_999), NONE);
    assert_eq!(bench.worker_says(10, WorkerUp::Heartbeat), NONE);
    assert_eq!(bench.wait(59_999), NONE);
    let reason = "no heartbeat for 60s";
    assert_eq!(
        bench.wait(1),
        [
            removed(10, reason),
            warn(&format!("worker-10 is given up with 1 executor: {reason}")),
            changed(1, 0, ExecutorState::Lost, &format!("its worker worker-10 is gone: {reason}"), None),
            to_driver(1, AppDown::WorkerRemoved { worker: worker_id(10), reason: reason.into() }),
            waiting(1, "no worker is alive (1 dead); start one with `hearth worker` and the master's URL"),
        ]
    );
    assert_eq!(bench.worker_says(10, WorkerUp::Heartbeat), [to_worker(10, WorkerDown::Reregister)]);
    assert_eq!(bench.worker_says(10, WorkerUp::Heartbeat), NONE);

    // It still runs what was given up: that is killed, and its cores are not free before it is over.
    let executors = vec![live(&app, 0, 3, ExecutorState::Running)];
    let back = WorkerRegistration { executors, ..registration(10, 4) };
    let mut expected = vec![
        Effect::Persist(Record::worker_registered(&back)),
        info("worker-10 at localhost:7010 registered with 4 cores, 4096 MiB"),
        to_worker(10, registered()),
        kill(10, &app, 0, "the master does not know it"),
    ];
    expected.extend(granted(&app, "first", 1, 1, 10, 1, 1024));
    assert_eq!(bench.worker_says(10, WorkerUp::Register(back)), expected);
    assert_eq!(bench.used(), [4]);
    let freed = bench.worker_says(10, reports(&app, 0, ExecutorState::Killed, None));
    assert_eq!(freed, granted(&app, "first", 1, 2, 10, 3, 1024));
}

#[test]
fn a_worker_whose_link_breaks_may_come_back_with_all_it_had() {
    let mut bench = Bench::new();
    bench.has_worker(10, 4);
    let (app, _) = bench.has_application(1, ApplicationSpec { cores_per_executor: Some(1), ..spec("first") });
    bench.worker_says(10, reports(&app, 0, ExecutorState::Running, None));
    let kill_two = AppUp::KillExecutors { executors: vec![ExecutorId(2)], reason: "idle".into() };
    assert_eq!(bench.driver_says(1, kill_two), [kill(10, &app, 2, "idle")]);
    let broke = [info("worker-10: its link broke; it has 2s to come back")];
    assert_eq!(bench.worker_link_closes(10), broke);
    assert_eq!(bench.wait(1999), NONE);

    // 0 runs on, 1 got running meanwhile, 2 still dies, 3 is gone, 9 is nobody's and beyond what is free.
    let executors = [0, 1, 2, 9].map(|e| live(&app, e, 1, ExecutorState::Running)).to_vec();
    let back = WorkerRegistration { executors, ..registration(10, 4) };
    assert_eq!(
        bench.worker_says(20, WorkerUp::Register(back)),
        [
            info("worker-10 is back"),
            to_worker(20, registered()),
            changed(1, 1, ExecutorState::Running, "", None),
            kill(20, &app, 2, "idle"),
            changed(1, 3, ExecutorState::Lost, "its worker came back without it", None),
            kill(20, &app, 9, "the master does not know it"),
        ]
    );
    assert_eq!(bench.used(), [4]);
    let over = bench.worker_says(20, reports(&app, 9, ExecutorState::Killed, None));
    let granted: Vec<_> = over.iter().filter(|e| matches!(e, Effect::ToWorker { .. })).collect();
    assert_eq!(granted.len(), 1, "the core of the stranger is granted once it is over: {over:?}");
    assert_eq!(bench.wait(30_000), NONE);
}

#[test]
fn a_worker_that_does_not_come_back_is_dead_and_its_work_goes_elsewhere() {
    let mut bench = Bench::new();
    bench.has_worker(10, 2);
    let (app, _) = bench.has_application(1, ApplicationSpec { max_cores: Some(2), ..spec("first") });
    bench.has_worker(11, 2);
    bench.worker_link_closes(10);
    let mut expected = vec![
        removed(10, LINK_LOST),
        warn(&format!("worker-10 is given up with 1 executor: {LINK_LOST}")),
        changed(1, 0, ExecutorState::Lost, &format!("its worker worker-10 is gone: {LINK_LOST}"), None),
        to_driver(1, AppDown::WorkerRemoved { worker: worker_id(10), reason: LINK_LOST.into() }),
    ];
    expected.extend(granted(&app, "first", 1, 1, 11, 2, 1024));
    assert_eq!(bench.wait(2000), expected);

    // When it returns after its application's end, it is told to forget what it holds of it.
    bench.driver_says(1, AppUp::Unregister { state: ApplicationState::Finished, message: String::new() });
    let listed = WorkerRegistration { applications: vec![app.clone()], ..registration(10, 2) };
    let back = bench.worker_says(20, WorkerUp::Register(listed));
    assert_eq!(back[3..], [forget(20, &app)]);
}

#[test]
fn a_worker_that_leaves_is_gone_at_once_and_what_it_still_says_is_ignored() {
    let mut bench = Bench::new();
    bench.has_worker(10, 2);
    let (app, _) = bench.has_application(1, spec("first"));
    let reason = "it leaves: SIGTERM";
    assert_eq!(
        bench.worker_says(10, WorkerUp::Leaving { reason: "SIGTERM".into() }),
        [
            removed(10, reason),
            info(&format!("worker-10 is given up with 1 executor: {reason}")),
            changed(1, 0, ExecutorState::Lost, &format!("its worker worker-10 is gone: {reason}"), None),
            to_driver(1, AppDown::WorkerRemoved { worker: worker_id(10), reason: reason.into() }),
            waiting(1, "no worker is alive (1 stopped); start one with `hearth worker` and the master's URL"),
        ]
    );
    assert_eq!(bench.worker_says(10, reports(&app, 0, ExecutorState::Killed, Some(143))), NONE);
    assert_eq!(bench.worker_says(10, WorkerUp::Heartbeat), NONE);
    assert_eq!(bench.worker_link_closes(10), NONE);
}

#[test]
fn a_master_that_knows_nothing_of_an_application_says_that_it_is_over() {
    let mut bench = Bench::new();
    let (app, _) = bench.has_application(1, ApplicationSpec { max_executors: Some(0), ..spec("known") });
    let (lives, idle) = (app_id(7), app_id(8));
    let worker = WorkerRegistration {
        executors: vec![live(&lives, 0, 1, ExecutorState::Running), live(&lives, 1, 1, ExecutorState::Launching)],
        applications: vec![app.clone(), lives.clone(), idle.clone()],
        ..registration(10, 4)
    };
    let fx = bench.worker_says(10, WorkerUp::Register(worker.clone()));
    let unknown = "the master does not know it";
    assert_eq!(
        fx[2..],
        [
            to_worker(10, registered()),
            kill(10, &lives, 0, unknown),
            kill(10, &lives, 1, unknown),
            forget(10, &lives),
            forget(10, &idle),
        ]
    );
    // What it was told on a link that broke it is told again; what is not over it keeps.
    bench.worker_link_closes(10);
    let back = WorkerRegistration { executors: Vec::new(), applications: vec![app, idle.clone()], ..worker };
    let fx = bench.worker_says(11, WorkerUp::Register(back));
    assert_eq!(fx, [info("worker-10 is back"), to_worker(11, registered()), forget(11, &idle)]);
}

#[test]
fn late_news_of_executors_changes_nothing_and_strangers_are_killed() {
    let mut bench = Bench::new();
    bench.has_worker(10, 2);
    let (app, _) = bench.has_application(1, spec("first"));
    bench.worker_says(10, reports(&app, 0, ExecutorState::Running, None));
    assert_eq!(bench.worker_says(10, reports(&app, 0, ExecutorState::Running, None)), NONE);
    assert_eq!(bench.worker_says(10, reports(&app, 0, ExecutorState::Launching, None)), NONE);
    let unknown = |state| debug(&format!("worker-10 reports {state} for executor {app}/8, which it has not"));
    assert_eq!(bench.worker_says(10, reports(&app, 8, ExecutorState::Exited, Some(0))), [unknown("EXITED")]);
    assert_eq!(
        bench.worker_says(10, reports(&app, 8, ExecutorState::Running, None)),
        [unknown("RUNNING"), kill(10, &app, 8, "the master does not know it")]
    );
}

#[test]
fn dead_workers_are_kept_up_to_a_bound_and_living_ones_taken_up_to_another() {
    let mut bench = Bench::with(MasterOptions { retained_dead_workers: 1, max_workers: 2, ..Default::default() });
    bench.has_worker(10, 1);
    bench.has_worker(11, 1);
    let refusal = Refusal::Full { what: "the number of workers".into(), limit: 2 };
    assert_eq!(
        bench.worker_says(12, WorkerUp::Register(registration(12, 1))),
        [
            warn(&format!("worker-12 at localhost:7012 is refused: {refusal}")),
            to_worker(12, WorkerDown::Refused { refusal, term: 1 }),
            close(12),
        ]
    );
    bench.wait(1);
    bench.worker_says(11, WorkerUp::Heartbeat);
    let fx = bench.wait(60_000);
    assert_eq!(fx.last(), Some(&close(10)), "the longest dead is forgotten, with its link: {fx:?}");
    let left: Vec<_> = bench.status().workers.into_iter().map(|worker| worker.id).collect();
    assert_eq!(left, [worker_id(11)]);
}
