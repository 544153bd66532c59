//! Payloads and map statuses.

use super::*;
use hearth_core::Refusal;

fn arrives(shuffle: u32, epoch: u64) -> Event {
    Event::MapStatusesArrived { shuffle: ShuffleId(shuffle), answer: Ok(statuses(shuffle, epoch)) }
}

fn asks(shuffle: u32, epoch: u64) -> Effect {
    Effect::FetchMapStatuses { shuffle: ShuffleId(shuffle), epoch }
}

/// Runs a task that needs nothing new, to its end.
fn runs_at_once(b: &mut Bench, launch: &TaskLaunch, inputs: &[MapStatuses]) {
    b.launch([launch.clone()]);
    b.expect([start(launch, inputs), started(&[launch.task.0])]);
    b.event(succeeds(launch.task.0));
    b.expect([news([(launch.task.0, succeeded())])]);
}

#[test]
fn statuses_serve_all_tasks_that_do_not_ask_for_newer_ones() {
    let mut b = Bench::registered();
    b.launch([task(1, &[(4, 5)])]);
    b.expect([Effect::FetchPayload { hash: payload().hash() }, asks(4, 5)]);
    b.event(arrives(4, 6));
    b.expect([]);
    b.event(Event::PayloadArrived { hash: payload().hash(), answer: Ok(payload()) });
    b.expect([start(&task(1, &[(4, 5)]), &[statuses(4, 6)]), started(&[1])]);
    b.event(succeeds(1));
    b.expect([news([(1, succeeded())])]);
    runs_at_once(&mut b, &task(2, &[(4, 6)]), &[statuses(4, 6)]);
    runs_at_once(&mut b, &task(3, &[(4, 0)]), &[statuses(4, 6)]);
    // A loss has happened since.
    let newer = task(4, &[(4, 7)]);
    b.launch([newer.clone()]);
    b.expect([asks(4, 7)]);
    b.event(arrives(4, 8));
    b.expect([start(&newer, &[statuses(4, 8)]), started(&[4])]);
    b.event(succeeds(4));
    b.expect([news([(4, succeeded())])]);
    b.forget(&[4], &[]);
}

#[test]
fn an_answer_that_is_new_enough_for_some_is_asked_for_again_for_the_others() {
    let mut b = Bench::registered();
    b.launch([task(1, &[(4, 5)]), task(2, &[(4, 6)])]);
    b.expect([Effect::FetchPayload { hash: payload().hash() }, asks(4, 5)]);
    b.event(Event::PayloadArrived { hash: payload().hash(), answer: Ok(payload()) });
    b.expect([]);
    b.event(arrives(4, 5));
    b.expect([asks(4, 6), start(&task(1, &[(4, 5)]), &[statuses(4, 5)]), started(&[1])]);
    b.event(arrives(4, 6));
    b.expect([start(&task(2, &[(4, 6)]), &[statuses(4, 6)]), started(&[2])]);
    for id in [1, 2] {
        b.event(succeeds(id));
        b.expect([news([(id, succeeded())])]);
    }
    b.forget(&[4], &[]);
}

#[test]
fn outputs_that_are_gone_are_nobodys_failure() {
    let mut b = Bench::registered();
    b.launch([task(1, &[(4, 5)]), task(2, &[(4, 6)])]);
    b.expect([Effect::FetchPayload { hash: payload().hash() }, asks(4, 5)]);
    let gone = || Err(Refusal::Gone("shuffle 4 (1 of its 3 outputs)".into()));
    b.event(Event::MapStatusesArrived { shuffle: ShuffleId(4), answer: gone() });
    let why = "the map outputs of shuffle 4 are being recomputed: shuffle 4 (1 of its 3 outputs) is gone";
    b.expect([asks(4, 6), news([(1, killed(why))])]);
    b.event(Event::MapStatusesArrived { shuffle: ShuffleId(4), answer: gone() });
    b.expect([news([(2, killed(why))])]);
    b.forget(&[4], &[]);
}

