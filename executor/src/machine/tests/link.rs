//! The link to the driver.

use super::*;
use hearth_core::{Machine, Refusal};

const CLOSED: &str = "the link to the driver is closed; opening another";

fn heartbeat() -> Effect {
    Effect::ToDriver { link: LinkId(1), message: TaskUp::Heartbeat }
}

fn gone() -> Effect {
    let reason = "the driver has said nothing for 20 s (hearth.executor.driverTimeout)".into();
    Effect::Exit { code: EXIT_WITHOUT_DRIVER, reason }
}

fn closes(b: &mut Bench, link: u64) {
    b.event(Event::LinkClosed { link: LinkId(link) });
    b.expect([log(Level::Warn, CLOSED)]);
}

#[test]
fn heartbeats_go_out_while_the_driver_is_there() {
    let mut b = Bench::new();
    b.event(Event::LinkOpened { link: LinkId(1) });
    b.expect([registration(1, &[])]);
    b.pass(10_000);
    b.expect([]);
    b.says(TaskDown::Registered);
    b.expect([log(Level::Info, "registered with the driver")]);
    // A fifth of the time that it waits for the driver, which is less than the interval that was set.
    for _ in 0..10 {
        b.pass(3_999);
        b.expect([]);
        b.pass(1);
        b.expect([heartbeat()]);
        b.says(TaskDown::Heartbeat);
    }
    b.says(TaskDown::Registered);
    b.expect([]);
    b.machine.assert_empty();
}

#[test]
fn a_driver_that_cannot_be_reached_is_tried_ever_more_slowly_and_not_for_ever() {
    let mut b = Bench::new();
    let mut waited = 0;
    for pause in [100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000] {
        b.event(Event::DialFailed { reason: "connection refused".into() });
        b.expect([log(Level::Warn, "cannot reach the driver: connection refused")]);
        b.pass(pause - 1);
        b.expect([]);
        b.pass(1);
        b.expect([Effect::Dial]);
        waited += pause;
    }
    b.pass(20_000 - waited);
    b.expect([gone()]);
    assert_eq!(b.machine.deadline(), None);
    b.event(Event::DialFailed { reason: "late".into() });
    b.event(Event::LinkOpened { link: LinkId(1) });
    b.event(Event::StopAsked { reason: "late".into() });
    b.expect([]);
}

#[test]
fn news_is_kept_while_there_is_no_link_and_told_after_the_registration() {
    let mut b = Bench::registered();
    b.run(&task(1, &[]));
    b.launch([task(2, &[(4, 0)])]);
    b.expect([Effect::FetchMapStatuses { shuffle: ShuffleId(4), epoch: 0 }]);
    closes(&mut b, 1);
    // Everything goes on.
    b.event(Event::MapStatusesArrived { shuffle: ShuffleId(4), answer: Ok(statuses(4, 0)) });
    b.expect([start(&task(2, &[(4, 0)]), &[statuses(4, 0)])]);
    b.event(succeeds(1));
    b.expect([]);
    b.pass(100);
    b.expect([Effect::Dial]);
    b.event(Event::LinkOpened { link: LinkId(2) });
    // Neither is lost: one runs, and the news of the other is to come.
    b.expect([registration(2, &[1, 2])]);
    b.event(succeeds(2));
    b.expect([]);
    b.event(Event::DriverSaid { link: LinkId(2), message: TaskDown::Registered });
    // That it started says nothing any more.
    b.expect([log(Level::Info, "registered with the driver"), news_on(2, [(1, succeeded()), (2, succeeded())])]);
    // Nothing old is said twice, and the old link is dead.
    b.says(TaskDown::Stop { reason: "on the old link".into() });
    b.event(Event::LinkClosed { link: LinkId(1) });
    b.expect([]);
    b.pass(4_000);
    b.expect([Effect::ToDriver { link: LinkId(2), message: TaskUp::Heartbeat }]);
}

