//! One file through one engine.

use super::{Db, FileReport, Letter, Problem, Reason, Scratch, Start};
use futures::FutureExt;
use sqllogictest::{
    Normalizer, Record, RecordOutput, Runner, TestError, TestErrorKind, default_validator, parse_file,
    strict_column_validator,
};
use std::{panic::AssertUnwindSafe, path::Path, time::Duration};

/// What is asked of an error that a file expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Errors {
    /// That there is one.
    #[default]
    Any,
    /// That it has the words of the file.
    Compare,
}

/// How files are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What runs the records.
    pub start: Start,
    /// What is asked of errors.
    pub errors: Errors,
    /// Whether records that begin with EXPLAIN run.
    pub explain: bool,
    /// How long one statement may take.
    pub patience: Duration,
    /// Where each file finds an empty folder, as DataFusion's files that write do.
    pub scratch: Option<Scratch>,
}

/// Runs a file's records in order, in a new session, whatever fails.
pub async fn run_file(path: &Path, options: &Options) -> FileReport {
    let mut report = FileReport { name: path.display().to_string(), ..FileReport::default() };
    let unreadable = |text: String| Problem { place: path.display().to_string(), reason: Reason::Unreadable, text };
    if let Err(error) = options.scratch.as_ref().map_or(Ok(()), |scratch| scratch.empty(path)) {
        report.problems.push(unreadable(format!("no folder to write to: {error}")));
        return report;
    }
    let records = match parse_file::<Letter>(path) {
        Ok(records) => records,
        Err(error) => {
            report.problems.push(unreadable(error.to_string()));
            return report;
        }
    };
    let mut runner = Runner::new(|| Db::start(options.start.clone(), options.patience));
    runner.add_label("Datafusion");
    runner.with_column_validator(strict_column_validator);
    runner.with_normalizer(trimmed);
    runner.with_validator(validate);
    for record in records {
        if matches!(record, Record::Halt { .. }) {
            break;
        }
        let Some((place, is_explain)) = about(&record) else {
            // Settings of the runner: they give nothing, and fail only if the file is wrong.
            if let Err(error) = runner.run_async(record).await {
                report.problems.push(unreadable(error.to_string()));
            }
            continue;
        };
        if is_explain && !options.explain {
            report.skipped += 1;
            continue;
        }
        match AssertUnwindSafe(runner.run_async(record)).catch_unwind().await {
            Ok(Ok(RecordOutput::Nothing)) => report.skipped += 1,
            Ok(Ok(_)) => report.passed += 1,
            Ok(Err(error)) => count(&mut report, place, is_explain, &error, options.errors),
            Err(_) => {
                report.problems.push(Problem { place, reason: Reason::Panic, text: "the engine panicked".into() })
            }
        }
    }
    runner.shutdown_async().await;
    report
}

/// Where a record stands, if it runs anything, and whether it explains.
fn about(record: &Record<Letter>) -> Option<(String, bool)> {
    let (loc, sql) = match record {
        Record::Statement { loc, sql, .. } | Record::Query { loc, sql, .. } => (loc, sql.as_str()),
        Record::System { loc, command, .. } => (loc, command.as_str()),
        _ => return None,
    };
    let first = sql.split_whitespace().next().unwrap_or_default();
    Some((format!("{}:{}", loc.file(), loc.line()), first.eq_ignore_ascii_case("explain")))
}

fn count(report: &mut FileReport, place: String, is_explain: bool, error: &TestError, errors: Errors) {
    let reason = match error.kind() {
        TestErrorKind::ErrorMismatch { .. } if errors == Errors::Any => {
            report.passed += 1;
            report.other_words += 1;
            return;
        }
        TestErrorKind::ErrorMismatch { .. } => Reason::OtherError,
        TestErrorKind::ParseError(_) => Reason::Unreadable,
        TestErrorKind::Ok { .. } => Reason::NoError,
        TestErrorKind::Fail { .. } => Reason::Error,
        TestErrorKind::QueryResultMismatch { .. } if is_explain => Reason::Plan,
        TestErrorKind::QueryResultMismatch { .. } => Reason::Rows,
        TestErrorKind::QueryResultColumnsMismatch { .. } => Reason::Types,
        _ => Reason::Other,
    };
    report.problems.push(Problem { place, reason, text: error.to_string() });
}

/// Files lose white space at the ends of lines.
#[expect(clippy::ptr_arg, reason = "the crate's type of such functions")]
fn trimmed(text: &String) -> String {
    text.trim_end().to_owned()
}

/// Row by row, each as one line; whatever stands where the file has `<slt:ignore>` is fine.
fn validate(normalizer: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    if expected.iter().any(|line| line.contains("<slt:ignore>")) {
        return default_validator(normalizer, actual, expected);
    }
    let lines = actual.iter().map(|row| normalizer(&row.join(" ")));
    lines.eq(expected.iter().map(normalizer))
}
