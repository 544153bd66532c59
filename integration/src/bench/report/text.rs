//! Tables for people.

use super::Report;
use crate::memory::Share;
use std::fmt::Write;

/// What a run measured.
pub(crate) fn times(report: &Report<'_>) -> String {
    let mut text = heading(report);
    text.push_str(&table(&query_rows(report)));
    text.push('\n');
    for line in comparisons(report) {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "\nhighest resident memory: each process's own (VmHWM), summed");
    let rows = report.engines.iter().map(|engine| {
        let shares = engine.peak.shares().iter().map(share).collect::<Vec<_>>().join(", ");
        vec![engine.kind.name(), format!("{} MiB", engine.peak.mib()), shares]
    });
    text.push_str(&table(&rows.collect::<Vec<_>>()));
    text.push('\n');
    text.push_str(&rows_compared(report));
    text.push_str(&problems(report));
    text
}

/// Whose rows are right.
pub(crate) fn check(report: &Report<'_>) -> String {
    let mut text = format!("TPC-H at scale {}\n\n", report.terms.scale);
    text.push_str(&rows_compared(report));
    let queries = report.measured.len();
    let right: usize = report.hearths().map(|place| right(report, place)).sum();
    let _ = writeln!(text, "\nHearth: {right} of {} right", queries * report.hearths().count());
    text.push_str(&problems(report));
    text
}

/// Where the time of one query went.
pub(crate) fn profile(report: &Report<'_>) -> String {
    let mut text = String::new();
    for query in report.measured {
        let _ = writeln!(text, "q{:02} at scale {}, second run", query.query, report.terms.scale);
        for (outcome, engine) in query.outcomes.iter().zip(report.engines) {
            let _ = writeln!(text, "\n{}\n{}", engine.kind.name(), outcome.detail.as_deref().unwrap_or("  failed\n"));
        }
    }
    text.push_str(&problems(report));
    text
}

fn heading(report: &Report<'_>) -> String {
    let (terms, machine) = (&report.terms, report.machine);
    let mut text = format!("TPC-H at scale {}: medians of {}, in ms\n", terms.scale, terms.counted_runs());
    let _ = writeln!(
        text,
        "{} cores each, {} MiB an executor, on {} cores of {}, {} MiB; load before the run {:.2}{}",
        terms.cores,
        terms.executor_memory_mib,
        machine.cores,
        machine.processor,
        machine.memory_mib,
        machine.load,
        if machine.is_busy() { " (BUSY: a trial)" } else { "" },
    );
    if terms.warm > 0 {
        let passes = if terms.warm == 1 { "pass" } else { "passes" };
        let _ = writeln!(text, "after {} untimed {passes} over all queries", terms.warm);
    }
    let conf: Vec<_> = terms.shown_conf().map(|(key, value)| format!("{key}={value}")).collect();
    if !conf.is_empty() {
        let _ = writeln!(text, "Hearth with {}", conf.join(", "));
    }
    if cfg!(debug_assertions) {
        let _ = writeln!(text, "A DEBUG BUILD: these times say nothing about Hearth or DataFusion");
    }
    let versions = report.engines.iter().map(|engine| format!("{} {}", engine.kind.name(), engine.version));
    let _ = writeln!(text, "{}\n", versions.collect::<Vec<_>>().join(", "));
    text
}

/// A line a query: the first engine's time, and each other's with its ratio to that.
fn query_rows(report: &Report<'_>) -> Vec<Vec<String>> {
    let mut header = vec!["query".to_owned()];
    for (place, engine) in report.engines.iter().enumerate() {
        header.push(engine.kind.name());
        header.extend((place > 0).then(|| "ratio".to_owned()));
    }
    let mut rows = vec![header];
    for query in report.measured {
        let mut row = vec![format!("q{:02}", query.query)];
        let base = query.outcomes[0].median();
        for (place, outcome) in query.outcomes.iter().enumerate() {
            row.push(match (outcome.median(), &outcome.failure) {
                (Some(seconds), _) => format!("{:.0}", seconds * 1e3),
                (None, Some(_)) => "failed".to_owned(),
                (None, None) => "WRONG".to_owned(),
            });
            let ratio = outcome.median().zip(base).map_or(String::new(), |(one, base)| format!("{:.2}", one / base));
            row.extend((place > 0).then_some(ratio));
        }
        rows.push(row);
    }
    rows
}

