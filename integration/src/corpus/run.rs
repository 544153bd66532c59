//! One engine through all files of the corpus, and what came of it.

use super::{Data, Exceptions, Script, Statement, Table};
use crate::engine::{Engine, Failure};
use futures::{StreamExt, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::Path,
    time::Duration,
};
use tokio::time::timeout;

/// Statements that run at once where nothing orders them: planning one while another's tasks run keeps two cores busy.
const AT_ONCE: usize = 4;

/// How long a statement may take: far above what any takes in a slow build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// All files, and what may differ.
#[derive(Debug)]
pub struct Corpus {
    /// Files, by name.
    pub scripts: Vec<Script>,
    /// Known disagreements.
    pub exceptions: Exceptions,
    /// The statements that make the tables.
    pub tables: Script,
}

/// A statement's place: file and line.
type Place<'a> = (&'a str, usize);

/// What each statement gave.
#[derive(Debug, Default)]
pub struct Answers<'a> {
    answers: BTreeMap<Place<'a>, Result<Table, String>>,
    /// Statements of more than one stage.
    pub staged: usize,
    /// Statements with a stage of more than one task.
    pub spread: usize,
    /// Statements whose rows met by the hash of a key.
    pub hashed: usize,
    /// Statements that were sorted by ranges.
    pub ranged: usize,
}

/// Which queries are to run: all, or those that a filter names.
#[derive(Clone, Debug, Default)]
pub struct Selected(Vec<(String, Option<String>)>);

/// What came of one mode.
#[derive(Debug, Default)]
pub struct Tally {
    /// Rows as expected.
    pub right: usize,
    /// Errors as expected.
    pub errors: usize,
    /// Known disagreements.
    pub excepted: usize,
    /// What is wrong, each for people.
    pub wrong: Vec<String>,
}

impl Corpus {
    /// Reads all files of a directory.
    pub fn read(dir: &Path) -> Result<Self, String> {
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
        let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let mut scripts = Vec::new();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "sql")) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            scripts.push(Script::parse(&name, &read(path)?)?);
        }
        let tables = scripts.iter().position(|script| script.name == "tables");
        let tables = scripts.remove(tables.ok_or_else(|| format!("{}: no tables.sql", dir.display()))?);
        let exceptions = Exceptions::parse(&read(&dir.join("exceptions.md"))?)?;
        Ok(Self { scripts, exceptions, tables })
    }

    /// How many queries there are.
    pub fn queries(&self) -> usize {
        self.scripts.iter().flat_map(|s| &s.statements).filter(|s| !s.changes).count()
    }

    /// What the named queries are called: `file:name`.
    pub fn names(&self) -> BTreeSet<String> {
        let of = |script: &Script| script.statements.iter().filter_map(|s| full_name(script, s)).collect::<Vec<_>>();
        self.scripts.iter().flat_map(of).collect()
    }

    /// Runs the prologue and all selected statements on an engine.
    pub async fn run(&self, engine: &Engine, data: &Data, selected: &Selected) -> Result<Answers<'_>, Failure> {
        for sql in &data.prologue {
            engine.run(sql).await.map_err(|Failure(why)| Failure(format!("{why}\nin {sql}")))?;
        }
        let mut answers = Answers::default();
        for script in &self.scripts {
            let chosen: Vec<_> = script.statements.iter().filter(|s| selected.has(script, s)).collect();
            // Those that change the session are alone in their group.
            for group in chosen.chunk_by(|a, b| !a.changes && !b.changes) {
                let run = group.iter().map(|statement| answer(engine, statement));
                let mut done = stream::iter(run).buffered(AT_ONCE);
                let mut at = group.iter();
                while let (Some((answer, run)), Some(statement)) = (done.next().await, at.next()) {
                    answers.staged += usize::from(run.tasks.len() > 1);
                    answers.spread += usize::from(run.tasks.iter().any(|&tasks| tasks > 1));
                    answers.hashed += usize::from(run.has_exchange("hash"));
                    answers.ranged += usize::from(run.has_exchange("range"));
                    answers.answers.insert((&script.name, statement.line), answer);
                }
            }
        }
        Ok(answers)
    }

    /// What plain DataFusion gives where it should not: a query that fails unmarked, or is marked and does not. Everything
    /// else would be compared with nonsense.
    pub fn wrong_in_itself(&self, expected: &Answers<'_>) -> Vec<String> {
        let mut wrong = Vec::new();
        for (script, statement, answer) in self.answered(expected) {
            let place = format!("{}:{}", script.name, statement.line);
            match (&statement.error, answer) {
                (None, Ok(_)) => {}
                (None, Err(why)) => wrong.push(format!("{place}: plain DataFusion says {why}\n{}", statement.sql)),
                (Some(marked), Ok(table)) => {
                    let rows = table.rows.len();
                    wrong.push(format!("{place}: marked to fail with `{marked}`, plain DataFusion gives {rows} rows"));
                }
                (Some(marked), Err(why)) if !contains(why, marked) => {
                    wrong.push(format!("{place}: marked to fail with `{marked}`, plain DataFusion says {why}"));
                }
                (Some(_), Err(_)) => {}
            }
        }
        wrong
    }

    /// Compares a mode's answers with those of plain DataFusion.
    pub fn tally(&self, mode: &str, expected: &Answers<'_>, came: &Answers<'_>) -> Tally {
        let mut tally = Tally::default();
        for (script, statement, expected) in self.answered(expected) {
            let came = came.answers.get(&(script.name.as_str(), statement.line));
            let difference = match (came, expected) {
                (None, _) => Some("it did not run".to_owned()),
                (Some(came), expected) => difference(statement, expected, came),
            };
            let excepted = full_name(script, statement).is_some_and(|name| self.exceptions.has(&name, mode));
            match (difference, excepted) {
                (None, false) if expected.is_err() => tally.errors += 1,
                (None, false) => tally.right += 1,
                (Some(_), true) => tally.excepted += 1,
                (None, true) => tally.wrong.push(format!(
                    "{}:{} agrees with plain DataFusion: remove it from exceptions.md",
                    script.name, statement.line
                )),
                (Some(difference), false) => tally.wrong.push(describe(mode, script, statement, &difference)),
            }
        }
        tally
    }

    fn answered<'a>(
        &'a self,
        answers: &'a Answers<'a>,
    ) -> impl Iterator<Item = (&'a Script, &'a Statement, &'a Result<Table, String>)> {
        let statements = self.scripts.iter().flat_map(|script| script.statements.iter().map(move |s| (script, s)));
        statements.filter_map(|(script, statement)| {
            Some((script, statement, answers.answers.get(&(script.name.as_str(), statement.line))?))
        })
    }
}

