//! The simulated cluster: many seeds, and proof that its checkers can fail.

use hearth_core::Resources;
use hearth_integration::sim::{Application, Chance, Cluster, Options, Sabotage, two_stages};
use std::{panic, time::Duration};

/// Seeds of an ordinary run; `HEARTH_SIM_SEED=N` replays one of them.
const SEEDS: u64 = 200;

/// A small cluster that the seed shapes: 1 to 4 workers, 1 to 3 applications of 1 to 3 jobs, a quick or slow network.
fn options(seed: u64) -> Options {
    let mut chance = Chance::new(seed ^ 0xfeed);
    let mut number = |low, high| u32::try_from(chance.between(low, high)).unwrap();
    let workers = (0..number(1, 4)).map(|_| Resources::new(number(1, 8), 4096)).collect();
    let applications = (0..number(1, 3))
        .map(|place| Application {
            starts: Duration::from_millis(u64::from(number(0, 3000))),
            cores_per_executor: [None, Some(1), Some(1)][number(0, 2) as usize],
            max_cores: [None, Some(number(1, 6))][number(0, 1) as usize],
            memory_mib: 1024,
            jobs: (0..number(1, 3))
                .map(|j| two_stages(&format!("{place}-{j}"), number(1, 20), number(1, 10)))
                .collect(),
        })
        .collect();
    Options {
        seed,
        workers,
        applications,
        slowest_millis: [1, 20, 200][number(0, 2) as usize],
        fail_once_in: [0, 0, 12][number(0, 2) as usize],
        bound: Duration::from_secs(600),
        sabotage: None,
    }
}

#[test]
fn every_seed_ends_right() {
    let seeds = match std::env::var("HEARTH_SIM_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("HEARTH_SIM_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..SEEDS,
    };
    let (mut tasks, mut failed) = (0, 0);
    for seed in seeds.clone() {
        let outcome = panic::catch_unwind(|| Cluster::run(options(seed))).unwrap_or_else(|cause| {
            eprintln!("replay with: HEARTH_SIM_SEED={seed} cargo test -p hearth-integration --test sim every_seed");
            panic::resume_unwind(cause)
        });
        tasks += outcome.tasks;
        failed += outcome.failed;
    }
    if seeds.end - seeds.start == SEEDS {
        assert!(tasks > 1000 && failed > 10, "too little happened: {tasks} tasks, {failed} failures");
    }
}

#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in 0..10 {
        assert_eq!(Cluster::run(options(seed)), Cluster::run(options(seed)), "seed {seed}");
    }
}

/// The first of some seeds that finds a sabotage, and what it says.
fn found(sabotage: Sabotage) -> Option<String> {
    (0..50).find_map(|seed| {
        let options = Options { sabotage: Some(sabotage), bound: Duration::from_secs(120), ..options(seed) };
        let cause = panic::catch_unwind(|| Cluster::run(options)).err()?;
        Some(cause.downcast_ref::<String>().cloned().unwrap_or_default())
    })
}

#[test]
fn cores_counted_twice_are_found() {
    let said = found(Sabotage::CoresCountedTwice).expect("no seed found it");
    assert!(said.contains("cores oversubscribed"), "{said}");
}

#[test]
fn slots_counted_twice_are_found() {
    let said = found(Sabotage::SlotsCountedTwice).expect("no seed found it");
    assert!(said.contains("cores oversubscribed"), "{said}");
}

#[test]
fn lost_statuses_are_found() {
    let said = found(Sabotage::StatusesLost).expect("no seed found it");
    assert!(said.contains("still open"), "{said}");
}
