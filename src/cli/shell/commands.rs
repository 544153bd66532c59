//! What begins with a dot.

use super::{
    super::source::Source,
    Next, Shell,
    candidates::{Candidates, Names, files},
    file::OpenFile,
    history::History,
    output,
};
use crate::cli::{flags, target::Target};
use hearth_core::conf::secret::{REDACTED, is_secret};
use hearth_plan::format::Format;
use std::{
    borrow::Cow,
    io::Write,
    path::{Path, PathBuf},
};

/// A command: its name, its arguments and what it does.
struct About(&'static str, &'static str, &'static str);

const COMMANDS: &[About] = &[
    About("help", "", "say this"),
    About("tables", "[PATTERN]", "list tables; * stands for anything, as in tpch.sf1.*"),
    About("schema", "TABLE", "list the columns of a table"),
    About("format", "[NAME]", "say or choose how rows are printed"),
    About("timing", "on|off", "print how long statements take"),
    About("pager", "on|off|COMMAND", "page results that are longer or wider than the screen"),
    About("output", "FILE|-", "write rows to a file, until .output - or the end; its name picks the format"),
    About("read", "FILE", "run the statements of a file"),
    About("explain", "SQL", "say how a statement would run"),
    About("conf", "", "print the configuration that was set"),
    About("status", "", "print what this session holds of the cluster"),
    About("history", "[N]", "print the newest statements"),
    About("quit", "", "leave; so do exit, quit and Ctrl-D"),
];

/// A line that is a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command<'a> {
    name: &'a str,
    argument: &'a str,
}

/// The command that a line is.
pub(super) fn of_line(line: &str) -> Option<Command<'_>> {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix('.') {
        // `.5 + 1` is no command, but no statement either.
        let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        return Some(Command { name, argument: argument.trim() });
    }
    let word = line.trim_end_matches(';').trim_end();
    match word.to_ascii_lowercase().as_str() {
        "exit" | "quit" => Some(Command { name: "quit", argument: "" }),
        "help" | "?" => Some(Command { name: "help", argument: "" }),
        _ => None,
    }
}

/// What a command line can become.
pub(super) fn complete(names: &Names<'_>, line: &str) -> Candidates {
    let begin = line.len() - line.trim_start().len() + 1;
    let Some((name, argument)) = line[begin..].split_once(' ') else {
        let typed = &line[begin..];
        let words = COMMANDS.iter().map(|c| c.0).filter(|name| name.starts_with(typed));
        return Candidates { start: begin, words: words.map(str::to_owned).collect() };
    };
    let start = begin + name.len() + 1;
    let among = |words: &[&str]| {
        let words = words.iter().filter(|word| word.starts_with(argument));
        Candidates { start, words: words.map(|word| (*word).to_owned()).collect() }
    };
    match name {
        "tables" | "schema" => Candidates { start, words: names.table_names(argument) },
        "format" => among(&Format::ALL.map(Format::name)),
        "timing" | "pager" => among(&["on", "off"]),
        "read" | "output" => files(argument, start),
        "explain" => {
            let found = names.at(argument, argument.len());
            Candidates { start: start + found.start, words: found.words }
        }
        _ => Candidates::default(),
    }
}

impl Shell {
    /// Does what a command says.
    pub(super) fn command(&mut self, command: &Command<'_>) -> Next {
        let done = match (command.name, command.argument) {
            ("quit" | "exit", _) => return Next::Leave,
            ("explain", sql) if !sql.is_empty() => match self.explained(sql) {
                Ok(source) => return self.run_source(&source),
                Err(message) => Err(message),
            },
            ("read", path) if !path.is_empty() => match Source::file(Path::new(&*unquoted(path))) {
                Ok(source) => return self.run_source(&source),
                Err(failure) => Err(failure.message),
            },
            ("help", _) => self.show(&help()),
            ("tables", pattern) => self.tables(pattern),
            ("schema", table) if !table.is_empty() => self.schema(table),
            ("format", "") => self.show(&format!("{}\n", self.format)),
            ("format", name) => name.parse().map(|format| {
                self.format = format;
                if self.file.results().is_none() {
                    self.screen = format;
                }
            }),
            ("timing", word) => switch(word).map(|on| self.timing = on),
            ("pager", "") => self.show(&format!("{}\n", self.paging.command().unwrap_or("off"))),
            ("pager", word) => {
                match switch(word) {
                    Ok(on) => self.paging.switch(on),
                    Err(_) => self.paging.choose(word),
                }
                Ok(())
            }
            ("output", path) if !path.is_empty() => self.redirect(path),
            ("conf", _) => self.show(&self.configuration()),
            ("status", _) => self.show(&self.status()),
            ("history", count) => self.past(count),
            (name, _) => Err(misused(name)),
        };
        if let Err(message) = done {
            output::remark(&format!("error: {message}"));
        }
        Next::Prompt
    }