#[test]
fn a_link_that_is_lost_again_and_again_does_not_put_off_the_end() {
    let mut b = Bench::registered();
    closes(&mut b, 1);
    let mut link = 1;
    for pause in [100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000] {
        b.pass(pause);
        b.expect([Effect::Dial]);
        link += 1;
        b.event(Event::LinkOpened { link: LinkId(link) });
        b.expect([registration(link, &[])]);
        closes(&mut b, link);
    }
    b.pass(900);
    b.expect([gone()]);
}

/// It may be gone, and its link stay open.
#[test]
fn a_driver_that_says_nothing_is_left_though_its_link_is_open() {
    let mut b = Bench::registered();
    b.pass(4_000);
    b.expect([heartbeat()]);
    b.says(TaskDown::Heartbeat);
    for _ in 0..4 {
        b.pass(4_000);
        b.expect([heartbeat()]);
    }
    b.pass(3_999);
    b.expect([]);
    b.pass(1);
    b.expect([gone()]);
}

/// What the driver said while it was stopped is still to be read.
#[test]
fn an_executor_that_was_stopped_itself_listens_once_more() {
    let mut b = Bench::registered();
    b.pass(60_000);
    b.expect([heartbeat()]);
    b.says(TaskDown::Heartbeat);
    b.pass(4_000);
    b.expect([heartbeat()]);
    b.pass(60_000);
    b.expect([heartbeat()]);
    b.pass(4_000);
    b.expect([gone()]);
}

#[test]
fn a_registration_starts_the_time_and_the_pauses_anew() {
    let mut b = Bench::registered();
    for link in 2..20 {
        closes(&mut b, link - 1);
        b.pass(100);
        b.expect([Effect::Dial]);
        b.register(link, &[]);
        b.pass(3_000);
        b.expect([]);
    }
}

#[test]
fn a_driver_that_does_not_answer_the_registration_is_left() {
    let mut b = Bench::new();
    b.event(Event::LinkOpened { link: LinkId(1) });
    b.expect([registration(1, &[])]);
    b.launch([task(1, &[])]);
    b.expect([log(Level::Warn, "the driver gave orders before it answered the registration; they are dropped")]);
    b.pass(19_999);
    b.expect([]);
    b.pass(1);
    b.expect([gone()]);
}

#[test]
fn a_refusal_ends_it() {
    let mut b = Bench::new();
    b.event(Event::LinkOpened { link: LinkId(1) });
    b.expect([registration(1, &[])]);
    b.says(TaskDown::Refused(Refusal::UnknownExecutor(ExecutorId(7))));
    let reason = "the driver refused the registration: executor 7 is not known to this driver, or was given up";
    b.expect([Effect::Exit { code: 1, reason: reason.into() }]);
}

#[test]
fn stop_cancels_what_runs_and_waits_for_nothing() {
    let mut b = Bench::registered();
    b.run(&task(1, &[]));
    b.launch([task(2, &[(4, 0)])]);
    b.expect([Effect::FetchMapStatuses { shuffle: ShuffleId(4), epoch: 0 }]);
    b.says(TaskDown::Stop { reason: "the application is over".into() });
    let reason = "the driver said stop: the application is over".to_owned();
    b.expect([Effect::CancelTask { task: TaskId(1), reason: reason.clone() }, Effect::Exit { code: 0, reason }]);
    b.event(Event::TaskEnded { task: TaskId(1), result: Err(TaskFailure::Killed("late".into())) });
    b.event(Event::MapStatusesArrived { shuffle: ShuffleId(4), answer: Ok(statuses(4, 0)) });
    b.expect([]);
    b.machine.assert_empty();
}

#[test]
fn an_executor_that_is_told_to_end_says_goodbye() {
    let mut b = Bench::registered();
    b.run(&task(1, &[]));
    b.event(Event::StopAsked { reason: "SIGTERM".into() });
    let reason = || "SIGTERM".to_owned();
    b.expect([
        Effect::ToDriver { link: LinkId(1), message: TaskUp::Leaving { reason: reason() } },
        Effect::CancelTask { task: TaskId(1), reason: reason() },
        Effect::Exit { code: 0, reason: reason() },
    ]);
    let mut alone = Bench::new();
    alone.event(Event::StopAsked { reason: reason() });
    alone.expect([Effect::Exit { code: 0, reason: reason() }]);
}
