//! Slots.

use super::*;

#[test]
fn a_task_waits_for_what_it_needs_then_runs_and_frees_its_slot() {
    let mut b = Bench::registered();
    let launch = task(1, &[(4, 9)]);
    b.launch([launch.clone()]);
    b.expect([
        Effect::FetchPayload { hash: launch.payload },
        Effect::FetchMapStatuses { shuffle: ShuffleId(4), epoch: 9 },
    ]);
    b.event(Event::PayloadArrived { hash: launch.payload, answer: Ok(payload()) });
    b.expect([]);
    b.event(Event::MapStatusesArrived { shuffle: ShuffleId(4), answer: Ok(statuses(4, 9)) });
    b.expect([start(&launch, &[statuses(4, 9)]), started(&[1])]);
    b.event(succeeds(1));
    b.expect([news([(1, succeeded())])]);
    b.forget(&[4], &[]);
}

#[test]
fn a_batch_is_reported_as_a_batch() {
    let mut b = Bench::registered();
    let launches = [task(1, &[]), task(2, &[])];
    b.launch(launches.clone());
    b.expect([Effect::FetchPayload { hash: payload().hash() }]);
    b.event(Event::PayloadArrived { hash: payload().hash(), answer: Ok(payload()) });
    b.expect([start(&launches[0], &[]), start(&launches[1], &[]), started(&[1, 2])]);
    let failure = transient("bad luck");
    b.event(Event::TaskEnded { task: TaskId(2), result: Err(failure.clone()) });
    b.expect([news([(2, TaskNews::Failed(failure))])]);
    b.event(succeeds(1));
    b.expect([news([(1, succeeded())])]);
    b.forget(&[], &[]);
}

#[test]
fn a_surplus_is_refused_and_a_duplicate_ignored() {
    let mut b = Bench::registered();
    b.launch([task(1, &[]), task(1, &[]), task(2, &[]), task(3, &[])]);
    let refused = TaskNews::Failed(transient("no free slot: all 2 are taken"));
    b.expect([Effect::FetchPayload { hash: payload().hash() }, news([(3, refused)])]);
    b.event(Event::PayloadArrived { hash: payload().hash(), answer: Ok(payload()) });
    b.expect([start(&task(1, &[]), &[]), start(&task(2, &[]), &[]), started(&[1, 2])]);
    b.launch([task(2, &[])]);
    b.expect([]);
    for id in [1, 2] {
        b.event(succeeds(id));
        b.expect([news([(id, succeeded())])]);
    }
    // The slot is free again, and the payload is still here.
    b.launch([task(3, &[])]);
    b.expect([start(&task(3, &[]), &[]), started(&[3])]);
    b.event(succeeds(3));
    b.expect([news([(3, succeeded())])]);
    b.forget(&[], &[]);
}

#[test]
fn a_task_takes_as_many_slots_as_its_launch_says() {
    let mut b = Bench::registered();
    let wide = |id| TaskLaunch { slots: 2, ..task(id, &[]) };
    b.run(&wide(1));
    b.launch([task(2, &[])]);
    b.expect([news([(2, TaskNews::Failed(transient("no free slot: all 2 are taken")))])]);
    b.event(succeeds(1));
    b.expect([news([(1, succeeded())])]);
    b.launch([task(3, &[]), wide(4)]);
    let refused = TaskNews::Failed(transient("no 2 free slots: 1 of 2 are taken"));
    b.expect([start(&task(3, &[]), &[]), news([(4, refused), (3, TaskNews::Started)])]);
    b.event(succeeds(3));
    b.expect([news([(3, succeeded())])]);
    b.forget(&[], &[]);
}

#[test]
fn killing_a_waiting_task_is_done_at_once() {
    let mut b = Bench::registered();
    b.launch([task(1, &[])]);
    b.expect([Effect::FetchPayload { hash: payload().hash() }]);
    b.says(TaskDown::Kill { task: TaskId(1), reason: "another was faster".into() });
    b.expect([news([(1, killed("another was faster"))])]);
    // What it waited for still comes, and is kept for the next one.
    b.event(Event::PayloadArrived { hash: payload().hash(), answer: Ok(payload()) });
    b.expect([]);
    b.launch([task(2, &[])]);
    b.expect([start(&task(2, &[]), &[]), started(&[2])]);
    b.event(succeeds(2));
    b.expect([news([(2, succeeded())])]);
    b.forget(&[], &[]);
}

