//! Runs seeds of the simulated cluster on all cores, and tells what they did; `scripts/sim.sh` builds it.

use hearth_integration::sim::{Cluster, Kind, Options, Outcome, campaign};
use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

const USAGE: &str = "usage: sim [--seeds N] [--seed S] [--threads T] [--log]
  --seeds N     how many seeds to run (1)
  --seed S      the first of them (0)
  --threads T   threads (one a core)
  --log         print the log of each run; for one seed";
/// Violations that are told one by one; a bug that breaks every seed needs no more.
const SHOWN: usize = 10;
/// Lines of the log that a violation is told with.
const TAIL: usize = 20;

struct Args {
    seeds: u64,
    first: u64,
    threads: u64,
    log: bool,
}

fn parse(args: impl Iterator<Item = String>) -> Result<Args, String> {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let mut parsed = Args { seeds: 1, first: 0, threads: cores, log: false };
    let mut args = args;
    while let Some(flag) = args.next() {
        let target = match flag.as_str() {
            "--seeds" => &mut parsed.seeds,
            "--seed" => &mut parsed.first,
            "--threads" => &mut parsed.threads,
            "--log" => {
                parsed.log = true;
                continue;
            }
            _ => return Err(format!("{flag:?} is no flag\n{USAGE}")),
        };
        let value = args.next().ok_or_else(|| format!("{flag} needs a number\n{USAGE}"))?;
        *target = value.parse().map_err(|_| format!("{flag} {value:?} is not a number\n{USAGE}"))?;
    }
    if parsed.seeds == 0 || parsed.threads == 0 {
        return Err(format!("there must be at least one seed and one thread\n{USAGE}"));
    }
    Ok(parsed)
}

/// What all threads found.
#[derive(Default)]
struct Found {
    sum: Outcome,
    violations: Vec<(u64, String)>,
}

fn run(args: &Args) -> Found {
    let next = AtomicU64::new(args.first);
    let found = Mutex::new(Found::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= args.first + args.seeds {
                return;
            }
            let result = campaign::run(Options::of_seed(seed));
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(outcome) => found.sum.add(&outcome),
                Err(violation) => found.violations.push((seed, violation)),
            }
        }
    };
    thread::scope(|scope| (0..args.threads).for_each(|_| drop(scope.spawn(work))));
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.violations.sort();
    found
}

/// What was found, for people.
fn report(args: &Args, found: &Found, seconds: f64) -> String {
    let Found { sum, violations } = found;
    let mut text = String::new();
    let rate = args.seeds as f64 / seconds;
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "{what:<28} {value}");
    };
    line("seeds", args.seeds.to_string());
    line("seconds", format!("{seconds:.1}"));
    line("seeds a second", format!("{rate:.1} on {} threads, {:.1} each", args.threads, rate / args.threads as f64));
    line("steps", sum.steps.to_string());
    line("tasks", format!("{}, of which {} failed by chance", sum.tasks, sum.failed));
    line("failed fetches", sum.fetches_failed.to_string());
    line("roll-backs, copies", format!("{}, {}", sum.rollbacks, sum.copies));
    line("stored results lost", sum.results_lost.to_string());
    line("executors", sum.executors.to_string());
    line("jobs run again", format!("{}, each for a reason that its faults justify", sum.failures));
    line("jobs that had to fail", format!("{}; they crashed {} executors", sum.poisoned, sum.crashes));
    line("longest end after faults", format!("{:.1} s", sum.ended_after.as_secs_f64()));
    line("faults fired", sum.faults().to_string());
    for (kind, count) in Kind::ALL.iter().zip(sum.fired) {
        line(&format!("  {kind:?}"), count.to_string());
    }
    line("violations", violations.len().to_string());
    text
}

/// One violation, with the end of the log that led to it.
fn tell(seed: u64, violation: &str) -> String {
    let (_, log) = Cluster::replay(Options::of_seed(seed));
    let tail = campaign::tail(&log, TAIL);
    format!("{tail}\nseed {seed}: {violation}\nreplay with: ./scripts/sim.sh --seed {seed} --log\n")
}

fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(problem) => {
            let _ = writeln!(io::stderr(), "{problem}");
            return ExitCode::from(2);
        }
    };
    let mut out = io::stdout().lock();
    if args.log {
        for seed in args.first..args.first + args.seeds {
            let (_, log) = Cluster::replay(Options::of_seed(seed));
            let _ = writeln!(out, "{}", log.join("\n"));
        }
    }
    let start = Instant::now();
    let found = run(&args);
    for (seed, violation) in found.violations.iter().take(SHOWN) {
        let _ = writeln!(out, "{}", tell(*seed, violation));
    }
    let _ = write!(out, "{}", report(&args, &found, start.elapsed().as_secs_f64()));
    ExitCode::from(u8::from(!found.violations.is_empty()))
}