#[test]
fn what_the_driver_does_not_give_fails_the_tasks_that_wait_for_it() {
    let mut b = Bench::registered();
    b.launch([task(1, &[(4, 5)]), task(2, &[(5, 5)])]);
    b.expect([Effect::FetchPayload { hash: payload().hash() }, asks(4, 5), asks(5, 5)]);
    let full = Refusal::Full { what: "questions".into(), limit: 3 };
    b.event(Event::MapStatusesArrived { shuffle: ShuffleId(4), answer: Err(full.clone()) });
    let why = format!("the driver does not give the outputs of shuffle 4: {full}");
    b.expect([news([(1, TaskNews::Failed(transient(&why)))])]);
    b.event(Event::PayloadArrived { hash: payload().hash(), answer: Err(Refusal::Gone("it".into())) });
    let why = format!("the driver does not give payload {}: it is gone", payload().hash());
    b.expect([news([(2, TaskNews::Failed(transient(&why)))])]);
    // The question for shuffle 5 is still open; its answer is kept until the job is over.
    b.event(arrives(5, 5));
    b.expect([]);
    b.forget(&[4, 5], &[]);
}

#[test]
fn an_answer_to_another_question_is_not_taken() {
    let mut b = Bench::registered();
    b.launch([task(1, &[])]);
    b.expect([Effect::FetchPayload { hash: payload().hash() }]);
    let other = Payload::new(&b"something else"[..]);
    b.event(Event::PayloadArrived { hash: payload().hash(), answer: Ok(other.clone()) });
    let why = format!("the driver answered with payload {} where {} was asked for", other.hash(), payload().hash());
    b.expect([news([(1, TaskNews::Failed(transient(&why)))])]);
    b.launch([task(2, &[(4, 5)])]);
    b.expect([Effect::FetchPayload { hash: payload().hash() }, asks(4, 5)]);
    b.event(Event::MapStatusesArrived { shuffle: ShuffleId(4), answer: Ok(statuses(4, 4)) });
    let why = "the driver answered with the outputs of shuffle 4 as of epoch 4 where those of shuffle 4 as of epoch 5 \
               were asked for";
    b.expect([news([(2, TaskNews::Failed(transient(why)))])]);
    // Nobody asked for these.
    b.event(arrives(9, 1));
    b.expect([]);
    b.event(Event::PayloadArrived { hash: other.hash(), answer: Ok(other) });
    b.expect([]);
    b.forget(&[4], &[]);
}

#[test]
fn payloads_are_kept_within_a_bound_and_those_in_use_beyond_it() {
    let of = |n: u8| Payload::new(vec![n; 60]);
    let with = |id, n| TaskLaunch { payload: of(n).hash(), ..task(id, &[]) };
    let starts = |id, n| Effect::StartTask { launch: with(id, n), payload: of(n), inputs: vec![] };
    let mut b = Bench::with(ExecutorOptions { payload_cache_bytes: 100, ..ExecutorOptions::default() });
    b.register(1, &[]);
    for n in [1, 2] {
        b.launch([with(n, n as u8)]);
        b.expect([Effect::FetchPayload { hash: of(n as u8).hash() }]);
        b.event(Event::PayloadArrived { hash: of(n as u8).hash(), answer: Ok(of(n as u8)) });
        b.expect([starts(n, n as u8), started(&[n])]);
    }
    // Both are in use and kept. Once one is not, the bound holds again.
    b.event(succeeds(1));
    b.expect([news([(1, succeeded())])]);
    b.launch([with(3, 2)]);
    b.expect([starts(3, 2), started(&[3])]);
    b.event(succeeds(3));
    b.expect([news([(3, succeeded())])]);
    b.launch([with(4, 1)]);
    b.expect([Effect::FetchPayload { hash: of(1).hash() }]);
    b.says(TaskDown::Kill { task: TaskId(4), reason: "enough".into() });
    b.expect([news([(4, killed("enough"))])]);
    b.event(succeeds(2));
    b.expect([news([(2, succeeded())])]);
    b.says(TaskDown::Forget { payloads: vec![of(1).hash(), of(2).hash()], shuffles: vec![], results: vec![] });
    b.expect([]);
    b.machine.assert_empty();
}
