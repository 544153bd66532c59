//! The conversation with the master.

use super::{Cluster, grant, stage};
use crate::machine::{DriverOptions, Event};
use hearth_core::{
    ApplicationState, ExecutorId, ExecutorState, LinkId, Refusal,
    messages::application::{AppDown, AppUp},
};

fn options() -> DriverOptions {
    DriverOptions { master: Some("127.0.0.1:7077".into()), ..DriverOptions::default() }
}

fn taken(application: &str, term: u64) -> AppDown {
    AppDown::Registered { application: application.parse().unwrap(), term }
}

fn opened(link: u64) -> Event {
    Event::MasterLinkOpened { link: LinkId(link) }
}

/// A driver that is registered on link 0.
pub(super) fn registered(options: DriverOptions) -> Cluster {
    let mut c = Cluster::new(DriverOptions { master: Some("127.0.0.1:7077".into()), ..options });
    c.pass(0);
    c.send(opened(0));
    c.master_says(taken("app-1", 3));
    let register = format!("to master: {:?}", AppUp::Register(DriverOptions::default().spec));
    c.expect(&["dial", &register, "Info: registered with the master at 127.0.0.1:7077 as app-1"]);
    c
}

#[test]
fn a_driver_registers_at_its_start_and_says_that_it_lives() {
    let mut c = registered(options());
    c.pass(9_999);
    c.expect(&[]);
    c.pass(1);
    c.expect(&["to master: Heartbeat"]);
    c.pass(10_000);
    c.expect(&["to master: Heartbeat"]);
}

#[test]
fn without_a_master_jobs_fail_with_one_clear_error() {
    let mut c = Cluster::new(options());
    c.pass(0);
    c.submit(1, vec![stage(1, &[])]);
    let failed = |jitter| Event::MasterDialFailed { reason: "connection refused".into(), jitter };
    c.send(failed(1000));
    c.expect(&[
        "dial",
        "j1 s0.0: 0 run, 0 of 1",
        "Warn: no master at 127.0.0.1:7077: connection refused; trying again in 500 ms",
    ]);
    c.pass(500);
    c.send(failed(0));
    c.pass(500);
    c.expect(&["dial", "dial"]);
    c.send(failed(0));
    let error =
        "no master at 127.0.0.1:7077: connection refused (tried 3 times); is it running, and is the address right?";
    c.expect(&[&format!("Info: {error}"), "j1 s0.0: 0 run, 0 of 1 over", &format!("j1 failed: {error}")]);
    c.submit(2, vec![stage(1, &[])]);
    c.expect(&[&format!("j2 failed: {error}")]);
    c.pass(100_000);
    c.expect(&[]);
    c.driver.assert_empty();
}

#[test]
fn a_master_that_does_not_answer_is_not_waited_for() {
    let mut c = Cluster::new(options());
    c.pass(0);
    c.submit(1, vec![stage(1, &[])]);
    c.take();
    c.pass(9_999);
    c.expect(&[]);
    c.pass(1);
    let error =
        "no master at 127.0.0.1:7077: it has not answered yet (tried once); is it running, and is the address right?";
    c.expect(&[&format!("Info: {error}"), "j1 s0.0: 0 run, 0 of 1 over", &format!("j1 failed: {error}")]);
    c.send(opened(0));
    c.expect(&["close master link 0"]);
}

/// The try that is under way is one.
#[test]
fn tries_are_counted_when_they_begin() {
    let mut c = Cluster::new(options());
    c.pass(0);
    c.pass(5_000);
    c.send(Event::MasterDialFailed { reason: "no answer within 5 s".into(), jitter: 0 });
    c.pass(250);
    c.take();
    c.pass(4_750);
    c.expect(&["Info: no master at 127.0.0.1:7077: no answer within 5 s (tried twice); is it running, and is the address right?"]);
}

#[test]
fn a_refusal_is_final() {
    let mut c = Cluster::new(options());
    c.pass(0);
    c.send(opened(0));
    c.take();
    c.master_says(AppDown::Refused { refusal: Refusal::Standby, term: 1 });
    let error =
        "the master at 127.0.0.1:7077 refused the application: this master is in standby; ask the one that leads";
    c.expect(&[&format!("Info: {error}"), "close master link 0"]);
    c.submit(1, vec![stage(1, &[])]);
    c.expect(&[&format!("j1 failed: {error}")]);
}

