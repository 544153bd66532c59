//! What a word at the cursor can become.

use super::{
    keywords::{BEGINNINGS, KEYWORDS},
    mentions::{self, BEFORE_TABLES, Mention, Word},
};
use hearth_plan::{
    SqlSession,
    text::{Kind, Open, Scan},
};
use std::{fs, path::Path, time::Duration};
use tokio::{runtime::Handle, time::timeout};

/// What can stand at a place of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Candidates {
    /// Where the word begins that they replace.
    pub(super) start: usize,
    pub(super) words: Vec<String>,
}

/// How long the columns of a table are waited for: somebody sits before the terminal.
const COLUMNS_WITHIN: Duration = Duration::from_secs(1);
/// Candidates of one kind that are offered: more are no help.
const MAX_OFFERED: usize = 1000;
/// What stands before the name of a variable.
const BEFORE_VARIABLES: &[&str] = &["SET", "RESET", "SHOW"];
/// What stands before the name of a file.
const BEFORE_FILES: &[&str] = &["FROM", "TO", "LOCATION", "INTO", "JOIN"];

/// Where candidates come from.
pub(super) struct Names<'a> {
    pub(super) planner: &'a SqlSession,
    pub(super) runtime: &'a Handle,
}

impl Names<'_> {
    /// What can stand where the cursor is.
    pub(super) fn at(&self, text: &str, cursor: usize) -> Candidates {
        let scan = self.planner.scan(text);
        if let Some(start) = text_at(text, &scan, cursor) {
            let before = mentions::statement(&text[..start], &self.planner.scan(&text[..start]), start);
            let names_file = before.last().is_some_and(|w| BEFORE_FILES.iter().any(|keyword| w.is(keyword)));
            return if names_file { files(&text[start + 1..cursor], start + 1) } else { Candidates::default() };
        }
        if scan.pieces.iter().any(|p| p.kind == Kind::Comment && p.range.start < cursor && cursor < p.range.end) {
            return Candidates::default();
        }
        let words = mentions::statement(text, &scan, cursor);
        let (start, qualifiers, before) = split(text, &words, cursor);
        if before.is_some_and(|w| BEFORE_VARIABLES.iter().any(|keyword| w.is(keyword))) {
            // Their dots part nothing.
            let start =
                words.iter().find(|w| w.start > before.map_or(0, |b| b.start)).map_or(cursor, |w| w.start.min(cursor));
            return self.variables(&text[start..cursor], start);
        }
        let typed = &text[start..cursor];
        let tables = mentions::tables(&words);
        let names = match (qualifiers.as_slice(), before) {
            ([], None) => cased(BEGINNINGS, typed),
            ([], Some(before)) => self.unqualified(before, &words, &tables, typed),
            (qualifiers, _) => self.qualified(qualifiers, &tables),
        };
        let wanted = typed.trim_start_matches('"').to_lowercase();
        let mut found: Vec<String> =
            names.into_iter().filter(|n| bare(n).to_lowercase().starts_with(&wanted)).collect();
        found.sort_unstable();
        found.dedup();
        found.truncate(MAX_OFFERED);
        Candidates { start, words: found }
    }

    fn unqualified(&self, before: Word<'_>, words: &[Word<'_>], tables: &[Mention], typed: &str) -> Vec<String> {
        let in_table_list = BEFORE_TABLES.iter().any(|keyword| before.is(keyword)) || in_from_list(words, before);
        if in_table_list {
            let (catalog, schema) = self.planner.defaults();
            let mut names = self.planner.tables(&catalog, &schema);
            names.extend(self.planner.schemas(&catalog));
            names.extend(self.planner.catalogs());
            names.extend(mentions::with_names(words));
            let mut names: Vec<String> = names.iter().map(|n| quoted(n)).collect();
            if !typed.is_empty() {
                names.extend(cased(&["SELECT", "LATERAL", "UNNEST", "VALUES", "IF", "EXISTS"], typed));
            }
            return names;
        }
        let mut names: Vec<String> = tables.iter().flat_map(|table| self.columns(&table.path)).collect();
        names.extend(tables.iter().map(|table| quoted(&table.alias)));
        if !typed.is_empty() {
            names.extend(cased(KEYWORDS, typed));
            names.extend(self.planner.functions());
        }
        names
    }

    /// The variables of the query engine and Hearth's keys.
    fn variables(&self, typed: &str, start: usize) -> Candidates {
        let mut words = self.planner.variables();
        words.extend(hearth_core::conf::keys::all().map(|entry| entry.name.to_owned()));
        words.extend(cased(&["ALL", "TABLES", "COLUMNS", "FUNCTIONS"], typed));
        let wanted = typed.to_lowercase();
        words.retain(|word| word.to_lowercase().starts_with(&wanted));
        words.sort_unstable();
        Candidates { start, words }
    }

    fn qualified(&self, qualifiers: &[String], tables: &[Mention]) -> Vec<String> {
        let quote = |names: Vec<String>| names.iter().map(|n| quoted(n)).collect::<Vec<_>>();
        let (catalog, _) = self.planner.defaults();
        match qualifiers {
            [one] => {
                if let Some(table) = tables.iter().find(|table| table.alias == *one) {
                    let columns = self.columns(&table.path);
                    if !columns.is_empty() {
                        return columns;
                    }
                }
                let mut names = quote(self.planner.schemas(one));
                names.extend(quote(self.planner.tables(&catalog, one)));
                names.extend(self.columns(qualifiers));
                names
            }
            [first, second] => {
                let mut names = quote(self.planner.tables(first, second));
                names.extend(self.columns(qualifiers));
                names
            }
            _ => self.columns(qualifiers),
        }
    }

    fn columns(&self, path: &[String]) -> Vec<String> {
        let schema = self.runtime.block_on(async { timeout(COLUMNS_WITHIN, self.planner.columns(path)).await });
        let Ok(Some(schema)) = schema else { return Vec::new() };
        schema.fields().iter().map(|field| quoted(field.name())).collect()
    }

    /// Tables for `.schema` and `.tables`.
    pub(super) fn table_names(&self, typed: &str) -> Vec<String> {
        let mut path: Vec<&str> = typed.split('.').collect();
        path.pop();
        let prefix: String = path.iter().map(|p| format!("{p}.")).collect();
        let (catalog, schema) = self.planner.defaults();
        let names = match path.as_slice() {
            [] => [self.planner.tables(&catalog, &schema), self.planner.catalogs()].concat(),
            [one] => [self.planner.schemas(one), self.planner.tables(&catalog, one)].concat(),
            [first, second] => self.planner.tables(first, second),
            _ => Vec::new(),
        };
        names.into_iter().map(|name| format!("{prefix}{name}")).filter(|name| name.starts_with(typed)).collect()
    }
}

