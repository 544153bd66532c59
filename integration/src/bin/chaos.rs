//! Runs the table of faults many times and prints what was seen. See `scripts/chaos.sh`.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use clap::Parser;
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use hearth_integration::real::chaos::{Measured, Row, rows};
use std::{
    panic::catch_unwind,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Let faults happen to real processes, and see what becomes of their queries.
#[derive(Debug, Parser)]
struct Args {
    /// How often each row is run with its fault.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Only these rows, such as A1,A13.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// What was seen of one row.
struct Seen {
    row: Row,
    fault_free: Option<Duration>,
    runs: Vec<Measured>,
    failures: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if std::env::var_os("HEARTH_BIN").is_none() {
        println!("HEARTH_BIN does not say which binary is tried; run scripts/chaos.sh");
        return ExitCode::from(2);
    }
    let rows = match rows(&args.only) {
        Ok(rows) => rows,
        Err(problem) => {
            println!("{problem}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let mut all = Vec::new();
    for row in rows {
        println!("{}: {} (after {} s)", row.name, row.fault, begun.elapsed().as_secs());
        let mut seen = Seen { row, fault_free: None, runs: Vec::new(), failures: 0 };
        match tried(row, false) {
            Some(measured) => seen.fault_free = Some(measured.time),
            None => seen.failures += 1,
        }
        for _ in 0..args.repeat {
            match tried(row, true) {
                Some(measured) => seen.runs.push(measured),
                None => seen.failures += 1,
            }
        }
        all.push(seen);
    }
    println!("\n{}", table(&all, args.repeat));
    println!("\n{} rows in {} s", all.len(), begun.elapsed().as_secs());
    if all.iter().all(|seen| seen.failures == 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One run; nothing when a promise was broken, which the panic has told.
fn tried(row: Row, is_faulty: bool) -> Option<Measured> {
    catch_unwind(|| row.once(is_faulty)).ok()
}

fn table(all: &[Seen], repeat: usize) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let header = ["row", "fault", "fired", "right", "fault-free", "median", "slowest", "bound", "again / lost", "left"];
    table.set_header(header);
    for Seen { row, fault_free, runs, .. } in all {
        let mut times: Vec<_> = runs.iter().map(|run| run.time).collect();
        times.sort_unstable();
        let seconds = |time: Option<Duration>| time.map_or("-".into(), |time| format!("{:.1} s", time.as_secs_f64()));
        let fired: usize = runs.iter().map(|run| run.fired).sum();
        let again: usize = runs.iter().map(|run| run.run_again).sum();
        let lost: usize = runs.iter().map(|run| run.lost).sum();
        // A run that left anything is none that was right.
        let left = match runs.len() == repeat {
            _ if runs.iter().any(|run| run.is_skipped) => "skipped",
            true => "nothing",
            false => "see above",
        };
        table.add_row([
            row.name.to_owned(),
            row.fault.to_owned(),
            fired.to_string(),
            format!("{} of {repeat}", runs.len()),
            seconds(*fault_free),
            seconds(times.get(times.len() / 2).copied()),
            seconds(times.last().copied()),
            seconds(Some(row.bound)),
            if runs.is_empty() { "-".into() } else { format!("{again} / {lost}") },
            left.to_owned(),
        ]);
    }
    table
}
