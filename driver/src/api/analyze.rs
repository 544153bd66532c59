//! `EXPLAIN ANALYZE`: what the stages of a query did.
//!
//! The query has run; its rows were dropped by the tasks that made them. What is told of each stage:
//!
//! ```text
//! stage 0: scan orders -> partial aggregate (4 tasks, writes 4 blocks a task by Hash([o_custkey@0], 4))
//!   tasks   4 of 4 done, 5 attempts (1 lost with executor), from 0.004 s to 0.210 s
//!   time    median 102 ms, largest 190 ms, skew 1.9; all tasks 490 ms, of which 0 ms waiting for blocks
//!   rows    15,000 in, 20 out; a task's median 3,700 in, largest 4,000, skew 1.1
//!   bytes   scanned 1.2 MiB, shuffled in 0 B, out 3.1 KiB, spilled 0 B; peak memory of a task 1.0 MiB
//! ```

use crate::{machine::Spread, shell::StageProgress};
use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringArray},
        datatypes::SchemaRef,
        error::ArrowError,
    },
    logical_expr::LogicalPlan,
};
use hearth_core::messages::task::OperatorMetrics;
use hearth_plan::stages::StageText;
use std::{
    fmt::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

/// What is to be told of a query when it is over.
#[derive(Debug)]
pub(super) struct Analysis {
    texts: Vec<StageText>,
    /// Of each operator, too.
    verbose: bool,
    begun: Instant,
}

impl Analysis {
    pub(super) fn new(texts: Vec<StageText>, verbose: bool) -> Self {
        Self { texts, verbose, begun: Instant::now() }
    }

    /// The columns of the report, as every EXPLAIN has them.
    pub(super) fn schema() -> SchemaRef {
        LogicalPlan::explain_schema()
    }

    /// The report, as the one row of a result.
    pub(super) fn report(&self, stages: &[StageProgress]) -> Result<RecordBatch, ArrowError> {
        let columns: [&str; 2] = ["stages", &self.text(stages)];
        let columns = columns.map(|text| Arc::new(StringArray::from(vec![text])) as ArrayRef);
        RecordBatch::try_new(Self::schema(), columns.to_vec())
    }

    fn text(&self, stages: &[StageProgress]) -> String {
        let mut text =
            format!("{} in {:.3} s\n", count(stages.len() as u64, "stage"), self.begun.elapsed().as_secs_f64());
        for (place, plan) in self.texts.iter().enumerate().rev() {
            // Writing into a string does not fail.
            let _ = writeln!(text, "\n{}", plan.title);
            match stages.iter().find(|stage| stage.place as usize == place) {
                Some(stage) => {
                    let _ = self.stage(&mut text, stage);
                    if self.verbose {
                        let _ = operators(&mut text, plan, &stage.metrics.total.operators);
                    }
                }
                None => text.push_str("  did not run\n"),
            }
        }
        text
    }

    fn stage(&self, text: &mut String, stage: &StageProgress) -> fmt::Result {
        let StageProgress { tasks, done, metrics, begun, elapsed, .. } = stage;
        let total = &metrics.total;
        let from = begun.saturating_duration_since(self.begun);
        write!(text, "  tasks   {done} of {tasks} done, {}", count(metrics.attempts, "attempt"))?;
        if metrics.failures.total() > 0 {
            write!(text, " ({})", metrics.failures)?;
        }
        writeln!(text, ", from {} to {}", Seconds(from), Seconds(from + *elapsed))?;
        let Spread { median, max, .. } = metrics.run_millis;
        write!(text, "  time    median {} ms, largest {} ms", grouped(median), grouped(max))?;
        write!(text, "{}", Skew(metrics.run_millis))?;
        writeln!(
            text,
            "; all tasks {} ms, of which {} ms waiting for blocks",
            grouped(total.run_millis),
            grouped(total.fetch_millis)
        )?;
        write!(text, "  rows    {} in, {} out", grouped(total.rows_read), grouped(total.rows))?;
        let Spread { median, max, .. } = metrics.rows_read;
        writeln!(
            text,
            "; a task's median {} in, largest {}{}",
            grouped(median),
            grouped(max),
            Skew(metrics.rows_read)
        )?;
        write!(text, "  bytes   scanned {}, shuffled in {}", Bytes(total.bytes_scanned), Bytes(total.bytes_read))?;
        write!(text, ", out {}, spilled {}", Bytes(total.bytes_written), Bytes(total.bytes_spilled))?;
        writeln!(text, "; peak memory of a task {}", Bytes(total.peak_memory))
    }
}

/// The stage's operators, each with what it did.
fn operators(text: &mut String, plan: &StageText, all: &[OperatorMetrics]) -> fmt::Result {
    writeln!(text, "  {:>15}  {:>12}  operator", "rows", "compute")?;
    for (place, line) in (0_u32..).zip(plan.plan.lines()) {
        match all.iter().find(|operator| operator.place == place) {
            Some(OperatorMetrics { rows, compute_micros, .. }) => {
                let millis = format!("{}.{} ms", grouped(compute_micros / 1000), compute_micros % 1000 / 100);
                writeln!(text, "  {:>15}  {millis:>12}  {line}", grouped(*rows))?;
            }
            // In no task's plan: beyond those that are counted one by one.
            None => writeln!(text, "  {:>15}  {:>12}  {line}", "", "")?,
        }
    }
    Ok(())
}

fn count(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with a comma before every three digits from the right.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.0.as_secs_f64())
    }
}

