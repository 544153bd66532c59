//! The run: query by query, run by run, each engine in turn.
//!
//! Engines alternate within a run, and each run begins with another one, so that whatever the machine does meanwhile, such as
//! getting slower as it gets warm, meets all of them alike. The first run of a query fills caches and is not timed, but judged.

use crate::{
    engine::{Engine, Kind},
    failure::{Doing, Failure},
    judge::Judge,
    protocol::{Ask, Reply},
    queries::Query,
    say,
};
use hearth_integration::answers::Table;
use std::{fs, path::Path};

/// How often a query is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs {
    /// With all others, before any query's own runs; neither timed nor judged.
    pub(crate) warm: u32,
    /// Without being timed.
    pub(crate) untimed: u32,
    /// Timed.
    pub(crate) timed: u32,
}

/// What became of one query.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Its number.
    pub(crate) query: u32,
    /// What each engine made of it, in the engines' order.
    pub(crate) outcomes: Vec<Outcome>,
}

/// What one engine made of one query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Seconds of each timed run.
    pub(crate) seconds: Vec<f64>,
    /// Rows that came.
    pub(crate) rows: usize,
    /// Outputs that were compared and right.
    pub(crate) right: usize,
    /// Rows that a limit left open; see [`hearth_integration::answers`].
    pub(crate) open: usize,
    /// Why there is no answer.
    pub(crate) failure: Option<String>,
    /// How an answer was wrong.
    pub(crate) wrong: Option<String>,
    /// Where the time of the last run went.
    pub(crate) detail: Option<String>,
}

impl Outcome {
    /// Whether it answered, and was right.
    pub(crate) const fn is_good(&self) -> bool {
        self.failure.is_none() && self.wrong.is_none()
    }

    /// The median of the timed runs of a good answer.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match (self.is_good(), sorted.len()) {
            (false, _) | (_, 0) => None,
            (_, count) if count % 2 == 0 => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
            _ => Some(sorted[middle]),
        }
    }
}

/// Runs queries on engines. Outputs pass through files in `dir`.
pub(crate) async fn measure(
    engines: &mut [Engine],
    queries: &[Query],
    runs: Runs,
    detail: bool,
    dir: &Path,
) -> Result<Vec<Measured>, Failure> {
    let kinds: Vec<Kind> = engines.iter().map(|engine| engine.kind.clone()).collect();
    for pass in 1..=runs.warm {
        say::remark(&format!("warming: pass {pass} of {}", runs.warm));
        for query in queries {
            for engine in &mut *engines {
                // Whoever cannot will say so when it counts.
                drop(one(engine, query, false, &dir.join("rows.csv")).await?);
            }
        }
    }
    let mut all = Vec::new();
    for query in queries {
        let mut outcomes = vec![Outcome::default(); engines.len()];
        let mut judge = Judge::new(&kinds, &query.order);
        for round in 0..runs.untimed + runs.timed {
            let is_timed = round >= runs.untimed;
            let mut outputs = Vec::new();
            for turn in 0..engines.len() {
                let place = (turn + round as usize) % engines.len();
                let outcome = &mut outcomes[place];
                // Once is enough to know that an engine cannot.
                if outcome.failure.is_some() {
                    continue;
                }
                match one(&mut engines[place], query, detail && is_timed, &dir.join("rows.csv")).await? {
                    Ok((reply, table)) => {
                        outcome.seconds.extend(is_timed.then_some(reply.seconds));
                        outcome.rows = table.rows();
                        outcome.detail = reply.detail;
                        outputs.push((place, table));
                    }
                    Err(failure) => outcome.failure = Some(failure.to_string()),
                }
            }
            for (place, verdict) in judge.judge(outputs) {
                let outcome = &mut outcomes[place];
                match verdict {
                    Ok(same) => (outcome.right, outcome.open) = (outcome.right + 1, outcome.open.max(same.open)),
                    Err(why) => outcome.wrong = Some(why),
                }
            }
        }
        say::remark(&progress(query, &kinds, &outcomes));
        all.push(Measured { query: query.number, outcomes });
    }
    Ok(all)
}

/// One run of one query on one engine. The inner failure is the engine's, the outer one ours.
async fn one(
    engine: &mut Engine,
    query: &Query,
    detail: bool,
    path: &Path,
) -> Result<Result<(Reply, Table), Failure>, Failure> {
    let ask = Ask { sql: query.sql.clone(), out: path.to_owned(), detail };
    let reply = match engine.ask(&ask).await {
        Ok(reply) => reply,
        Err(failure) => return Ok(Err(failure)),
    };
    let text = fs::read_to_string(path).doing(path.display())?;
    fs::remove_file(path).doing(path.display())?;
    Ok(Table::parse(&text).map(|table| (reply, table)).doing("its rows cannot be read"))
}

/// A line that says how a query went.
fn progress(query: &Query, kinds: &[Kind], outcomes: &[Outcome]) -> String {
    let one = |(kind, outcome): (&Kind, &Outcome)| {
        let word = match (&outcome.failure, &outcome.wrong, outcome.median()) {
            (Some(_), ..) => "failed".to_owned(),
            (_, Some(_), _) => "WRONG".to_owned(),
            (.., Some(seconds)) => format!("{:.0} ms", seconds * 1e3),
            (.., None) => "ran".to_owned(),
        };
        format!("{} {word}", kind.name())
    };
    format!("{}: {}", query.name(), kinds.iter().zip(outcomes).map(one).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_good_answers() {
        let of = |seconds: &[f64]| Outcome { seconds: seconds.to_vec(), ..Outcome::default() };
        assert_eq!(of(&[3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(of(&[4.0, 1.0]).median(), Some(2.5));
        assert_eq!(of(&[]).median(), None);
        assert_eq!(Outcome { wrong: Some("x".into()), ..of(&[1.0]) }.median(), None);
        assert_eq!(Outcome { failure: Some("x".into()), ..of(&[1.0]) }.median(), None);
    }
}
