//! The tables that a statement mentions.

use hearth_plan::text::{Kind, Piece, Scan};

/// A table in a statement, and what it is called there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    /// One to three names.
    pub(super) path: Vec<String>,
    /// Its alias, else its last name.
    pub(super) alias: String,
}

/// A piece that says something, with its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) kind: Kind,
    pub(super) start: usize,
}

impl Word<'_> {
    /// Whether it is this keyword.
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Name)
    }

    /// The name as the engine knows it: without its quotes, or in small letters.
    pub(super) fn name(&self) -> String {
        match self.kind {
            Kind::Name => self.text.trim_matches('"').replace("\"\"", "\""),
            _ => self.text.to_lowercase(),
        }
    }
}

/// The pieces of the statement that the cursor is in, without blanks and comments.
pub(super) fn statement<'a>(text: &'a str, scan: &Scan, cursor: usize) -> Vec<Word<'a>> {
    let ends = |p: &&Piece| p.kind == Kind::Semicolon;
    let from = scan.pieces.iter().filter(ends).map(|p| p.range.end).rfind(|end| *end <= cursor).unwrap_or(0);
    let to =
        scan.pieces.iter().filter(ends).map(|p| p.range.start).find(|start| *start >= cursor).unwrap_or(text.len());
    let inside =
        |p: &&Piece| p.range.start >= from && p.range.end <= to && !matches!(p.kind, Kind::Space | Kind::Comment);
    let word = |p: &Piece| Word { text: &text[p.range.clone()], kind: p.kind, start: p.range.start };
    scan.pieces.iter().filter(inside).map(word).collect()
}

/// What stands before a table's name.
pub(super) const BEFORE_TABLES: &[&str] = &["FROM", "JOIN", "INTO", "UPDATE", "TABLE", "DESCRIBE", "DESC", "VIEW"];
/// What may follow a table and is no alias of it.
const NO_ALIAS: &[&str] = &[
    "ON",
    "USING",
    "WHERE",
    "GROUP",
    "ORDER",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "NATURAL",
    "SELECT",
    "VALUES",
    "SET",
    "AS",
    "WINDOW",
    "FETCH",
    "FROM",
    "LATERAL",
    "TABLESAMPLE",
];

/// The tables that a statement mentions, in its order.
pub(super) fn tables(words: &[Word<'_>]) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut i = 0;
    while i < words.len() {
        if !BEFORE_TABLES.iter().any(|keyword| words[i].is(keyword)) {
            i += 1;
            continue;
        }
        i += 1;
        // A list: `FROM a, b AS c`.
        while let Some((mention, next)) = table(words, i) {
            found.push(mention);
            i = next;
            if words.get(i).is_some_and(|w| w.text == ",") {
                i += 1;
            } else {
                break;
            }
        }
    }
    found
}

fn table(words: &[Word<'_>], mut i: usize) -> Option<(Mention, usize)> {
    let mut path = vec![words.get(i).filter(|w| w.is_name())?.name()];
    i += 1;
    while path.len() < 3 && words.get(i).is_some_and(|w| w.text == ".") && words.get(i + 1).is_some_and(Word::is_name) {
        path.push(words[i + 1].name());
        i += 2;
    }
    let mut alias = path.last().cloned()?;
    if words.get(i).is_some_and(|w| w.is("AS")) {
        i += 1;
    }
    if let Some(word) = words.get(i).filter(|w| w.is_name() && !NO_ALIAS.iter().any(|keyword| w.is(keyword))) {
        alias = word.name();
        i += 1;
    }
    Some((Mention { path, alias }, i))
}

/// The names that `WITH` gives to queries.
pub(super) fn with_names(words: &[Word<'_>]) -> Vec<String> {
    let named = |w: &[Word<'_>]| w[0].is_name() && w[1].is("AS") && w[2].text == "(";
    let is_with = words.first().is_some_and(|w| w.is("WITH"));
    let windows = words.windows(3).filter(|w| is_with && named(w));
    windows.map(|w| w[0].name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_plan::text::scan;

    fn of(text: &str) -> Vec<(String, String)> {
        let scan = scan("generic", text);
        let words = statement(text, &scan, text.len());
        tables(&words).into_iter().map(|m| (m.path.join("."), m.alias)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn tables_are_found_with_their_aliases() {
        assert_eq!(of("select * from Tpch.sf1.Orders o, t where x"), pairs(&[("tpch.sf1.orders", "o"), ("t", "t")]));
        assert_eq!(of("select 1 from a join \"B c\" as d on a.x = d.y"), pairs(&[("a", "a"), ("B c", "d")]));
        assert_eq!(of("select * from (select * from inner_t) x"), pairs(&[("inner_t", "inner_t")]));
        assert_eq!(of("insert into t values (1)"), pairs(&[("t", "t")]));
        // Only the statement of the cursor counts.
        assert_eq!(of("select * from a; select * from b"), pairs(&[("b", "b")]));
        assert_eq!(of("select * from"), []);
        assert_eq!(of("select 'from x' -- from y"), []);
    }

    #[test]
    fn queries_of_with_have_names() {
        let text = "with a as (select 1), b as (select 2) select * from ";
        let scan = scan("generic", text);
        assert_eq!(with_names(&statement(text, &scan, text.len())), ["a", "b"]);
    }
}