/// `, skew 1.9`, where that says something.
struct Skew(Spread);

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.skew().map_or(Ok(()), |skew| write!(f, ", skew {skew:.1}"))
    }
}

struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        let mut size = self.0 as f64;
        let mut unit = "B";
        for larger in UNITS {
            if size < 1024.0 {
                break;
            }
            (size, unit) = (size / 1024.0, larger);
        }
        match unit {
            "B" => write!(f, "{} B", self.0),
            unit => write!(f, "{size:.1} {unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{FailureCounts, StageMetrics};
    use hearth_core::{StageId, messages::task::TaskMetrics};

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let bytes = [0, 1023, 1024, 1536 << 10, u64::MAX].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(bytes, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "16384.0 PiB"]);
    }

    #[test]
    fn a_report_tells_of_each_stage_and_operator() {
        let text = |title: &str, plan: &str| StageText { title: title.into(), plan: plan.into() };
        let texts =
            vec![text("stage 0: scan (3 tasks)", "AggExec\n  ScanExec\n"), text("stage 1: merge (1 task)", "Merge\n")];
        let analysis = Analysis::new(texts, true);
        let operators = vec![
            OperatorMetrics { place: 0, rows: 2, compute_micros: 1_260 },
            OperatorMetrics { place: 1, rows: 15_000, compute_micros: 60 },
        ];
        let total = TaskMetrics {
            rows: 20,
            rows_read: 15_000,
            bytes_scanned: 2048,
            bytes_written: 300,
            run_millis: 60,
            fetch_millis: 4,
            peak_memory: 1 << 20,
            operators,
            ..TaskMetrics::default()
        };
        let metrics = StageMetrics {
            attempts: 4,
            total,
            run_millis: Spread { count: 3, median: 10, max: 25 },
            rows_read: Spread { count: 3, median: 0, max: 15_000 },
            failures: FailureCounts { lost: 1, ..FailureCounts::default() },
        };
        let stage = StageProgress {
            id: StageId(7),
            place: 0,
            name: "scan".into(),
            attempt: 0,
            tasks: 3,
            running: 0,
            done: 3,
            over: true,
            begun: analysis.begun + Duration::from_millis(5),
            elapsed: Duration::from_millis(1_500),
            metrics,
        };
        let report = analysis.text(&[stage]);
        let expected = "
stage 1: merge (1 task)
  did not run

stage 0: scan (3 tasks)
  tasks   3 of 3 done, 4 attempts (1 lost with executor), from 0.005 s to 1.505 s
  time    median 10 ms, largest 25 ms, skew 2.5; all tasks 60 ms, of which 4 ms waiting for blocks
  rows    15,000 in, 20 out; a task's median 0 in, largest 15,000
  bytes   scanned 2.0 KiB, shuffled in 0 B, out 300 B, spilled 0 B; peak memory of a task 1.0 MiB
             rows       compute  operator
                2        1.2 ms  AggExec
           15,000        0.0 ms    ScanExec
";
        let (first, rest) = report.split_once('\n').unwrap();
        assert!(first.starts_with("1 stage in "), "{first}");
        assert_eq!(rest, expected);
        let batch = analysis.report(&[]).unwrap();
        assert_eq!((batch.num_rows(), batch.schema()), (1, Analysis::schema()));
    }
}
