//! What is told of a run.

pub(crate) mod json;
pub(crate) mod picture;
pub(crate) mod text;

use crate::{
    engine::{Engine, Kind},
    machine::Machine,
    measure::{Measured, Outcome},
};
use hearth_core::conf::secret::{REDACTED, is_secret};

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) scale: f64,
    pub(crate) runs: u32,
    pub(crate) cores: u32,
    pub(crate) executor_memory_mib: u64,
    /// Passes over all queries before that.
    pub(crate) warm: u32,
    /// Settings of Hearth that were given.
    pub(crate) conf: Vec<(String, String)>,
}

impl Terms {
    /// How many runs, in words.
    pub(crate) fn counted_runs(&self) -> String {
        if self.runs == 1 { "one run".to_owned() } else { format!("{} runs", self.runs) }
    }

    /// The settings, as they may be shown.
    pub(crate) fn shown_conf(&self) -> impl Iterator<Item = (&str, &str)> {
        self.conf.iter().map(|(key, value)| (&**key, if is_secret(key) { REDACTED } else { value }))
    }
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) terms: Terms,
    pub(crate) machine: &'a Machine,
    pub(crate) engines: &'a [Engine],
    pub(crate) measured: &'a [Measured],
    pub(crate) skipped: &'a [&'static str],
}

/// Two engines side by side, over the queries that both did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair {
    /// Seconds of all medians of the first.
    pub(crate) first: f64,
    /// The same of the second.
    pub(crate) second: f64,
    /// How many queries both did.
    pub(crate) queries: usize,
    /// The query in which the first is slowest, measured by the second, and how much.
    pub(crate) most: (u32, f64),
    /// The one in which it is fastest.
    pub(crate) least: (u32, f64),
}

impl Pair {
    /// The first's time over the second's.
    pub(crate) fn ratio(&self) -> f64 {
        self.first / self.second
    }
}

impl Report<'_> {
    /// Whether every output was right, and Hearth and plain DataFusion answered everything.
    pub(crate) fn is_good(&self) -> bool {
        let mut all = self.measured.iter().flat_map(|query| query.outcomes.iter().zip(self.engines));
        all.all(|(outcome, engine)| is_good(outcome, &engine.kind))
    }

    /// Two engines, by their places, side by side; `None` when there is no query that both did.
    pub(crate) fn pair(&self, first: usize, second: usize) -> Option<Pair> {
        pair(self.measured, first, second)
    }

    /// The places of the engines that are Hearth.
    pub(crate) fn hearths(&self) -> impl Iterator<Item = usize> {
        (0..self.engines.len()).filter(|&place| self.engines[place].kind.is_hearth())
    }
}

/// A wrong row is nobody's right; to have none is a peer's.
const fn is_good(outcome: &Outcome, kind: &Kind) -> bool {
    outcome.wrong.is_none() && (outcome.failure.is_none() || !kind.is_datafusion_inside())
}

fn pair(measured: &[Measured], first: usize, second: usize) -> Option<Pair> {
    let both = measured.iter().filter_map(|query| {
        let (first, second) = (query.outcomes[first].median()?, query.outcomes[second].median()?);
        Some((query.query, first, second))
    });
    let both: Vec<_> = both.collect();
    let ratios = || both.iter().map(|(query, first, second)| (*query, first / second));
    Some(Pair {
        first: both.iter().map(|(_, seconds, _)| seconds).sum(),
        second: both.iter().map(|(.., seconds)| seconds).sum(),
        queries: both.len(),
        most: ratios().max_by(|a, b| a.1.total_cmp(&b.1))?,
        least: ratios().min_by(|a, b| a.1.total_cmp(&b.1))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::Shape, peers::Peer};

    #[test]
    fn a_wrong_row_is_not_good_whoever_gave_it() {
        let (wrong, failed) =
            (Outcome { wrong: Some("a row".into()), ..right() }, Outcome { failure: Some("no".into()), ..right() });
        let hearth = Kind::HearthCluster(Shape { workers: 2, cores: 1 }, None);
        let peer = Kind::Peer(Peer::Duckdb, "python".into());
        for kind in [&Kind::DataFusion, &hearth, &peer] {
            assert!(is_good(&right(), kind));
            assert!(!is_good(&wrong, kind), "{kind:?}");
        }
        // What a peer cannot answer is shown; what Hearth or its reference cannot fails the run.
        assert!(is_good(&failed, &peer));
        assert!(!is_good(&failed, &hearth) && !is_good(&failed, &Kind::DataFusion));
    }

    fn right() -> Outcome {
        Outcome { seconds: vec![1.0], right: 2, ..Outcome::default() }
    }

    #[test]
    fn totals_are_of_the_queries_that_both_did() {
        let took = |seconds: f64| Outcome { seconds: vec![seconds], ..Outcome::default() };
        let failed = Outcome { failure: Some("no".into()), ..took(100.0) };
        let query = |query, first, second| Measured { query, outcomes: vec![first, second] };
        let measured = [
            query(1, took(2.0), took(1.0)),
            query(2, took(3.0), took(3.0)),
            query(3, took(50.0), failed.clone()),
            query(4, failed, took(50.0)),
        ];
        let found = pair(&measured, 0, 1).unwrap();
        assert_eq!(found, Pair { first: 5.0, second: 4.0, queries: 2, most: (1, 2.0), least: (2, 1.0) });
        assert_eq!(found.ratio(), 1.25);
        assert_eq!(pair(&measured[2..], 0, 1), None);
    }
}
