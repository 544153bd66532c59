//! Any events in any order: `check` runs after each, and the effects keep their promises.

use super::*;
use hearth_core::{Machine, Refusal};
use std::collections::BTreeMap;

/// A small generator of numbers (xorshift64), so that a seed names a run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn any_event(chance: &mut Chance, running: &BTreeMap<TaskId, u32>, link: u64) -> Event {
    let id = chance.below(6);
    let shuffle = u32::try_from(chance.below(3)).unwrap();
    let epoch = chance.below(4);
    let gone = || Refusal::Gone("it".into());
    // Often of the link that is open, sometimes of an old one.
    let link = LinkId(link.saturating_sub(chance.below(5) / 4));
    let message = match chance.below(8) {
        0..=3 => {
            let slots = 1 + u32::try_from(chance.below(4) / 3).unwrap();
            TaskDown::Launch(vec![TaskLaunch { slots, ..task(id, &[(shuffle, epoch)]) }, map_task(id + 1, shuffle)])
        }
        4 => TaskDown::Kill { task: TaskId(id), reason: "chance".into() },
        5 => TaskDown::Forget { payloads: vec![payload().hash()], shuffles: vec![ShuffleId(shuffle)], results: vec![] },
        _ => TaskDown::Registered,
    };
    match chance.below(12) {
        0 => Event::LinkOpened { link },
        1 => Event::DialFailed { reason: "chance".into() },
        2 if chance.below(3) == 0 => Event::LinkClosed { link },
        3 | 4 => {
            let answer = if chance.below(4) == 0 { Err(gone()) } else { Ok(payload()) };
            Event::PayloadArrived { hash: payload().hash(), answer }
        }
        5 | 6 => {
            let answer = if chance.below(4) == 0 { Err(gone()) } else { Ok(statuses(shuffle, epoch)) };
            Event::MapStatusesArrived { shuffle: ShuffleId(shuffle), answer }
        }
        7 | 8 => match running.keys().nth(usize::try_from(chance.below(2)).unwrap()) {
            Some(task) => succeeds(task.0),
            None => succeeds(99),
        },
        _ => Event::DriverSaid { link, message },
    }
}

/// Returns how many tasks ran.
fn run(seed: u64) -> usize {
    let mut chance = Chance(seed);
    let mut b = Bench::new();
    let (mut running, mut ran) = (BTreeMap::new(), 0);
    let mut link = 1;
    for _ in 0..400 {
        let event = any_event(&mut chance, &running, link);
        if let Event::TaskEnded { task, .. } = &event {
            running.remove(task);
        }
        link += u64::from(matches!(event, Event::LinkClosed { .. }));
        b.event(event);
        let mut fx = std::mem::take(&mut b.fx);
        b.pass(chance.below(300));
        fx.append(&mut b.fx);
        for effect in fx {
            match effect {
                Effect::StartTask { launch, inputs, payload } => {
                    assert_eq!(payload.hash(), launch.payload);
                    for (input, statuses) in launch.inputs.iter().zip(&inputs) {
                        assert!(statuses.shuffle == input.shuffle && statuses.epoch >= input.epoch, "seed {seed}");
                    }
                    let twice = running.insert(launch.task, launch.slots);
                    assert_eq!(twice, None, "seed {seed}: {:?} runs already", launch.task);
                    ran += 1;
                    assert!(running.values().sum::<u32>() <= 2, "seed {seed}: {running:?} in 2 slots");
                }
                Effect::CancelTask { task, .. } => assert!(running.contains_key(&task), "seed {seed}: {task:?}"),
                Effect::Exit { .. } => {
                    assert_eq!(b.machine.deadline(), None);
                    return ran;
                }
                _ => {}
            }
        }
    }
    ran
}

#[test]
fn slots_and_links_survive_any_order_of_events() {
    let ran: usize = (1..=300).map(run).sum();
    assert!(ran > 1000, "only {ran} tasks ran: this tests less than it should");
}
