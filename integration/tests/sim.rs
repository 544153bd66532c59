//! The simulated cluster: many seeds under faults, and proof that its checkers can fail.

use hearth_integration::sim::{Cluster, Kind, Options, Outcome, Sabotage, campaign};

/// Seeds of an ordinary run; `./scripts/sim.sh` runs thousands.
const SEEDS: u64 = 256;

#[test]
fn every_seed_ends_right() {
    let mut sum = Outcome::default();
    for seed in 0..SEEDS {
        match campaign::run(Options::of_seed(seed)) {
            Ok(outcome) => sum.add(&outcome),
            Err(violation) => {
                let (_, log) = Cluster::replay(Options::of_seed(seed));
                let tail = campaign::tail(&log, 60);
                panic!("{tail}\nseed {seed}: {violation}\nreplay with: ./scripts/sim.sh --seed {seed} --log");
            }
        }
    }
    println!("{sum:?}");
    assert!(sum.fired.iter().all(|count| *count > 0), "a kind of fault never fired: {:?}", sum.fired);
    assert!(sum.tasks > 210 * SEEDS && sum.fetches_failed > SEEDS, "too little happened: {sum:?}");
    // That a fault was there is not yet that it did something.
    let effects =
        [sum.stuck, sum.spawns_failed, sum.slowed, sum.answers_lost, sum.results_lost, sum.rollbacks, sum.copies];
    assert!(effects.iter().all(|count| *count > 0), "a fault had no effect: {sum:?}");
    assert!(sum.failures < 3 * SEEDS, "users run too many jobs again: {sum:?}");
}

/// Of these, one alone costs no job anything but time.
const HARMLESS: [Kind; 12] = [
    Kind::KillExecutor,
    Kind::KillWorker,
    Kind::KillBlockService,
    Kind::LoseDisk,
    Kind::DamageOutput,
    Kind::StopWorker,
    Kind::KillDriver,
    Kind::Cut,
    Kind::Slow,
    Kind::ClockJump,
    Kind::SpawnFails,
    Kind::Deaf,
];

/// Nothing runs again because of these.
const WITHOUT_LOSS: [Kind; 2] = [Kind::Slow, Kind::ClockJump];

#[test]
fn one_fault_fails_no_job() {
    for kind in HARMLESS {
        let mut fired = 0;
        for seed in 0..16 {
            let options = Options::strict(seed, kind);
            let tasks = options.tasks();
            let outcome = campaign::run(options).unwrap_or_else(|said| panic!("{kind:?}, seed {seed}: {said}"));
            fired += outcome.faults();
            if WITHOUT_LOSS.contains(&kind) {
                // A copy may be ended before it starts.
                let ran = tasks..=tasks + outcome.copies;
                assert!(ran.contains(&outcome.tasks), "{kind:?}, seed {seed}: {} tasks of {ran:?}", outcome.tasks);
            }
        }
        assert!(fired >= 10, "{kind:?} hardly ever struck");
    }
}

#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in 0..10 {
        let first = Cluster::replay(Options::of_seed(seed));
        assert_eq!(first, Cluster::replay(Options::of_seed(seed)), "seed {seed}");
        let hash = first.0.map(|outcome| outcome.log_hash);
        let unlogged = campaign::run(Options::of_seed(seed)).map(|outcome| outcome.log_hash);
        assert_eq!(hash, unlogged, "seed {seed} runs differently when its log is kept");
    }
}

/// What the first seed says that finds a sabotage.
fn found(sabotage: Sabotage) -> String {
    let run = |seed| campaign::run(Options { sabotage: Some(sabotage), ..Options::of_seed(seed) }).err();
    (0..50).find_map(run).expect("no seed found it")
}

#[test]
fn cores_counted_twice_are_found() {
    let said = found(Sabotage::CoresCountedTwice);
    assert!(said.contains("cores oversubscribed"), "{said}");
}

#[test]
fn slots_counted_twice_are_found() {
    let said = found(Sabotage::SlotsCountedTwice);
    assert!(said.contains("cores oversubscribed"), "{said}");
}

#[test]
fn lost_statuses_are_found() {
    let said = found(Sabotage::StatusesLost);
    assert!(said.contains("still open"), "{said}");
}