/// Totals side by side: Hearth over plain DataFusion and over its other build, the others over Hearth; with the query that is the worst for Hearth.
fn comparisons(report: &Report<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let name = |place: usize| report.engines[place].kind.name();
    for hearth in report.hearths() {
        for other in 0..report.engines.len() {
            let (first, second) = match other {
                0 => (hearth, 0),
                other if report.engines[other].kind.is_before(&report.engines[hearth].kind) => (hearth, other),
                other if !report.engines[other].kind.is_hearth() => (other, hearth),
                _ => continue,
            };
            lines.push(match report.pair(first, second) {
                None => format!("{} over {}: no query that both did", name(first), name(second)),
                Some(pair) => {
                    let (word, (query, ratio)) = match first == hearth {
                        true => ("most", pair.most),
                        false => ("least", pair.least),
                    };
                    format!(
                        "{} over {}: {:.3} s / {:.3} s = {:.2} in {} queries, at {word} {ratio:.2} (q{query:02})",
                        name(first),
                        name(second),
                        pair.first,
                        pair.second,
                        pair.ratio(),
                        pair.queries,
                    )
                }
            });
        }
    }
    lines
}

fn share(share: &Share) -> String {
    match share.count {
        1 => format!("{} {}", share.kind, share.mib),
        count => format!("{count} × {} {}", share.kind, share.mib),
    }
}

/// Queries that an engine answered rightly, in each of its runs that was compared.
fn right(report: &Report<'_>, place: usize) -> usize {
    let good = |outcome: &&crate::measure::Outcome| outcome.is_good() && outcome.right > 0;
    report.measured.iter().map(|query| &query.outcomes[place]).filter(good).count()
}

fn rows_compared(report: &Report<'_>) -> String {
    let mut text = "rows, compared with those of plain DataFusion, and of DuckDB where it takes part\n".to_owned();
    let lines = report.engines.iter().enumerate().map(|(place, engine)| {
        let outcomes = || report.measured.iter().map(|query| &query.outcomes[place]);
        let outputs: usize = outcomes().map(|outcome| outcome.right).sum();
        let open: usize = outcomes().map(|outcome| outcome.open).sum();
        let queries = format!("{} of {} queries right", right(report, place), report.measured.len());
        let open = if open == 0 { String::new() } else { format!(", {open} rows open at a limit") };
        vec![engine.kind.name(), queries, format!("{outputs} outputs compared{open}")]
    });
    text.push_str(&table(&lines.collect::<Vec<_>>()));
    text
}

/// What failed or was wrong, one by one.
fn problems(report: &Report<'_>) -> String {
    let mut text = String::new();
    for query in report.measured {
        for (outcome, engine) in query.outcomes.iter().zip(report.engines) {
            for (word, why) in [("failed", &outcome.failure), ("WRONG", &outcome.wrong)] {
                if let Some(why) = why {
                    let _ = writeln!(text, "\n{} {word} on q{:02}: {why}", engine.kind.name(), query.query);
                }
            }
        }
    }
    for peer in report.skipped {
        let _ = writeln!(text, "\n{peer} was left out: it could not be installed or started");
    }
    text
}

/// Columns side by side: the first to the left, numbers to the right.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &'_ Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| cell(row, column)).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            let is_number = cell.starts_with(|c: char| c.is_ascii_digit()) || rows[0].len() > 3;
            if column == 0 || !is_number { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}
