//! What the tasks of a stage did, together: sums, spreads, and how attempts ended.
//!
//! Bounded whatever the number of tasks: a [`Histogram`] has at most some two thousand buckets, and gives the largest value
//! exactly and the median within 1.6 %; below 64, exactly too.

use hearth_core::messages::task::{TaskFailure, TaskMetrics};
use std::{collections::BTreeMap, fmt};

/// What the attempts at a stage's tasks did, those of all its attempts together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageMetrics {
    /// Task attempts that were launched.
    pub attempts: u64,
    /// Sums over the attempts that gave an output, also over those whose output was lost later: work that was done. What
    /// operators did is there when nothing of the stage starts any more.
    pub total: TaskMetrics,
    /// How long those attempts ran, in milliseconds.
    pub run_millis: Spread,
    /// How many rows came into each of them.
    pub rows_read: Spread,
    /// How the other attempts ended.
    pub failures: FailureCounts,
}

/// How a quantity is spread over tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Of how many tasks.
    pub count: u64,
    /// Of the middle one; of the lower one of two. Within 1.6 %.
    pub median: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    /// The largest over the median: how much longer the slowest task takes than most. None where that says nothing: with a
    /// single task, or a median of zero.
    pub fn skew(&self) -> Option<f64> {
        (self.count > 1 && self.median > 0).then(|| self.max as f64 / self.median as f64)
    }
}

/// Attempts that gave no output, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailureCounts {
    /// The query's or its input's own fault.
    pub query: u64,
    /// Something that may pass.
    pub transient: u64,
    /// A panic.
    pub panicked: u64,
    /// Not enough memory.
    pub out_of_memory: u64,
    /// A file that could not be written.
    pub disk: u64,
    /// An input that could not be read.
    pub fetch: u64,
    /// Ended by somebody.
    pub killed: u64,
    /// Gone with their executor or its link.
    pub lost: u64,
}

impl FailureCounts {
    /// All together.
    pub fn total(&self) -> u64 {
        self.by_cause().iter().map(|(_, count)| count).sum()
    }

    const fn by_cause(&self) -> [(&'static str, u64); 8] {
        [
            ("error of the query", self.query),
            ("transient", self.transient),
            ("panicked", self.panicked),
            ("out of memory", self.out_of_memory),
            ("disk", self.disk),
            ("fetch failed", self.fetch),
            ("killed", self.killed),
            ("lost with executor", self.lost),
        ]
    }
}

/// Those that there were, such as `2 fetch failed, 1 killed`.
impl fmt::Display for FailureCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.by_cause().into_iter().filter(|(_, count)| *count > 0);
        let texts: Vec<String> = counts.map(|(cause, count)| format!("{count} {cause}")).collect();
        f.pad(&texts.join(", "))
    }
}

/// Keeps count of a stage.
#[derive(Debug, Default)]
pub(super) struct StageRecord {
    attempts: u64,
    total: TaskMetrics,
    run_millis: Histogram,
    rows_read: Histogram,
    failures: FailureCounts,
}

impl StageRecord {
    pub(super) const fn launched(&mut self) {
        self.attempts += 1;
    }

    pub(super) fn succeeded(&mut self, metrics: &TaskMetrics) {
        self.total.add(metrics);
        self.run_millis.add(metrics.run_millis);
        self.rows_read.add(metrics.rows_read);
    }

    pub(super) const fn failed(&mut self, failure: &TaskFailure) {
        let count = match failure {
            TaskFailure::Query(_) => &mut self.failures.query,
            TaskFailure::Transient(_) => &mut self.failures.transient,
            TaskFailure::Panicked(_) => &mut self.failures.panicked,
            TaskFailure::OutOfMemory(_) => &mut self.failures.out_of_memory,
            TaskFailure::Disk { .. } => &mut self.failures.disk,
            TaskFailure::FetchFailed { .. } => &mut self.failures.fetch,
            TaskFailure::Killed(_) => &mut self.failures.killed,
        };
        *count += 1;
    }

    pub(super) const fn lost(&mut self) {
        self.failures.lost += 1;
    }