    /// Prints text that was asked for, through the pager when it is long.
    fn show(&self, text: &str) -> Result<(), String> {
        let opened = self.paging.target().map_or_else(|| Target::open(None), Ok);
        let mut target = opened.map_err(|failure| failure.message)?;
        target.stream.write_all(text.as_bytes()).map_err(|e| e.to_string())?;
        target.finish().map_err(|failure| failure.message)
    }

    fn tables(&self, pattern: &str) -> Result<(), String> {
        let planner = &self.names()?;
        let (default_catalog, default_schema) = planner.defaults();
        let mut found = Vec::new();
        for catalog in planner.catalogs() {
            for schema in planner.schemas(&catalog) {
                let is_default = (&catalog, &schema) == (&default_catalog, &default_schema);
                for table in planner.tables(&catalog, &schema) {
                    let full = format!("{catalog}.{schema}.{table}");
                    let shown = if is_default { table } else { full.clone() };
                    let wanted =
                        if pattern.is_empty() { is_default } else { fits(pattern, &shown) || fits(pattern, &full) };
                    if wanted {
                        found.push(flags::printable(&shown));
                    }
                }
            }
        }
        if found.is_empty() && pattern.is_empty() {
            return self.show("no tables here; tpch.sf1.* are always there\n");
        }
        if found.is_empty() {
            return Err(format!("no table fits {pattern:?}; .tables *.*.* lists all"));
        }
        self.show(&(found.join("\n") + "\n"))
    }

    fn schema(&self, table: &str) -> Result<(), String> {
        let path: Vec<String> = table.trim_end_matches(';').split('.').map(|p| unquoted(p).into_owned()).collect();
        let planner = self.names()?;
        let schema = self.runtime.block_on(planner.columns(&path));
        let schema = schema.ok_or_else(|| format!("there is no table {table}; .tables lists them"))?;
        let mut columns = flags::table(&["column", "type", "nullable"]);
        for field in schema.fields() {
            let nullable = if field.is_nullable() { "yes" } else { "no" };
            columns.add_row([flags::printable(field.name()), field.data_type().to_string(), nullable.to_owned()]);
        }
        self.show(&format!("{columns}\n"))
    }

    fn names(&self) -> Result<hearth_plan::SqlSession, String> {
        let context = self.context.try_lock().map_err(|_| "the session is ending".to_owned())?;
        context.as_ref().map(hearth::Context::planner).ok_or_else(|| "the session is over".into())
    }

    /// The text that explains a statement. One only: the others would run.
    fn explained(&self, sql: &str) -> Result<Source, String> {
        let text = format!("EXPLAIN {sql}");
        match self.names()?.statements(&text).map_or(1, |statements| statements.len()) {
            // What is no SQL is said where it is run.
            0 | 1 => Ok(Source::typed(&text)),
            n => Err(format!("expected one statement after .explain, found {n}; nothing ran")),
        }
    }

    fn redirect(&mut self, path: &str) -> Result<(), String> {
        if path == "-" {
            self.format = self.screen;
            return self.file.take().map_or(Ok(()), OpenFile::close).map_err(|failure| failure.message);
        }
        let path = PathBuf::from(unquoted(path).into_owned());
        // Opened first: when that fails, everything stays as it is.
        let file = OpenFile::open(&path).map_err(|failure| failure.message)?;
        self.format = Format::of_file(&path).unwrap_or(self.format);
        let before = self.file.replace(file);
        output::remark(&format!("rows go to {} as {}, until .output -", path.display(), self.format));
        before.map_or(Ok(()), OpenFile::close).map_err(|failure| failure.message)
    }

