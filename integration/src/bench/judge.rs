//! Compares the outputs of one query.
//!
//! Plain DataFusion is the first reference, DuckDB, where it takes part, the second: it is not DataFusion, and so can say that
//! DataFusion and Hearth are wrong together. Every output of every run is compared with the first of each reference that
//! stands before its own engine, and with its own engine's first.

use crate::engine::Kind;
use crate::peers::Peer;
use hearth_integration::answers::{Numbers, Order, Same, Table, same};

/// The references of one query.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    kinds: &'a [Kind],
    order: &'a Order,
    references: Vec<(usize, Table)>,
}

impl<'a> Judge<'a> {
    /// Of a query with this order, for these engines.
    pub(crate) const fn new(kinds: &'a [Kind], order: &'a Order) -> Self {
        Self { kinds, order, references: Vec::new() }
    }

    /// Compares the outputs of one round, each with its engine's place. An output without anything to be compared with is no
    /// verdict.
    pub(crate) fn judge(&mut self, mut outputs: Vec<(usize, Table)>) -> Vec<(usize, Result<Same, String>)> {
        outputs.sort_by_key(|(engine, _)| *engine);
        let mut verdicts = Vec::new();
        for (engine, table) in outputs {
            let verdicts_here = self.references.iter().filter(|(reference, _)| self.speaks(*reference, engine));
            let verdict = verdicts_here.map(|(reference, expected)| self.compare(*reference, expected, engine, &table));
            let verdict = verdict.reduce(|one, other| {
                let (one, other) = (one?, other?);
                Ok(Same { rows: one.rows, open: one.open.max(other.open) })
            });
            verdicts.extend(verdict.map(|verdict| (engine, verdict)));
            // Only of the first round: a reference does not move. Hearth's own is kept when there is nobody before it.
            if self.is_reference(engine) && self.references.iter().all(|(known, _)| *known != engine) {
                self.references.push((engine, table));
            }
        }
        verdicts
    }

    /// Whether a reference has a say about an engine: references do not judge those that stand before them.
    fn speaks(&self, reference: usize, engine: usize) -> bool {
        reference == engine || self.rank(reference) < self.rank(engine)
    }

    fn is_reference(&self, engine: usize) -> bool {
        self.rank(engine) < NO_REFERENCE
    }

    fn rank(&self, engine: usize) -> u32 {
        match self.kinds[engine] {
            Kind::DataFusion => 0,
            Kind::Peer(Peer::Duckdb, _) => 1,
            _ => NO_REFERENCE,
        }
    }

    fn compare(&self, reference: usize, expected: &Table, engine: usize, got: &Table) -> Result<Same, String> {
        let (left, right) = (&self.kinds[reference], &self.kinds[engine]);
        let alike = left == right || (left.is_datafusion_inside() && right.is_datafusion_inside());
        let numbers = if alike { Numbers::Exact } else { Numbers::Rounded };
        same(expected, got, self.order, numbers).map_err(|why| format!("not what {} gave: {why}", left.name()))
    }
}

/// The rank of engines that judge nobody.
const NO_REFERENCE: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_core::conf::master_url::MasterUrl;

    fn kinds() -> Vec<Kind> {
        let master: MasterUrl = "local[2]".parse().unwrap();
        vec![Kind::DataFusion, Kind::Peer(Peer::Duckdb, "python".into()), Kind::Hearth(master)]
    }

    fn table(value: &str) -> Table {
        Table::parse(&format!("x:decimal\n{value}\n")).unwrap()
    }

    fn outputs(values: &[&str]) -> Vec<(usize, Table)> {
        values.iter().enumerate().filter(|(_, value)| !value.is_empty()).map(|(at, value)| (at, table(value))).collect()
    }

    /// Who is right in each round.
    fn judged(rounds: &[&[&str]]) -> Vec<Vec<(usize, bool)>> {
        let (kinds, order) = (kinds(), Order::default());
        let mut judge = Judge::new(&kinds, &order);
        let round = |round: &&[&str]| judge.judge(outputs(round)).into_iter().map(|(at, v)| (at, v.is_ok())).collect();
        rounds.iter().map(round).collect()
    }

    #[test]
    fn every_round_is_compared() {
        let rounds =
            judged(&[&["1", "1", "1"], &["1", "1", "1"], &["1", "1", "2"], &["1", "2", "1"], &["2", "1", "1"]]);
        assert_eq!(rounds[0], [(1, true), (2, true)]);
        assert_eq!(rounds[1], [(0, true), (1, true), (2, true)]);
        assert_eq!(rounds[2], [(0, true), (1, true), (2, false)]);
        assert_eq!(rounds[3], [(0, true), (1, false), (2, true)]);
        assert_eq!(rounds[4], [(0, false), (1, true), (2, true)]);
    }

    #[test]
    fn another_engine_can_say_that_both_are_wrong() {
        assert_eq!(judged(&[&["1", "2", "1"]])[0], [(1, false), (2, false)]);
    }

    #[test]
    fn digits_are_exact_inside_one_engine_only() {
        assert_eq!(judged(&[&["1.000001", "1.000002", "1.000001"]])[0], [(1, true), (2, true)]);
        assert_eq!(judged(&[&["1.000001", "1.000001", "1.000002"]])[0], [(1, true), (2, false)]);
    }

    #[test]
    fn without_a_reference_there_is_no_verdict() {
        assert_eq!(judged(&[&["", "", "1"]])[0], []);
        assert_eq!(judged(&[&["", "1", "2"]])[0], [(2, false)]);
    }
}
