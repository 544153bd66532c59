//! The planner, effect by effect, and under a seeded crowd of events.

use super::*;
use hearth_core::{
    Machine, Now,
    machine::{advance, step},
};

const T0: Now = Now(Duration::ZERO);
/// Not loopback: the long wait.
const FAR: &str = "node-1";

fn at(host: &str, port: u16) -> Address {
    Address { host: host.into(), port }
}

fn served(size: u64, port: u16) -> BlockWanted {
    BlockWanted { size, file: false, address: Some(at(FAR, port)) }
}

fn here(size: u64, port: Option<u16>) -> BlockWanted {
    BlockWanted { size, file: true, address: port.map(|port| at(FAR, port)) }
}

fn planner(max_in_flight: u64, wanted: Vec<BlockWanted>) -> Planner {
    let options = PlannerOptions { max_in_flight, max_blocks_per_request: 3, ..PlannerOptions::default() };
    Planner::new(options, wanted)
}

fn request(id: u64, port: u16, blocks: &[usize]) -> Effect {
    Effect::Request { request: RequestId(id), address: at(FAR, port), blocks: blocks.to_vec() }
}

fn files(id: u64, blocks: &[usize]) -> Effect {
    Effect::ReadFiles { request: RequestId(id), blocks: blocks.to_vec() }
}

fn arrived(id: u64, block: usize) -> Event {
    Event::Arrived { request: RequestId(id), block }
}

fn failure(kind: FailureKind) -> Failure {
    Failure { kind, message: "test".into() }
}

fn failed(id: u64, block: usize, kind: FailureKind) -> Event {
    Event::BlockFailed { request: RequestId(id), block, failure: failure(kind) }
}

fn ended(id: u64) -> Event {
    Event::RequestEnded { request: RequestId(id), failure: None }
}

fn broke(id: u64) -> Event {
    Event::RequestEnded { request: RequestId(id), failure: Some(failure(FailureKind::Unreachable)) }
}

fn deliver(block: usize) -> Effect {
    Effect::Deliver { block }
}

fn told(block: usize, kind: FailureKind, message: &str) -> Effect {
    Effect::Fail { block, failure: Failure { kind, message: message.into() } }
}

const NONE: [Effect; 0] = [];

#[test]
fn blocks_of_one_address_are_asked_for_together() {
    let mut p = planner(100, vec![served(5, 1), served(5, 2), served(5, 1), served(20, 1)]);
    // A fifth of 100 bytes is a request's share: block 3 does not fit beside 0 and 2.
    let fx = step(&mut p, T0, Event::Asked);
    assert_eq!(fx, [request(1, 1, &[0, 2]), request(2, 2, &[1]), request(3, 1, &[3])]);
    assert_eq!(step(&mut p, T0, arrived(1, 2)), NONE);
    assert_eq!(step(&mut p, T0, arrived(1, 0)), [deliver(0)]);
    assert_eq!(step(&mut p, T0, ended(1)), NONE);
    assert_eq!(step(&mut p, T0, arrived(2, 1)), NONE);
    assert_eq!(step(&mut p, T0, Event::Asked), [deliver(1)]);
    assert_eq!(step(&mut p, T0, Event::Asked), [deliver(2)]);
    assert_eq!(step(&mut p, T0, Event::Asked), NONE);
    assert_eq!(step(&mut p, T0, arrived(3, 3)), [deliver(3)]);
    assert_eq!(step(&mut p, T0, Event::Asked), [Effect::Finish]);
    // The end of a request comes late, and a consumer may ask again.
    assert_eq!(step(&mut p, T0, ended(3)), NONE);
    assert_eq!(step(&mut p, T0, Event::Asked), [Effect::Finish]);
    assert_eq!(p.deadline(), None);
}