/// Running jobs do not notice that the master is away.
#[test]
fn a_lost_master_is_found_again() {
    let mut c = registered(options());
    c.master_says(AppDown::ExecutorGranted(grant(4, 1)));
    c.join(4, 1);
    c.submit(1, vec![stage(2, &[])]);
    c.take();
    c.send(Event::MasterLinkClosed { link: LinkId(0), jitter: 0 });
    c.expect(&["Warn: no master at 127.0.0.1:7077: it closed the connection; trying again in 250 ms"]);
    for _ in 0..50 {
        c.pass(8_000);
        c.say(4, hearth_core::messages::task::TaskUp::Heartbeat);
        c.send(Event::MasterDialFailed { reason: "refused".into(), jitter: 1000 });
    }
    assert!(!c.take().iter().any(|line| line.starts_with("j1")));
    c.succeed(0);
    c.expect(&["j1 result 0", "x4 launch #1 s0.0p1", "j1 s0.0: 1 run, 1 of 2"]);
    c.pass(8_000);
    c.send(opened(5));
    let (executors, spec) = (vec![ExecutorId(4)], DriverOptions::default().spec);
    let message = AppUp::Reconnect { application: "app-1".parse().unwrap(), executors, spec };
    c.expect(&["dial", &format!("to master: {message:?}")]);
    // Late words of the old link count for nothing.
    c.master_says(AppDown::Ended { state: ApplicationState::Killed, reason: "old".into() });
    c.expect(&[]);
    c.send(Event::MasterSaid { link: LinkId(5), message: taken("app-1", 3) });
    c.expect(&["Info: registered with the master at 127.0.0.1:7077 as app-1"]);
}

#[test]
fn a_replaced_master_is_not_listened_to() {
    let mut c = registered(options());
    c.send(Event::MasterLinkClosed { link: LinkId(0), jitter: 0 });
    c.pass(250);
    c.send(opened(1));
    c.take();
    c.send(Event::MasterSaid { link: LinkId(1), message: taken("app-1", 2) });
    c.expect(&[
        "Warn: the master at 127.0.0.1:7077 has term 2, older than 3: it was replaced; not listening to it",
        "close master link 1",
    ]);
    c.pass(8_000);
    c.send(opened(2));
    c.take();
    c.send(Event::MasterSaid { link: LinkId(2), message: taken("app-9", 4) });
    c.expect(&[
        "Info: the application is FAILED: the master at 127.0.0.1:7077 knows it as app-9 and not as app-1 any more",
        "close master link 2",
    ]);
}

#[test]
fn the_master_may_end_the_application() {
    let mut c = registered(options());
    c.join(1, 1);
    c.submit(1, vec![stage(1, &[])]);
    c.take();
    c.master_says(AppDown::Ended { state: ApplicationState::Failed, reason: "10 executors failed in a row".into() });
    let error = "the application is FAILED: 10 executors failed in a row";
    c.expect(&[
        &format!("Info: {error}"),
        "close master link 0",
        &format!("x1 stop: {error}"),
        "x1 close",
        "j1 s0.0: 0 run, 0 of 1 over",
        &format!("j1 failed: {error}"),
    ]);
    c.driver.assert_empty();
}

#[test]
fn whoever_waits_for_the_first_executor_is_told_why_and_waits_on() {
    let mut c = registered(options());
    c.submit(1, vec![stage(1, &[])]);
    c.take();
    c.master_says(AppDown::Waiting { reason: "app-0 holds all cores".into() });
    c.expect(&["Warn: waiting for executors: app-0 holds all cores", "j1 waits: app-0 holds all cores"]);
    c.submit(2, vec![stage(1, &[])]);
    c.expect(&["j2 waits: app-0 holds all cores", "j2 s1.0: 0 run, 0 of 1"]);
    c.pass(3_600_000);
    c.expect(&["to master: Heartbeat"]);
    c.master_says(AppDown::ExecutorGranted(grant(1, 2)));
    c.join(1, 2);
    c.take();
    c.master_says(AppDown::Waiting { reason: "app-0 holds the rest".into() });
    c.expect(&[]);
}

#[test]
fn when_every_executor_is_gone_jobs_wait_a_grace_and_then_fail() {
    let mut c = registered(options());
    c.master_says(AppDown::ExecutorGranted(grant(1, 1)));
    c.join(1, 1);
    c.submit(1, vec![stage(1, &[])]);
    let lost = |executor| AppDown::ExecutorChanged {
        executor: ExecutorId(executor),
        state: ExecutorState::Lost,
        message: "gone".into(),
        exit_code: None,
    };
    c.master_says(lost(1));
    c.pass(9_999);
    c.take();
    // The master is still at it: no grace runs. A grant ends one that does.
    c.master_says(AppDown::Waiting { reason: "no workers".into() });
    c.expect(&["Warn: waiting for executors: no workers", "j1 waits: no workers"]);
    c.pass(29_000);
    c.master_says(AppDown::ExecutorGranted(grant(2, 1)));
    c.master_says(lost(2));
    c.take();
    c.master_says(AppDown::Waiting { reason: "no workers".into() });
    c.pass(29_999);
    assert!(!c.take().iter().any(|line| line.contains("failed")));
    c.pass(1);
    let lines = c.take();
    assert_eq!(
        lines.last().unwrap(),
        "j1 failed: the application has no executor, and there was none to be had for 30 s: no workers"
    );
    c.driver.assert_empty();
    // The application lives: with an executor, another job runs.
    c.master_says(AppDown::ExecutorGranted(grant(3, 1)));
    c.join(3, 1);
    c.submit(2, vec![stage(1, &[])]);
    c.expect(&["x3 launch #1 s1.0p0", "j2 s1.0: 1 run, 0 of 1"]);
}

