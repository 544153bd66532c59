//! The link to the master.

use super::*;
use hearth_core::Refusal;

#[test]
fn the_block_service_listens_before_the_worker_registers_and_beats() {
    let mut bench = Bench::registered();
    for _ in 0..3 {
        let beat = bench.up(WorkerUp::Heartbeat);
        assert_eq!(bench.pass_to_deadline(HEARTBEAT), [beat]);
    }
    bench.nothing_left();
}

#[test]
fn a_master_cannot_ask_for_absurd_heartbeats() {
    let mut bench = Bench::dialing();
    bench.open();
    bench.said(WorkerDown::Registered { term: 1, heartbeat_millis: 0 });
    assert_eq!(bench.worker.deadline(), Some(bench.now.after(Duration::from_millis(100))));
    let mut bench = Bench::dialing();
    bench.open();
    bench.said(WorkerDown::Registered { term: 1, heartbeat_millis: u64::MAX });
    assert_eq!(bench.worker.deadline(), Some(bench.now.after(60 * SECOND)));
}

#[test]
fn tries_follow_the_schedule_and_end_with_an_error() {
    let mut bench = Bench::dialing();
    let (mut tries, mut waited) = (0, Vec::new());
    let last = loop {
        let fx = bench.event(Event::DialFailed { reason: "refused".into(), jitter: 500 });
        if matches!(fx[0], Effect::Log { level: Level::Error, .. }) {
            break fx;
        }
        tries += 1;
        let delay = bench.worker.deadline().expect("a next try").since(bench.now);
        assert_eq!(fx, [warn(&format!("no link to the master: refused; try {tries} of 27 in {delay:?}"))]);
        assert_eq!(bench.pass_to_deadline(delay), [Effect::Dial]);
        waited.push(delay.as_millis());
    };
    assert_eq!(waited[..5], [100, 200, 500, 1000, 2000]);
    assert_eq!(waited[5..11], [10_000; 6]);
    assert_eq!(waited[11..], [60_000; 16]);
    // The worker ends as always: its block service first.
    assert_eq!(
        last,
        [error("no master after 27 tries; the last: refused; giving up"), kill(Child::BlockService, false)]
    );
    assert_eq!(bench.event(exited(Child::BlockService, 143, "")), [Effect::Exit { code: 1 }]);
    bench.nothing_ever();
}

#[test]
fn a_lost_link_is_dialed_again_quickly_and_only_a_lasting_one_starts_the_count_over() {
    let mut bench = Bench::registered();
    let lost = |n: u32, delay: &str| [warn(&format!("no link to the master: it broke; try {n} of 27 in {delay}"))];
    let again = |bench: &mut Bench, delay| {
        assert_eq!(bench.pass_to_deadline(Duration::from_millis(delay)), [Effect::Dial]);
        assert_eq!(bench.open(), [bench.up(register(vec![]))]);
        assert_eq!(bench.said(taken(1)), [info("registered as worker-1 with a master of term 1")]);
    };
    assert_eq!(bench.close(), lost(1, "100ms"));
    again(&mut bench, 100);
    assert_eq!(bench.close(), lost(2, "200ms"));
    again(&mut bench, 200);
    let beat = bench.up(WorkerUp::Heartbeat);
    assert_eq!(bench.pass_to_deadline(HEARTBEAT), [beat]);
    assert_eq!(bench.close(), lost(1, "100ms"));
    again(&mut bench, 100);
    bench.nothing_left();
}

#[test]
fn a_silent_master_is_left() {
    let mut bench = Bench::dialing();
    bench.open();
    let fx = bench.pass_to_deadline(10 * SECOND);
    let delay = bench.worker.deadline().expect("a next try").since(bench.now);
    assert_eq!(
        fx,
        [
            Effect::CloseLink { link: LinkId(1) },
            warn(&format!("no link to the master: it did not answer within 10s; try 1 of 27 in {delay:?}")),
        ]
    );
    assert_eq!(bench.pass_to_deadline(delay), [Effect::Dial]);
    // Late news of the link that was closed.
    assert_eq!(bench.said(taken(1)), []);
    assert_eq!(bench.close(), []);
    assert_eq!(bench.pass(3500 * SECOND), [], "a dial is under way, and bounded by the shell");
}

#[test]
fn a_master_whose_term_is_over_is_left() {
    let mut bench = Bench::dialing();
    bench.open();
    assert_eq!(bench.said(taken(5)), [info("registered as worker-1 with a master of term 5")]);
    bench.close();
    bench.pass(Duration::from_millis(100));
    bench.open();
    assert_eq!(
        bench.said(taken(4)),
        [
            Effect::CloseLink { link: LinkId(2) },
            warn(
                "no link to the master: its term 4 is over: this worker knows a master of term 5; try 2 of 27 in 200ms"
            ),
        ]
    );
    assert_eq!(bench.pass_to_deadline(Duration::from_millis(200)), [Effect::Dial]);
    bench.open();
    // What one that leads would end it with.
    let refusal = Refusal::VersionMismatch { theirs: "1".into(), ours: "2".into() };
    assert!(bench.said(WorkerDown::Refused { refusal, term: 4 })[1..].iter().any(|effect| matches!(
        effect,
        Effect::Log { text, .. } if text.contains("its term 4 is over") && text.contains("try 3 of")
    )));
    bench.pass_to_deadline(Duration::from_millis(500));
    bench.open();
    assert_eq!(bench.said(taken(5)), [info("registered as worker-1 with a master of term 5")]);
    bench.nothing_left();
}

