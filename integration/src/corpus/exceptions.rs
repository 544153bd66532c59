//! The queries that are known not to agree: `fixtures/corpus/exceptions.md`, a table of queries, modes and reasons.

use std::collections::BTreeSet;

/// Known disagreements: which query, in which mode.
#[derive(Clone, Debug, Default)]
pub struct Exceptions {
    rows: Vec<Exception>,
}

#[derive(Clone, Debug)]
struct Exception {
    /// `file:name`
    query: String,
    /// Nothing means every mode.
    modes: BTreeSet<String>,
}

impl Exceptions {
    /// The rows of the text's one Markdown table, or what is wrong with them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|'));
        let mut rows = Vec::new();
        // A head and the line below it.
        for line in lines.skip(2) {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [query, modes, reason] = cells[..] else {
                return Err(format!("|{line}|: expected three cells: a query, its modes, the reason"));
            };
            if reason.is_empty() || !query.contains(':') {
                return Err(format!("|{line}|: expected file:name of a query, `all` or modes, and a reason"));
            }
            let named = modes.split(',').map(|mode| mode.trim().to_owned()).filter(|mode| mode != "all");
            rows.push(Exception { query: query.trim_matches('`').to_owned(), modes: named.collect() });
        }
        Ok(Self { rows })
    }

    /// Whether a query is one in a mode.
    pub fn has(&self, query: &str, mode: &str) -> bool {
        self.rows.iter().any(|row| row.query == query && (row.modes.is_empty() || row.modes.contains(mode)))
    }

    /// Queries and modes that there are none of.
    pub fn unknown(&self, queries: &BTreeSet<String>, modes: &[&str]) -> Vec<String> {
        let unknown_modes = |row: &Exception| {
            let modes = row.modes.iter().filter(|mode| !modes.contains(&mode.as_str()));
            modes.map(|mode| format!("{}: mode {mode}", row.query)).collect::<Vec<_>>()
        };
        let unknown_queries = self.rows.iter().filter(|row| !queries.contains(&row.query)).map(|row| row.query.clone());
        unknown_queries.chain(self.rows.iter().flat_map(unknown_modes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Exceptions\n\n| query | modes | reason |\n|---|---|---|\n\
        | `joins:mark` | all | it is known |\n| joins:other | local, cluster-2 | why |\n";

    #[test]
    fn a_row_is_a_query_and_its_modes() {
        let exceptions = Exceptions::parse(TEXT).unwrap();
        assert!(exceptions.has("joins:mark", "local") && exceptions.has("joins:mark", "anything"));
        assert!(exceptions.has("joins:other", "cluster-2") && !exceptions.has("joins:other", "cluster-1"));
        assert!(!exceptions.has("joins:third", "local"));
        let queries = BTreeSet::from(["joins:mark".to_owned()]);
        assert_eq!(exceptions.unknown(&queries, &["local"]), ["joins:other", "joins:other: mode cluster-2"]);
        assert!(!Exceptions::parse("no table at all").unwrap().has("", ""));
    }

    #[test]
    fn a_row_without_a_reason_is_refused() {
        assert!(Exceptions::parse(&TEXT.replace("why", "")).is_err());
        assert!(Exceptions::parse(&TEXT.replace("joins:other", "other")).is_err());
        assert!(Exceptions::parse(&TEXT.replace(" why |", " why | more |")).is_err());
    }
}