#[test]
fn a_request_has_a_bounded_number_of_blocks_and_an_address_of_requests() {
    let mut p = planner(u64::MAX, vec![served(1, 1); 20]);
    let fx = step(&mut p, T0, Event::Asked);
    let expected: Vec<_> = (0..5).map(|i| request(i as u64 + 1, 1, &[3 * i, 3 * i + 1, 3 * i + 2])).collect();
    assert_eq!(fx, expected);
    for block in 0..3 {
        step(&mut p, T0, arrived(1, block));
    }
    assert_eq!(step(&mut p, T0, ended(1)), [request(6, 1, &[15, 16, 17])]);
}

#[test]
fn what_is_in_flight_is_bounded_and_asked_for_in_pieces_worth_it() {
    let mut p = planner(100, vec![served(10, 1); 14]);
    let fx = step(&mut p, T0, Event::Asked);
    let pairs: Vec<_> = (0..5).map(|i| request(i as u64 + 1, 1, &[2 * i, 2 * i + 1])).collect();
    assert_eq!(fx, pairs);
    assert_eq!(step(&mut p, T0, arrived(1, 0)), [deliver(0)]);
    assert_eq!(step(&mut p, T0, arrived(1, 1)), NONE);
    assert_eq!(step(&mut p, T0, ended(1)), NONE);
    // One block of room is not yet worth a request; two are.
    assert_eq!(step(&mut p, T0, Event::Asked), [deliver(1), request(6, 1, &[10, 11])]);
}

#[test]
fn a_block_larger_than_all_that_may_be_in_flight_goes_alone() {
    let mut p = planner(10, vec![served(1, 1), served(1000, 2), served(1, 3)]);
    assert_eq!(step(&mut p, T0, Event::Asked), [request(1, 1, &[0])]);
    assert_eq!(step(&mut p, T0, arrived(1, 0)), [deliver(0), request(2, 2, &[1])]);
    assert_eq!(step(&mut p, T0, arrived(2, 1)), NONE);
    assert_eq!(step(&mut p, T0, Event::Asked), [deliver(1), request(3, 3, &[2])]);
}

#[test]
fn empty_blocks_are_never_asked_for() {
    let mut p = planner(10, vec![served(0, 1), served(4, 1), served(0, 1)]);
    assert_eq!(step(&mut p, T0, Event::Asked), [deliver(0), request(1, 1, &[1])]);
    assert_eq!(step(&mut p, T0, arrived(1, 1)), NONE);
    assert_eq!(step(&mut p, T0, Event::Asked), [deliver(1)]);
    assert_eq!(step(&mut p, T0, Event::Asked), [deliver(2)]);
    assert_eq!(step(&mut p, T0, Event::Asked), [Effect::Finish]);
    assert_eq!(step(&mut planner(10, vec![]), T0, Event::Asked), [Effect::Finish]);
}

#[test]
fn a_broken_request_is_tried_again_for_what_it_lacks() {
    let wait = PlannerOptions::default().retry_wait;
    let mut p = planner(100, vec![served(5, 1), served(5, 1)]);
    assert_eq!(step(&mut p, T0, Event::Asked), [request(1, 1, &[0, 1])]);
    assert_eq!(step(&mut p, T0, arrived(1, 0)), [deliver(0)]);
    assert_eq!(step(&mut p, T0, broke(1)), NONE);
    assert_eq!(p.deadline(), Some(T0.after(wait)));
    // What still comes of the broken request is late.
    assert_eq!(step(&mut p, T0, arrived(1, 1)), NONE);
    assert_eq!(step(&mut p, T0, broke(1)), NONE);
    assert_eq!(step(&mut p, T0, Event::Asked), NONE);
    let mut now = T0;
    for id in 2..5 {
        now = now.after(wait);
        assert_eq!(advance(&mut p, now), [request(id, 1, &[1])]);
        if id < 4 {
            assert_eq!(step(&mut p, now, broke(id)), NONE);
        }
    }
    assert_eq!(step(&mut p, now, broke(4)), [told(1, FailureKind::Unreachable, "test (tried 4 times)")]);
    assert_eq!(step(&mut p, now, Event::Asked), [Effect::Finish]);
    assert_eq!(p.deadline(), None);
}

