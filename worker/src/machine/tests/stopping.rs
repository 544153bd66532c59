//! How a worker stops.

use super::*;

#[test]
fn executors_end_before_the_block_service_and_the_worker_last() {
    let mut bench = Bench::running();
    let fx = bench.event(stop("SIGTERM"));
    assert_eq!(
        fx,
        [info("stopping: SIGTERM"), kill(child(0), false), bench.up(WorkerUp::Leaving { reason: "SIGTERM".into() }),]
    );
    // It does not begin anything any more.
    let late = bench.said(launch(1, 1));
    assert_eq!(late, [bench.up(changed(1, ExecutorState::Killed, "the worker is stopping", None))]);
    let reason = "the worker stops: SIGTERM";
    let fx = bench.event(exited(child(0), 143, ""));
    assert_eq!(
        fx,
        [
            info(&format!("executor app-1/0 is KILLED: {reason}")),
            bench.up(changed(0, ExecutorState::Killed, reason, Some(143))),
            kill(Child::BlockService, false),
        ]
    );
    let fx = bench.event(exited(Child::BlockService, 0, ""));
    assert_eq!(fx, [Effect::CloseLink { link: LinkId(1) }, Effect::Exit { code: 0 }]);
    bench.nothing_ever();
}

#[test]
fn the_deaf_are_killed_after_five_seconds() {
    let mut bench = Bench::running();
    bench.event(stop("SIGTERM"));
    assert_eq!(bench.pass_to_deadline(5 * SECOND), [kill(child(0), true)]);
    bench.event(exited(child(0), 137, ""));
    assert_eq!(bench.pass_to_deadline(5 * SECOND), [kill(Child::BlockService, true)]);
    let fx = bench.event(exited(Child::BlockService, 137, ""));
    assert_eq!(fx, [Effect::CloseLink { link: LinkId(1) }, Effect::Exit { code: 0 }]);
    bench.nothing_ever();
}

#[test]
fn asked_twice_it_does_not_wait() {
    let mut bench = Bench::running();
    bench.event(stop("SIGINT"));
    let hurry = info("asked to stop again (SIGINT): the children get no more time");
    assert_eq!(bench.event(stop("SIGINT")), [hurry.clone(), kill(child(0), true)]);
    assert_eq!(bench.event(stop("SIGINT")), [hurry], "SIGKILL needs no repetition");
    bench.event(exited(child(0), 137, ""));
    bench.event(exited(Child::BlockService, 143, ""));
    bench.nothing_ever();
}

#[test]
fn a_worker_can_be_stopped_before_it_is_there() {
    // Before its block service listens: it is ended once it does.
    let mut bench = Bench::born();
    assert_eq!(bench.event(stop("SIGINT")), [info("stopping: SIGINT")]);
    let fx = bench.event(started(Child::BlockService, 7078));
    assert_eq!(fx, [kill(Child::BlockService, false), info("the block service listens on port 7078")]);
    assert_eq!(bench.event(exited(Child::BlockService, 0, "")), [Effect::Exit { code: 0 }]);
    bench.nothing_ever();

    // While it dials: the link that opens too late is closed.
    let mut bench = Bench::dialing();
    assert_eq!(bench.event(stop("SIGINT")), [info("stopping: SIGINT"), kill(Child::BlockService, false)]);
    assert_eq!(bench.open(), [Effect::CloseLink { link: LinkId(1) }]);
    assert_eq!(bench.event(exited(Child::BlockService, 0, "")), [Effect::Exit { code: 0 }]);
    bench.nothing_ever();

    // While it registers.
    let mut bench = Bench::dialing();
    bench.open();
    let fx = bench.event(stop("SIGINT"));
    let close = Effect::CloseLink { link: LinkId(1) };
    assert_eq!(fx, [info("stopping: SIGINT"), close, kill(Child::BlockService, false)]);
    assert_eq!(bench.event(exited(Child::BlockService, 0, "")), [Effect::Exit { code: 0 }]);
    bench.nothing_ever();
}

#[test]
fn a_link_that_is_lost_while_stopping_is_not_dialed_again() {
    let mut bench = Bench::running();
    bench.event(stop("SIGTERM"));
    assert_eq!(bench.close(), []);
    let fx = bench.event(exited(child(0), 0, ""));
    let gone = info("executor app-1/0 is KILLED: the worker stops: SIGTERM");
    assert_eq!(fx, [gone, kill(Child::BlockService, false)]);
    assert_eq!(bench.event(exited(Child::BlockService, 0, "")), [Effect::Exit { code: 0 }]);
    bench.nothing_ever();
}

#[test]
fn a_block_service_that_is_already_gone_is_not_started_to_be_ended() {
    let mut bench = Bench::registered();
    bench.event(exited(Child::BlockService, 1, ""));
    let fx = bench.event(stop("SIGTERM"));
    assert_eq!(
        fx,
        [
            info("stopping: SIGTERM"),
            bench.up(WorkerUp::Leaving { reason: "SIGTERM".into() }),
            Effect::CloseLink { link: LinkId(1) },
            Effect::Exit { code: 0 },
        ]
    );
    bench.nothing_ever();
}
