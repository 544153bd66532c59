//! The simulation can fail: each deliberate bug is found, with the machines' own checks and from outside alone.
#![cfg(debug_assertions)]

use hearth_core::Mutant;
use hearth_integration::sim::{Options, campaign};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Seeds in which a bug must be found.
const SEEDS: u64 = 2000;
/// What harms nobody who looks from outside: an executor that is given no more work.
const HARMLESS: [Mutant; 1] = [Mutant::DuplicateRegistration];
/// Threads that look for bugs, each for one at a time.
const THREADS: usize = 4;

/// The first seed that finds a bug, and what it says.
fn found(mutant: Mutant, checked: bool) -> Option<(u64, String)> {
    let run = |seed| campaign::run(Options { checked, ..Options::of_seed(seed) });
    let found = mutant.during(|| (0..SEEDS).find_map(|seed| Some((seed, run(seed).err()?))));
    if let Some((seed, said)) = &found {
        run(*seed).unwrap_or_else(|also| panic!("seed {seed} fails without {mutant:?} too ({said}): {also}"));
    }
    found
}

#[test]
fn each_deliberate_bug_is_found() {
    let both = Mutant::ALL.iter().flat_map(|mutant| [(*mutant, true), (*mutant, false)]);
    let hunts: Vec<(Mutant, bool)> = both.filter(|(mutant, checked)| *checked || !HARMLESS.contains(mutant)).collect();
    let next = AtomicUsize::new(0);
    let hunt = || {
        let mut missed = Vec::new();
        while let Some((mutant, checked)) = hunts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = found(*mutant, *checked);
            let how = if *checked { "own checks and outside" } else { "outside" };
            let told = match &found {
                Some((seed, said)) => format!("seed {seed:>4}: {}", said.lines().next().unwrap_or_default()),
                None => "not found".into(),
            };
            println!("{:<22} {how:<22} {:.200}", format!("{mutant:?}"), told);
            missed.extend(found.is_none().then_some((*mutant, how)));
        }
        missed
    };
    let missed: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(hunt)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a hunt does not panic")).collect()
    });
    assert!(missed.is_empty(), "not found: {missed:?}");
}