#[test]
fn with_the_master_gone_too_the_grace_runs_as_well() {
    let mut c = registered(options());
    c.join(1, 1);
    c.submit(1, vec![stage(1, &[])]);
    c.say(1, hearth_core::messages::task::TaskUp::Leaving { reason: "told to".into() });
    c.send(Event::MasterLinkClosed { link: LinkId(0), jitter: 0 });
    c.take();
    c.pass(30_000);
    assert_eq!(
        c.take().last().unwrap(),
        "j1 failed: the application has no executor, and there was none to be had for 30 s: the master at \
         127.0.0.1:7077 cannot be reached: it closed the connection"
    );
    c.driver.assert_empty();
}

/// Whether the first executor ever came makes no difference once there is nobody to ask for one.
#[test]
fn a_master_that_goes_before_the_first_executor_ends_the_wait() {
    let mut c = registered(options());
    c.submit(1, vec![stage(1, &[])]);
    c.master_says(AppDown::Waiting { reason: "no workers".into() });
    c.pass(3_600_000);
    assert!(!c.take().iter().any(|line| line.contains("failed")));
    c.send(Event::MasterLinkClosed { link: LinkId(0), jitter: 0 });
    // It is back in time and says nothing, then goes for good.
    c.pass(29_999);
    c.send(opened(1));
    c.send(Event::MasterSaid { link: LinkId(1), message: taken("app-1", 3) });
    c.pass(60_000);
    assert!(!c.take().iter().any(|line| line.contains("failed")));
    c.send(Event::MasterLinkClosed { link: LinkId(1), jitter: 0 });
    for _ in 0..3 {
        c.pass(9_999);
        c.send(Event::MasterDialFailed { reason: "Connection refused".into(), jitter: 1000 });
    }
    assert!(!c.take().iter().any(|line| line.contains("failed")));
    c.pass(3);
    assert_eq!(
        c.take().last().unwrap(),
        "j1 failed: the application has no executor, and there was none to be had for 30 s: the master at \
         127.0.0.1:7077 cannot be reached: Connection refused"
    );
    c.driver.assert_empty();
}

#[test]
fn a_master_that_forgot_the_application_says_to_run_it_again() {
    let mut c = registered(options());
    c.join(1, 1);
    c.submit(1, vec![stage(1, &[])]);
    c.send(Event::MasterLinkClosed { link: LinkId(0), jitter: 0 });
    c.pass(250);
    c.send(opened(1));
    c.take();
    let refusal = Refusal::UnknownApplication("app-1".parse().unwrap());
    // One that was replaced knows nothing of it, of course.
    c.send(Event::MasterSaid { link: LinkId(1), message: AppDown::Refused { refusal: refusal.clone(), term: 2 } });
    c.expect(&[
        "Warn: the master at 127.0.0.1:7077 has term 2, older than 3: it was replaced; not listening to it",
        "close master link 1",
    ]);
    c.pass(8_000);
    c.send(opened(2));
    c.take();
    c.send(Event::MasterSaid { link: LinkId(2), message: AppDown::Refused { refusal, term: 4 } });
    let error = "the master at 127.0.0.1:7077 knows nothing of app-1: it was restarted, or gave the application up while \
                 it heard nothing from it; run it again";
    c.expect(&[
        &format!("Info: {error}"),
        "close master link 2",
        &format!("x1 stop: {error}"),
        "x1 close",
        "j1 s0.0: 0 run, 0 of 1 over",
        &format!("j1 failed: {error}"),
    ]);
    c.driver.assert_empty();
}

#[test]
fn stopping_says_goodbye() {
    let mut c = registered(options());
    c.join(1, 1);
    c.send(Event::StopAsked { state: ApplicationState::Finished, message: "done".into() });
    let goodbye = AppUp::Unregister { state: ApplicationState::Finished, message: "done".into() };
    c.expect(&["x1 stop: done", "x1 close", &format!("to master: {goodbye:?}"), "close master link 0", "stopped"]);
}