#[test]
fn an_answer_that_ends_early_is_a_broken_one() {
    let options = PlannerOptions { max_retries: 0, ..PlannerOptions::default() };
    let mut p = Planner::new(options, vec![served(5, 1)]);
    assert_eq!(step(&mut p, T0, Event::Asked), [request(1, 1, &[0])]);
    let message = "the answer ended before all its blocks had come (tried 1 times)";
    assert_eq!(step(&mut p, T0, ended(1)), [told(0, FailureKind::Unreachable, message)]);
}

#[test]
fn loopback_is_tried_again_sooner() {
    let wanted = BlockWanted { size: 1, file: false, address: Some(at("127.0.0.1", 1)) };
    let mut p = planner(100, vec![wanted]);
    step(&mut p, T0, Event::Asked);
    assert_eq!(step(&mut p, T0, broke(1)), NONE);
    assert_eq!(p.deadline(), Some(Now::from_millis(100)));
}

#[test]
fn damage_on_the_wire_is_fetched_again_once() {
    let mut p = planner(100, vec![served(5, 1), served(5, 1)]);
    assert_eq!(step(&mut p, T0, Event::Asked), [request(1, 1, &[0, 1])]);
    assert_eq!(step(&mut p, T0, failed(1, 0, FailureKind::CorruptOnWire)), [request(2, 1, &[0])]);
    assert_eq!(step(&mut p, T0, arrived(1, 1)), NONE);
    assert_eq!(step(&mut p, T0, ended(1)), NONE);
    let fx = step(&mut p, T0, failed(2, 0, FailureKind::CorruptOnWire));
    assert_eq!(fx, [told(0, FailureKind::CorruptOnWire, "test")]);
}