    /// What is known now; what operators did only when `complete`, because it is told again and again until then.
    pub(super) fn summary(&self, complete: bool) -> StageMetrics {
        let operators = if complete { self.total.operators.clone() } else { Vec::new() };
        StageMetrics {
            attempts: self.attempts,
            total: TaskMetrics { operators, ..self.total },
            run_millis: self.run_millis.spread(),
            rows_read: self.rows_read.spread(),
            failures: self.failures,
        }
    }
}

/// Bits of a value that tell buckets apart: 32 buckets for each power of two.
const BITS: u32 = 5;

/// Counts of values, in buckets whose width grows with the value.
#[derive(Debug, Default)]
struct Histogram {
    buckets: BTreeMap<u32, u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    fn add(&mut self, value: u64) {
        *self.buckets.entry(bucket(value)).or_default() += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    fn spread(&self) -> Spread {
        let middle = self.count.div_ceil(2);
        let mut seen = 0;
        let half = self.buckets.iter().find(|(_, count)| {
            seen += **count;
            seen >= middle
        });
        let median = half.map_or(0, |(bucket, _)| middle_of(*bucket).min(self.max));
        Spread { count: self.count, median, max: self.max }
    }
}

/// Values below 64 have a bucket each; above, the highest six bits of a value name its bucket.
const fn bucket(value: u64) -> u32 {
    let Some(magnitude) = value.checked_ilog2() else { return 0 };
    let shift = magnitude.saturating_sub(BITS);
    // At most six bits are left.
    (shift << BITS) + (value >> shift) as u32
}

/// The value in the middle of a bucket.
const fn middle_of(bucket: u32) -> u64 {
    let shift = (bucket >> BITS).saturating_sub(1);
    let lowest = ((bucket - (shift << BITS)) as u64) << shift;
    lowest + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: impl IntoIterator<Item = u64>) -> Spread {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.add(value));
        assert!(histogram.buckets.len() < 2000);
        histogram.spread()
    }

    #[test]
    fn small_values_are_exact() {
        assert_eq!(spread([]), Spread::default());
        assert_eq!(spread([7]), Spread { count: 1, median: 7, max: 7 });
        assert_eq!(spread(0..64), Spread { count: 64, median: 31, max: 63 });
        assert_eq!(spread([63, 1, 2]), Spread { count: 3, median: 2, max: 63 });
    }

    #[test]
    fn large_ones_are_near_and_the_largest_is_exact() {
        for base in [64, 65, 1000, 123_456, 1 << 33, u64::MAX / 2] {
            let Spread { median, max, .. } = spread([base, base, base, base + 1]);
            let error = median.abs_diff(base) as f64 / base as f64;
            assert!(error < 0.016, "{base}: {median}");
            assert_eq!(max, base + 1);
        }
        assert_eq!(spread([u64::MAX]).max, u64::MAX);
        let many = spread((0..100_000).map(|i| i * i));
        let middle = 49_999_u64.pow(2);
        assert!(many.median.abs_diff(middle) < middle / 60, "{many:?}");
    }

    #[test]
    fn buckets_are_in_the_order_of_values() {
        let values = (0..58).flat_map(|shift| (32..64_u64).map(move |v| v << shift));
        for value in (0..4096).chain(values).filter(|v| *v > 0) {
            let (below, own) = (bucket(value - 1), bucket(value));
            assert!(own == below || own == below + 1, "{value}: {below} {own}");
            assert_eq!(bucket(middle_of(own)), own, "{value}");
        }
        assert_eq!(bucket(u64::MAX), (58 << 5) + 63);
    }

    #[test]
    fn skew_is_told_where_it_says_something() {
        assert_eq!(spread([10, 10, 30]).skew(), Some(3.0));
        assert_eq!(spread([10]).skew(), None);
        assert_eq!(spread([0, 0, 5]).skew(), None);
    }

    #[test]
    fn failures_are_named_by_their_cause() {
        let mut record = StageRecord::default();
        record.failed(&TaskFailure::Killed("because".into()));
        record.failed(&TaskFailure::Disk { path: "/x".into(), message: "full".into() });
        record.failed(&TaskFailure::Killed("because".into()));
        record.lost();
        let failures = record.summary(true).failures;
        assert_eq!(failures.to_string(), "1 disk, 2 killed, 1 lost with executor");
        assert_eq!(failures.total(), 4);
    }
}