#[test]
fn a_dropped_worker_registers_anew_with_what_lives() {
    let mut bench = Bench::running();
    bench.said(launch(1, 1));
    let fx = bench.said(WorkerDown::Reregister);
    let delay = bench.worker.deadline().expect("a next try").since(bench.now);
    assert_eq!(
        fx,
        [
            Effect::CloseLink { link: LinkId(1) },
            warn(&format!("no link to the master: the master has dropped this worker; try 1 of 27 in {delay:?}")),
        ]
    );
    assert_eq!(bench.pass_to_deadline(delay), [Effect::Dial]);
    let list = vec![live(0, 2, ExecutorState::Running), live(1, 1, ExecutorState::Launching)];
    assert_eq!(bench.open(), [bench.up(register(list))]);
    // It starts to run before the registration is taken: the list did not say so, a report does.
    assert_eq!(bench.event(started(child(1), 0)), [info("executor app-1/1 runs as process 77")]);
    assert_eq!(
        bench.said(taken(1)),
        [
            info("registered as worker-1 with a master of term 1"),
            bench.up(changed(1, ExecutorState::Running, "", None)),
        ]
    );
    bench.nothing_left();
}

#[test]
fn another_version_is_hopeless() {
    let mut bench = Bench::dialing();
    bench.open();
    let refusal = Refusal::VersionMismatch { theirs: "1".into(), ours: "2".into() };
    let text = format!("the master refuses this worker: {refusal}");
    assert_eq!(
        bench.said(WorkerDown::Refused { refusal, term: 1 }),
        [error(&format!("{text}; giving up")), Effect::CloseLink { link: LinkId(1) }, kill(Child::BlockService, false),]
    );
    assert_eq!(bench.event(exited(Child::BlockService, 0, "")), [Effect::Exit { code: 1 }]);
    bench.nothing_ever();
}

#[test]
fn a_duplicate_waits_for_the_master_to_notice_but_not_for_ever() {
    let mut bench = Bench::dialing();
    let refusal = || Refusal::DuplicateWorker { worker: "worker-1".parse().unwrap(), address: "127.0.0.1:7078".into() };
    let began = bench.now;
    for n in 1..=8 {
        bench.open();
        let fx = bench.said(WorkerDown::Refused { refusal: refusal(), term: 1 });
        let delay = bench.worker.deadline().expect("a next try").since(bench.now);
        assert_eq!(
            fx,
            [
                Effect::CloseLink { link: bench.link },
                warn(&format!(
                    "no link to the master: the master refuses this worker: {}; try {n} of 27 in {delay:?}",
                    refusal()
                )),
            ]
        );
        assert_eq!(bench.pass_to_deadline(delay), [Effect::Dial]);
    }
    assert!(bench.now.since(began) > 16 * SECOND, "the master finds a dead link within 20 s: {:?}", bench.now);
    bench.open();
    let fx = bench.said(WorkerDown::Refused { refusal: refusal(), term: 1 });
    let Effect::Log { level: Level::Error, text } = &fx[0] else { panic!("{fx:?}") };
    assert!(text.contains("already registered and alive; stop it first"), "{text}");
    assert_eq!(fx[1..], [Effect::CloseLink { link: bench.link }, kill(Child::BlockService, false)]);
}

#[test]
fn a_standby_is_asked_again() {
    let mut bench = Bench::dialing();
    bench.open();
    let fx = bench.said(WorkerDown::Refused { refusal: Refusal::Standby, term: 1 });
    let delay = bench.worker.deadline().expect("a next try").since(bench.now);
    assert_eq!(fx.len(), 2);
    assert_eq!(fx[0], Effect::CloseLink { link: LinkId(1) });
    assert_eq!(bench.pass_to_deadline(delay), [Effect::Dial]);
    bench.open();
    assert_eq!(bench.said(taken(1)), [info("registered as worker-1 with a master of term 1")]);
    bench.nothing_left();
}

#[test]
fn orders_before_the_registration_is_taken_are_ignored() {
    let mut bench = Bench::dialing();
    bench.open();
    let fx = bench.said(kill_order(0));
    let Effect::Log { level: Level::Warn, text } = &fx[0] else { panic!("{fx:?}") };
    assert!(text.starts_with("the master said something out of order"), "{text}");
    assert_eq!(fx.len(), 1);
    assert_eq!(bench.said(taken(1)), [info("registered as worker-1 with a master of term 1")]);
    bench.nothing_left();
}

#[test]
fn a_link_that_nobody_wants_is_closed() {
    let mut bench = Bench::registered();
    let other = LinkId(99);
    assert_eq!(bench.event(Event::LinkOpened { link: other }), [Effect::CloseLink { link: other }]);
    assert_eq!(bench.event(Event::LinkClosed { link: other, reason: String::new(), jitter: 0 }), []);
    assert_eq!(bench.event(Event::DialFailed { reason: String::new(), jitter: 0 }), []);
    assert_eq!(bench.event(Event::MasterSaid { link: other, message: launch(0, 1) }), []);
    bench.nothing_left();
}