/// The start of the text in quotes that the cursor is in.
fn text_at(text: &str, scan: &Scan, cursor: usize) -> Option<usize> {
    let open = matches!(scan.open, Some((Open::Text, _)));
    let piece = scan.pieces.iter().find(|p| p.kind == Kind::Text && p.range.start < cursor && cursor <= p.range.end)?;
    let is_last = piece.range.end == text.len();
    let inside = cursor < piece.range.end || open && is_last;
    (inside && text[piece.range.clone()].starts_with('\'')).then_some(piece.range.start)
}

/// Where the word at the cursor begins, the names with dots before it, and what stands before those.
fn split<'a>(text: &str, words: &[Word<'a>], cursor: usize) -> (usize, Vec<String>, Option<Word<'a>>) {
    let before: Vec<Word<'a>> = words.iter().copied().filter(|w| w.start < cursor).collect();
    let touches = |w: &Word<'_>| w.start + w.text.len() >= cursor && matches!(w.kind, Kind::Word | Kind::Name);
    let mut left = before.len();
    let mut start = cursor;
    if let Some(word) = before.last().filter(|w| touches(w)) {
        start = word.start;
        left -= 1;
    }
    let mut qualifiers = Vec::new();
    let mut next = start;
    while left >= 2 && before[left - 1].text == "." && before[left - 1].start + 1 == next {
        qualifiers.insert(0, before[left - 2].name());
        next = before[left - 2].start;
        left -= 2;
    }
    debug_assert!(text.is_char_boundary(start));
    (start, qualifiers, left.checked_sub(1).map(|i| before[i]))
}