#[test]
fn what_the_server_says_of_its_disk_is_final() {
    for kind in [FailureKind::NotFound, FailureKind::CorruptOnDisk, FailureKind::Io] {
        let mut p = planner(100, vec![served(5, 1), served(5, 2)]);
        assert_eq!(step(&mut p, T0, Event::Asked), [request(1, 1, &[0]), request(2, 2, &[1])]);
        assert_eq!(step(&mut p, T0, arrived(1, 0)), [deliver(0)]);
        // The consumer hears of it when it asks; until then nothing else is done.
        assert_eq!(step(&mut p, T0, failed(2, 1, kind)), NONE);
        assert_eq!(step(&mut p, T0, ended(2)), NONE);
        assert_eq!(step(&mut p, T0, Event::Asked), [told(1, kind, "test")]);
        assert_eq!(step(&mut p, T0, Event::Asked), [Effect::Finish]);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_asked_for() {
    for kind in [FailureKind::NotFound, FailureKind::Io] {
        let mut p = planner(100, vec![here(5, Some(1)), here(5, None), served(5, 1)]);
        assert_eq!(step(&mut p, T0, Event::Asked), [files(1, &[0, 1]), request(2, 1, &[2])]);
        assert_eq!(step(&mut p, T0, failed(1, 0, kind)), [request(3, 1, &[0])]);
        assert_eq!(step(&mut p, T0, arrived(1, 1)), NONE);
        assert_eq!(step(&mut p, T0, ended(1)), NONE);
        assert_eq!(step(&mut p, T0, arrived(3, 0)), [deliver(0)]);
    }
    let mut p = planner(100, vec![here(5, None)]);
    assert_eq!(step(&mut p, T0, Event::Asked), [files(1, &[0])]);
    let fx = step(&mut p, T0, failed(1, 0, FailureKind::NotFound));
    assert_eq!(fx, [told(0, FailureKind::NotFound, "test")]);
}

#[test]
fn a_corrupt_file_is_not_asked_for_elsewhere() {
    let mut p = planner(100, vec![here(5, Some(1))]);
    assert_eq!(step(&mut p, T0, Event::Asked), [files(1, &[0])]);
    let fx = step(&mut p, T0, failed(1, 0, FailureKind::CorruptOnDisk));
    assert_eq!(fx, [told(0, FailureKind::CorruptOnDisk, "test")]);
}

#[test]
fn a_block_that_nobody_has_fails_at_once() {
    let mut p = planner(100, vec![served(1, 1), BlockWanted { size: 5, file: false, address: None }]);
    let message = "its file is not on this machine and nobody serves it";
    assert_eq!(step(&mut p, T0, Event::Asked), [deliver_or(1, message)]);
}

fn deliver_or(block: usize, message: &str) -> Effect {
    told(block, FailureKind::Unreachable, message)
}

#[test]
fn late_and_foreign_news_change_nothing() {
    let mut p = planner(100, vec![served(5, 1), served(5, 2)]);
    assert_eq!(step(&mut p, T0, Event::Asked), [request(1, 1, &[0]), request(2, 2, &[1])]);
    for event in [
        arrived(1, 1),
        arrived(7, 0),
        arrived(1, usize::MAX),
        failed(2, 0, FailureKind::NotFound),
        failed(9, 0, FailureKind::NotFound),
        ended(3),
        broke(0),
    ] {
        assert_eq!(step(&mut p, T0, event), NONE);
    }
    assert_eq!(step(&mut p, T0, arrived(1, 0)), [deliver(0)]);
    assert_eq!(step(&mut p, T0, arrived(1, 0)), NONE);
}

/// SplitMix64: enough chance for a test, and the same on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Plays a world that answers in any order, breaks requests and damages blocks; returns whether the fetch succeeded.
fn play(seed: u64) -> bool {
    let mut chance = Chance(seed);
    let blocks = chance.below(60);
    let size = |c: &mut Chance| if c.below(4) == 0 { 0 } else { c.below(40) };
    let wanted: Vec<_> = (0..blocks)
        .map(|_| {
            let port = 1 + u16::try_from(chance.below(4)).unwrap();
            BlockWanted { size: size(&mut chance), file: chance.below(3) == 0, address: Some(at(FAR, port)) }
        })
        .collect();
    let total = wanted.len();
    let mut p = planner(1 + chance.below(100), wanted);
    let mut now = T0;
    // What is under way, as the shell would know it.
    let mut open: Vec<(RequestId, Vec<usize>)> = Vec::new();
    let mut delivered = 0;
    let mut fx = step(&mut p, now, Event::Asked);
    // Each block costs a handful of steps, and each request at most four tries.
    for _ in 0..20_000 {
        for effect in fx.drain(..) {
            match effect {
                Effect::ReadFiles { request, blocks } | Effect::Request { request, blocks, .. } => {
                    open.push((request, blocks));
                }
                Effect::Deliver { block } => {
                    assert_eq!(block, delivered, "seed {seed}: blocks come in order");
                    delivered += 1;
                }
                Effect::Fail { .. } => return false,
                Effect::Finish => {
                    assert_eq!(delivered, total, "seed {seed}");
                    return true;
                }
            }
        }
        let event = match chance.below(10) {
            0 | 1 => Event::Asked,
            _ if open.is_empty() => {
                now = p.deadline().unwrap_or(now);
                fx = advance(&mut p, now);
                if !fx.is_empty() {
                    continue;
                }
                Event::Asked
            }
            pick => {
                let i = usize::try_from(chance.below(open.len() as u64)).unwrap();
                let (request, missing) = &mut open[i];
                let request = *request;
                match missing.pop() {
                    None => {
                        open.swap_remove(i);
                        ended(request.0)
                    }
                    Some(_) if pick == 9 && chance.below(8) == 0 => {
                        open.swap_remove(i);
                        broke(request.0)
                    }
                    Some(block) if pick == 8 && chance.below(8) == 0 => {
                        failed(request.0, block, FailureKind::CorruptOnWire)
                    }
                    Some(block) => arrived(request.0, block),
                }
            }
        };
        fx = step(&mut p, now, event);
    }
    panic!("seed {seed}: the fetch does not end; {delivered} of {total} delivered: {p:?}");
}

#[test]
fn every_fetch_ends_in_order_within_its_bounds() {
    let succeeded = (0..2000).filter(|seed| play(*seed)).count();
    // Both ends are reached, or this test shows nothing.
    assert!((1000..2000).contains(&succeeded), "{succeeded} of 2000 succeeded");
}