#[test]
fn killing_a_running_task_keeps_its_slot_until_it_has_ended() {
    let mut b = Bench::registered();
    b.run(&task(1, &[]));
    let kill = TaskDown::Kill { task: TaskId(1), reason: "cancelled".into() };
    b.says(kill.clone());
    b.expect([Effect::CancelTask { task: TaskId(1), reason: "cancelled".into() }]);
    b.says(kill);
    b.expect([]);
    b.launch([task(2, &[]), task(3, &[])]);
    let refused = TaskNews::Failed(transient("no free slot: all 2 are taken"));
    b.expect([start(&task(2, &[]), &[]), news([(3, refused), (2, TaskNews::Started)])]);
    b.event(Event::TaskEnded { task: TaskId(1), result: Err(TaskFailure::Killed("cancelled".into())) });
    b.expect([news([(1, killed("cancelled"))])]);
    b.event(succeeds(2));
    b.expect([news([(2, succeeded())])]);
    b.says(TaskDown::Kill { task: TaskId(2), reason: "too late".into() });
    b.expect([]);
    b.forget(&[], &[]);
}

#[test]
fn a_job_that_is_over_leaves_neither_tasks_nor_files() {
    let mut b = Bench::registered();
    b.run(&map_task(1, 4));
    b.launch([task(2, &[(4, 0)])]);
    b.expect([Effect::FetchMapStatuses { shuffle: ShuffleId(4), epoch: 0 }]);
    let payloads = vec![payload().hash()];
    b.says(TaskDown::Forget { payloads, shuffles: vec![ShuffleId(4)], results: vec![TaskId(9)] });
    b.expect([
        Effect::RemoveFiles { shuffles: vec![ShuffleId(4)], results: vec![TaskId(9)] },
        news([(2, killed("its job is over"))]),
    ]);
    // An answer that nobody waits for any more changes nothing.
    b.event(Event::MapStatusesArrived { shuffle: ShuffleId(4), answer: Ok(statuses(4, 0)) });
    b.expect([]);
    // The map task could not be stopped in time: what it has just written goes too.
    b.event(succeeds(1));
    b.expect([Effect::RemoveFiles { shuffles: vec![ShuffleId(4)], results: vec![] }, news([(1, succeeded())])]);
    b.machine.assert_empty();
}

#[test]
fn a_result_that_is_stored_after_its_job_is_removed() {
    let mut b = Bench::registered();
    b.run(&task(1, &[]));
    b.says(TaskDown::Forget { payloads: vec![payload().hash()], shuffles: vec![], results: vec![] });
    b.expect([]);
    b.event(Event::TaskEnded { task: TaskId(1), result: Err(TaskFailure::Killed("cancelled".into())) });
    b.expect([Effect::RemoveFiles { shuffles: vec![], results: vec![TaskId(1)] }, news([(1, killed("cancelled"))])]);
    b.machine.assert_empty();
}

#[test]
fn news_of_a_task_that_does_not_run_is_refused() {
    let mut b = Bench::registered();
    b.event(succeeds(5));
    b.expect([log(Level::Warn, "task 5 ended without having been started")]);
    b.launch([task(1, &[])]);
    b.expect([Effect::FetchPayload { hash: payload().hash() }]);
    b.event(succeeds(1));
    b.expect([log(Level::Warn, "task 1 ended without having been started")]);
    b.forget_waiting();
}

#[test]
fn large_results_travel_in_messages_of_bounded_size() {
    let mut b = Bench::registered();
    for id in [1, 2] {
        b.launch([task(id, &[])]);
        if id == 1 {
            b.expect([Effect::FetchPayload { hash: payload().hash() }]);
            b.event(Event::PayloadArrived { hash: payload().hash(), answer: Ok(payload()) });
        }
        b.expect([start(&task(id, &[]), &[]), started(&[id])]);
    }
    b.event(Event::LinkClosed { link: LinkId(1) });
    b.expect([log(Level::Warn, "the link to the driver is closed; opening another")]);
    let large = TaskOutput::Result(ResultBlock::Inline(vec![0; 3 << 20].into()));
    for id in [1, 2] {
        b.event(Event::TaskEnded { task: TaskId(id), result: Ok((large.clone(), TaskMetrics::default())) });
        b.expect([]);
    }
    b.pass(100);
    b.expect([Effect::Dial]);
    b.event(Event::LinkOpened { link: LinkId(2) });
    b.expect([registration(2, &[1, 2])]);
    b.event(Event::DriverSaid { link: LinkId(2), message: TaskDown::Registered });
    let done = || TaskNews::Succeeded(large.clone(), TaskMetrics::default());
    b.expect([log(Level::Info, "registered with the driver"), news_on(2, [(1, done())]), news_on(2, [(2, done())])]);
}

impl Bench {
    /// The end of the job of a task 1 that waits.
    fn forget_waiting(&mut self) {
        self.says(TaskDown::Forget { payloads: vec![payload().hash()], shuffles: vec![], results: vec![] });
        self.expect([news([(1, killed("its job is over"))])]);
        self.machine.assert_empty();
    }
}