    fn configuration(&self) -> String {
        let pairs = self.conf.pairs().iter();
        let line = |(key, value): (&String, &String)| {
            let value = if is_secret(key) { REDACTED } else { value };
            format!("{key} {}\n", flags::printable(value))
        };
        let set: String = pairs.map(line).collect();
        if set.is_empty() { "nothing is set; SHOW ALL prints every variable\n".into() } else { set }
    }

    fn past(&self, count: &str) -> Result<(), String> {
        /// What fits on a screen.
        const SHOWN: usize = 20;
        let count = if count.is_empty() { Ok(SHOWN) } else { count.parse() };
        let count = count.map_err(|_| "expected .history N, a number of statements".to_owned())?;
        let lines = History::newest(&self.editor, count);
        self.show(&lines.iter().map(|line| format!("{}\n", flags::printable(line))).collect::<String>())
    }
}

fn help() -> String {
    let mut out = String::from(
        "SQL statements end with ; and may have many lines. Tab completes, ↑ and Ctrl-R find older statements.\n\
         Ctrl-C clears the line, or cancels the query that runs; twice leaves.\n\n",
    );
    for About(name, arguments, what) in COMMANDS {
        let usage = format!(".{name} {arguments}");
        out.push_str(&format!("{usage:<24} {what}\n"));
    }
    out
}

/// What to say about a command that is not there, or lacks its argument.
fn misused(name: &str) -> String {
    if let Some(About(name, arguments, what)) = COMMANDS.iter().find(|c| c.0 == name) {
        return format!("expected .{name} {arguments}: {what}");
    }
    let near = COMMANDS.iter().map(|c| c.0).find(|c| !name.is_empty() && (c.starts_with(name) || similar(c, name)));
    let hint = near.map_or_else(|| ".help lists them".into(), |near| format!("did you mean .{near}?"));
    format!(".{} is no command; {hint}", flags::printable(name))
}

/// Whether one slip of the finger lies between two words: a letter more, less, other, or two swapped.
fn similar(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let front = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[front..], &b[front..]);
    let swapped = a.len() >= 2 && b.len() >= 2 && a[0] == b[1] && a[1] == b[0] && a[2..] == b[2..];
    match (a, b) {
        ([], []) => true,
        ([], rest) | (rest, []) => rest.len() == 1,
        ([_, x @ ..], [_, y @ ..]) => x == y || a == y || x == b || swapped,
    }
}

fn switch(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("expected on or off, not {other:?}")),
    }
}

/// Whether a name fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(name),
        Some((begin, rest)) => {
            let Some(tail) =
                name.get(..begin.len()).filter(|b| b.eq_ignore_ascii_case(begin)).map(|b| &name[b.len()..])
            else {
                return false;
            };
            let starts = tail.char_indices().map(|(i, _)| i).chain([tail.len()]);
            rest.is_empty() || starts.into_iter().any(|i| fits(rest, &tail[i..]))
        }
    }
}

fn unquoted(text: &str) -> Cow<'_, str> {
    let quote = |q: char| text.strip_prefix(q).and_then(|t| t.strip_suffix(q));
    quote('\'').or_else(|| quote('"')).unwrap_or(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let command = |name, argument| Some(Command { name, argument });
        assert_eq!(of_line(" .format  csv "), command("format", "csv"));
        assert_eq!(of_line("exit;"), command("quit", ""));
        assert_eq!(of_line("QUIT"), command("quit", ""));
        assert_eq!(of_line("select 1;"), None);
    }

    #[test]
    fn an_unknown_command_names_the_nearest() {
        assert!(misused("tabels").contains("did you mean .tables?"));
        assert!(misused("sch").contains("did you mean .schema?"));
        assert!(misused("frobnicate").ends_with("is no command; .help lists them"));
        assert!(misused("read").starts_with("expected .read FILE"));
    }

    #[test]
    fn a_star_stands_for_anything() {
        assert!(fits("tpch.sf1.*", "tpch.sf1.orders") && fits("*ord*", "tpch.sf1.orders") && fits("*", "x"));
        assert!(fits("Orders", "orders") && !fits("ord", "orders") && !fits("x*", "orders") && !fits("*x", "orders"));
    }
}