/// How a statement ran.
#[derive(Default)]
struct Ran {
    /// Of each stage, how many tasks it had.
    tasks: Vec<u32>,
    stages: String,
}

impl Ran {
    /// Whether rows travelled so, by the tree of stages.
    fn has_exchange(&self, kind: &str) -> bool {
        self.stages.contains(&format!("─ {kind}, "))
    }
}

async fn answer(engine: &Engine, statement: &Statement) -> (Result<Table, String>, Ran) {
    match timeout(PATIENCE, engine.run(&statement.sql)).await {
        Ok(Ok(rows)) => (Table::of(&rows), Ran { tasks: rows.tasks, stages: rows.stages }),
        Ok(Err(Failure(why))) => (Err(why), Ran::default()),
        Err(_) => (Err(format!("no answer in {PATIENCE:?}")), Ran::default()),
    }
}

fn difference(statement: &Statement, expected: &Result<Table, String>, came: &Result<Table, String>) -> Option<String> {
    match (expected, came) {
        (Ok(expected), Ok(came)) => expected.difference(came, statement.ordered, statement.tolerance),
        (Ok(_), Err(why)) => Some(format!("it fails: {why}")),
        (Err(why), Ok(came)) => Some(format!("{} rows came, and plain DataFusion says {why}", came.rows.len())),
        (Err(_), Err(why)) => {
            let marked = statement.error.as_deref().unwrap_or_default();
            (!contains(why, marked)).then(|| format!("its error should contain `{marked}`: {why}"))
        }
    }
}

/// Whether a filter means this statement: by its line or its name.
fn is_called(statement: &Statement, query: &str) -> bool {
    query == statement.line.to_string() || statement.name.as_deref() == Some(query)
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

fn full_name(script: &Script, statement: &Statement) -> Option<String> {
    statement.name.as_ref().map(|name| format!("{}:{name}", script.name))
}

fn describe(mode: &str, script: &Script, statement: &Statement, difference: &str) -> String {
    let place = format!("{}:{}", script.name, statement.line);
    let mut text = format!("{place} in mode {mode}: {difference}\n");
    for line in statement.sql.lines() {
        // Writing into a string does not fail.
        let _ = writeln!(text, "    {line}");
    }
    // The binary is built first: a test's own build does not touch it. Both have one selection of features, as another one
    // would build everything again.
    let all = "--workspace --features hearth-integration/sql";
    text.push_str(&format!(
        "  again: cargo build {all} --bin hearth && HEARTH_CORPUS={place} HEARTH_CORPUS_MODE={mode} cargo test {all} --test corpus"
    ));
    text
}

impl Selected {
    /// From `file`, `file:line` and `file:name`, separated by commas; nothing selects all.
    pub fn parse(filter: &str) -> Self {
        let parts = filter.split(',').map(str::trim).filter(|part| !part.is_empty());
        let split = |part: &str| match part.split_once(':') {
            Some((file, query)) => (file.to_owned(), Some(query.to_owned())),
            None => (part.to_owned(), None),
        };
        Self(parts.map(split).collect())
    }

    /// Whether this is everything.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// The parts that name nothing of this corpus.
    pub fn unknown(&self, corpus: &Corpus) -> Vec<String> {
        let known = |(file, query): &(String, Option<String>)| {
            let mut statements = corpus.scripts.iter().filter(|s| s.name == *file).flat_map(|s| &s.statements);
            statements.any(|statement| query.as_deref().is_none_or(|query| is_called(statement, query)))
        };
        let shown = |(file, query): &(String, Option<String>)| match query {
            Some(query) => format!("{file}:{query}"),
            None => file.clone(),
        };
        self.0.iter().filter(|part| !known(part)).map(shown).collect()
    }

    /// What changes the session is needed by whatever comes after it in its file.
    fn has(&self, script: &Script, statement: &Statement) -> bool {
        let is = |query: &str| is_called(statement, query);
        let chosen = |(file, query): &(String, Option<String>)| {
            *file == script.name && (statement.changes || query.as_deref().is_none_or(is))
        };
        self.is_all() || self.0.iter().any(chosen)
    }
}
