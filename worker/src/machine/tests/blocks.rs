//! The block service.

use super::*;

fn died(bench: &mut Bench) -> Vec<Effect> {
    bench.event(exited(Child::BlockService, 137, ""))
}

fn back_in(delay: &str) -> [Effect; 1] {
    [error(&format!("the block service is gone (Caught fatal signal 9); it is started again on port 7078 in {delay}"))]
}

#[test]
fn it_comes_back_on_the_same_port_and_the_worker_stays_registered() {
    let mut bench = Bench::registered();
    assert_eq!(died(&mut bench), back_in("100ms"));
    assert_eq!(bench.pass_to_deadline(Duration::from_millis(100)), [Effect::SpawnBlockService { port: 7078 }]);
    let fx = bench.event(started(Child::BlockService, 7078));
    assert_eq!(fx, [info("the block service listens on port 7078")]);
    bench.nothing_left();
}

#[test]
fn delays_double_until_it_has_settled() {
    let mut bench = Bench::registered();
    let respawn = |bench: &mut Bench, delay| {
        assert_eq!(bench.pass_to_deadline(Duration::from_millis(delay)), [Effect::SpawnBlockService { port: 7078 }]);
    };
    assert_eq!(died(&mut bench), back_in("100ms"));
    respawn(&mut bench, 100);
    bench.event(started(Child::BlockService, 7078));
    assert_eq!(died(&mut bench), back_in("200ms"));
    respawn(&mut bench, 200);
    let fx = bench.event(Event::SpawnFailed { child: Child::BlockService, message: "no memory".into() });
    assert_eq!(fx, [error("the block service is gone (no memory); it is started again on port 7078 in 400ms")]);
    respawn(&mut bench, 400);
    bench.event(started(Child::BlockService, 7078));
    bench.pass(30 * SECOND);
    assert_eq!(died(&mut bench), back_in("100ms"));
    respawn(&mut bench, 100);
    bench.nothing_left();
}

#[test]
fn the_worker_gives_up_on_one_that_only_dies_and_takes_its_executors_down_first() {
    let mut bench = Bench::running();
    bench.close(); // So that no heartbeats mix in.
    for n in 1..=10 {
        let fx = died(&mut bench);
        assert_eq!(fx.len(), 1, "death {n}: {fx:?}");
        bench.worker.check();
        let fx = bench.pass(10 * SECOND);
        assert!(fx.contains(&Effect::SpawnBlockService { port: 7078 }), "death {n}: {fx:?}");
    }
    let text = "the block service died 11 times in a row; the last time: Caught fatal signal 9";
    assert_eq!(died(&mut bench), [error(&format!("{text}; giving up")), kill(child(0), false)]);
    let fx = bench.event(exited(child(0), 143, ""));
    let last = [info(&format!("executor app-1/0 is KILLED: the worker stops: {text}")), Effect::Exit { code: 1 }];
    assert_eq!(fx, last);
    bench.nothing_ever();
}

#[test]
fn a_first_start_that_fails_is_not_tried_again() {
    let mut bench = Bench::born_on(7078);
    let fx = bench.event(Event::SpawnFailed { child: Child::BlockService, message: "address in use".into() });
    assert_eq!(
        fx,
        [
            error(
                "the block service cannot be started on port 7078: address in use; if another process has the port, \
                 choose another with --port; giving up"
            ),
            Effect::Exit { code: 1 },
        ]
    );
    bench.nothing_ever();
}

#[test]
fn one_that_comes_back_elsewhere_is_of_no_use() {
    let mut bench = Bench::registered();
    died(&mut bench);
    bench.pass(Duration::from_millis(100));
    let text = "the block service came back on port 7079 instead of 7078";
    assert_eq!(
        bench.event(started(Child::BlockService, 7079)),
        [
            error(&format!("{text}; giving up")),
            bench.up(WorkerUp::Leaving { reason: text.into() }),
            kill(Child::BlockService, false),
        ]
    );
    assert_eq!(
        bench.event(exited(Child::BlockService, 0, "")),
        [Effect::CloseLink { link: LinkId(1) }, Effect::Exit { code: 1 }]
    );
    bench.nothing_ever();
}