/// After a comma of the list that FROM begins.
fn in_from_list(words: &[Word<'_>], before: Word<'_>) -> bool {
    if before.text != "," {
        return false;
    }
    let ends = ["SELECT", "WHERE", "ON", "GROUP", "ORDER", "BY", "HAVING", "SET", "VALUES"];
    let earlier = words.iter().rev().skip_while(|w| w.start >= before.start);
    earlier.take_while(|w| w.text != "(" && !ends.iter().any(|e| w.is(e))).any(|w| w.is("FROM"))
}

/// Keywords in the case of what was typed.
fn cased(words: &[&str], typed: &str) -> Vec<String> {
    let capitals = typed.chars().any(char::is_uppercase);
    words.iter().map(|w| if capitals { (*w).to_owned() } else { w.to_lowercase() }).collect()
}

/// A name as it must be written: in quotes when it would be read as another one otherwise.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn bare(name: &str) -> &str {
    name.trim_start_matches('"')
}

/// Files whose path begins like this; folders end with a slash.
pub(super) fn files(typed: &str, start: usize) -> Candidates {
    let split = typed.rfind('/').map_or(0, |i| i + 1);
    let (dir, begin) = typed.split_at(split);
    let entries = fs::read_dir(if dir.is_empty() { Path::new(".") } else { Path::new(dir) });
    let Ok(entries) = entries else { return Candidates::default() };
    let name = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let hidden = name.starts_with('.') && !begin.starts_with('.');
        let fits = name.starts_with(begin) && !hidden && !name.contains(['\'', '\n']);
        let slash = if entry.path().is_dir() { "/" } else { "" };
        fits.then(|| format!("{name}{slash}"))
    };
    let mut words: Vec<String> = entries.filter_map(Result::ok).filter_map(name).take(MAX_OFFERED).collect();
    words.sort_unstable();
    Candidates { start: start + split, words }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_plan::SessionOptions;

    /// Candidates where `|` stands.
    fn at(text: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let planner = SqlSession::new(SessionOptions::default()).unwrap();
        let cursor = text.find('|').unwrap();
        let text = text.replace('|', "");
        let names = Names { planner: &planner, runtime: runtime.handle() };
        names.at(&text, cursor).words
    }

    #[test]
    fn keywords_follow_the_case_of_what_is_typed() {
        assert_eq!(at("sel|"), ["select"]);
        assert_eq!(at("SEL|"), ["SELECT"]);
        assert_eq!(at("select 1; des|"), ["describe"]);
    }

    #[test]
    fn catalogs_schemas_and_tables_follow_from() {
        assert_eq!(at("select * from tp|"), ["tpch"]);
        assert!(at("select * from tpch.|").contains(&"sf1".to_owned()));
        assert_eq!(at("select * from tpch.sf0_01.li|"), ["lineitem"]);
        assert_eq!(at("select * from tpch.sf1.orders o, tpch.sf1.lin|"), ["lineitem"]);
        assert_eq!(at("with abc as (select 1) select * from ab|"), ["abc"]);
    }

    #[test]
    fn columns_of_the_tables_that_are_mentioned() {
        assert_eq!(at("select n_nam| from tpch.sf1.nation"), ["n_name"]);
        assert_eq!(at("select n.n_r| from tpch.sf1.nation n join tpch.sf1.region r on true"), ["n_regionkey"]);
        assert_eq!(at("select * from tpch.sf1.region r where r.r_c|"), ["r_comment"]);
        assert!(at("select 1 from tpch.sf1.region where |").contains(&"r_name".to_owned()));
    }

    #[test]
    fn functions_and_variables_are_known() {
        assert!(at("select date_tr|").contains(&"date_trunc".to_owned()));
        assert_eq!(at("set datafusion.execution.batch_s|"), ["datafusion.execution.batch_size"]);
        assert_eq!(at("reset spark.sql.shuf|"), ["spark.sql.shuffle.partitions"]);
        assert_eq!(at("select 'sel|'"), Vec::<String>::new());
        assert_eq!(at("-- sel|ect\n"), Vec::<String>::new());
    }

    #[test]
    fn names_in_quotes_after_from_are_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rows.csv"), "a\n").unwrap();
        std::fs::create_dir(dir.path().join("rowdy")).unwrap();
        let text = format!("select * from '{}/ro|", dir.path().display());
        assert_eq!(at(&text), ["rowdy/", "rows.csv"]);
        assert_eq!(at("select '/|"), Vec::<String>::new());
    }
}
