//! A file of the corpus: statements, each with the comments above it.
//!
//! A statement ends with a semicolon at the end of a line. Comments that begin with `-- @` say what is expected of the
//! statement below them; a file's other comments are for people.
//!
//! | comment | meaning |
//! |---|---|
//! | `-- @name NAME` | what the table of exceptions and people call it |
//! | `-- @error TEXT` | it fails, and its error contains TEXT, whatever the case |
//! | `-- @ordered` | its rows have an order that no ORDER BY at its top shows, as those of EXECUTE |
//! | `-- @tolerance 1e-6` | how far floats may lie apart, as a part of the expected one |

use datafusion::sql::{
    parser::{DFParser, Statement as Parsed},
    sqlparser::ast,
};

/// How far floats may lie apart unless a query says otherwise. Sums in another order differ in the last of 16 digits;
/// 10⁻⁹ allows for thousands of such differences, and for no wrong row.
const TOLERANCE: f64 = 1e-9;

/// The statements of one file.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file's name, without its ending.
    pub name: String,
    /// Its statements, in order.
    pub statements: Vec<Statement>,
}

/// A statement and what is expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The line of the file at which it begins.
    pub line: usize,
    /// What it is called, if it has a name.
    pub name: Option<String>,
    /// Its text.
    pub sql: String,
    /// It changes the session, so that later statements need it.
    pub changes: bool,
    /// Its rows have an order.
    pub ordered: bool,
    /// What its error must contain, when it must fail.
    pub error: Option<String>,
    /// How far floats may lie apart, as a part of the expected one.
    pub tolerance: f64,
}

/// What the comments above a statement ask for.
#[derive(Default)]
struct Marks {
    name: Option<String>,
    error: Option<String>,
    ordered: bool,
    tolerance: Option<f64>,
}

impl Script {
    /// The statements of a text, or what is wrong with it and where.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut statements: Vec<Statement> = Vec::new();
        let mut marks = Marks::default();
        let mut sql = String::new();
        let mut begun = 0;
        for (at, line) in text.lines().enumerate() {
            if sql.is_empty() {
                if let Some(mark) = line.strip_prefix("-- @") {
                    marks.read(mark).map_err(|wrong| format!("{name}:{}: {wrong}", at + 1))?;
                    continue;
                }
                if line.trim().is_empty() || line.starts_with("--") {
                    continue;
                }
                begun = at + 1;
            } else {
                sql.push('\n');
            }
            sql.push_str(line.trim_end());
            if let Some(whole) = sql.strip_suffix(';') {
                let statement = std::mem::take(&mut marks).statement(begun, whole);
                if let Some(same) = &statement.name
                    && statements.iter().any(|other| other.name.as_ref() == Some(same))
                {
                    return Err(format!("{name}:{begun}: another query of this file is called {same}"));
                }
                statements.push(statement);
                sql.clear();
            }
        }
        match sql.is_empty() {
            true => Ok(Self { name: name.to_owned(), statements }),
            false => Err(format!("{name}:{begun}: no semicolon at the end of a line ends this statement")),
        }
    }
}

impl Marks {
    fn read(&mut self, mark: &str) -> Result<(), String> {
        let (key, value) = mark.split_once(' ').unwrap_or((mark, ""));
        let value = value.trim();
        match (key, value.is_empty()) {
            ("name", false) => self.name = Some(value.to_owned()),
            ("error", false) => self.error = Some(value.to_owned()),
            ("ordered", true) => self.ordered = true,
            ("tolerance", false) => {
                let number = value.parse().map_err(|_| format!("@tolerance {value}: not a number such as 1e-6"))?;
                self.tolerance = Some(number);
            }
            _ => {
                return Err(format!("-- @{mark}: not one of @name NAME, @error TEXT, @ordered and @tolerance NUMBER"));
            }
        }
        Ok(())
    }

    fn statement(self, line: usize, sql: &str) -> Statement {
        let shape = Shape::of(sql);
        Statement {
            line,
            name: self.name,
            sql: sql.to_owned(),
            // What fails changes nothing.
            changes: shape == Shape::Change && self.error.is_none(),
            ordered: self.ordered || shape == Shape::OrderedQuery,
            error: self.error,
            tolerance: self.tolerance.unwrap_or(TOLERANCE),
        }
    }
}

/// What a statement is, as far as the corpus treats them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Query,
    OrderedQuery,
    Change,
}

impl Shape {
    /// What does not parse is a query: it will fail, or not, like one.
    fn of(sql: &str) -> Self {
        let Ok(mut parsed) = DFParser::parse_sql(sql) else { return Self::Query };
        let Some(Parsed::Statement(statement)) = parsed.pop_front() else { return Self::Change };
        match *statement {
            ast::Statement::Query(query) if query.order_by.is_some() => Self::OrderedQuery,
            ast::Statement::Query(_)
            | ast::Statement::Execute { .. }
            | ast::Statement::ExplainTable { .. }
            | ast::Statement::ShowTables { .. }
            | ast::Statement::ShowColumns { .. }
            | ast::Statement::ShowVariable { .. }
            | ast::Statement::ShowFunctions { .. } => Self::Query,
            _ => Self::Change,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "-- For people.\n\
        create view v as select 1 as a;\n\
        \n\
        -- @name all\n\
        -- @tolerance 0.5\n\
        select a\n\
        -- not the end;x\n\
        from v\n\
        order by a;\n\
        -- @error Divide\n\
        select 1 / 0;\n\
        -- @ordered\n\
        execute p(1);\n\
        select ';' ;\n";

    #[test]
    fn statements_have_what_the_comments_above_them_say() {
        let script = Script::parse("s", TEXT).unwrap();
        let of = |f: fn(&Statement) -> String| script.statements.iter().map(f).collect::<Vec<_>>();
        assert_eq!(of(|s| s.line.to_string()), ["2", "6", "11", "13", "14"]);
        assert_eq!(of(|s| s.changes.to_string()), ["true", "false", "false", "false", "false"]);
        assert_eq!(of(|s| s.ordered.to_string()), ["false", "true", "false", "true", "false"]);
        assert_eq!(script.statements[1].name.as_deref(), Some("all"));
        assert_eq!(script.statements[1].tolerance, 0.5);
        assert_eq!(script.statements[1].sql, "select a\n-- not the end;x\nfrom v\norder by a");
        assert_eq!(script.statements[2].error.as_deref(), Some("Divide"));
        assert_eq!(script.statements[2].tolerance, TOLERANCE);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, wrong) in [
            ("-- @eror x\nselect 1;", "s:1: -- @eror x: not one of"),
            ("-- @ordered yes\nselect 1;", "s:1: -- @ordered yes: not one of"),
            ("-- @tolerance much\nselect 1;", "s:1: @tolerance much: not a number"),
            ("select 1;\n\nselect\n2", "s:3: no semicolon"),
            ("-- @name a\nselect 1;\n-- @name a\nselect 2;", "s:4: another query of this file is called a"),
        ] {
            let error = Script::parse("s", text).unwrap_err();
            assert!(error.starts_with(wrong), "{error}");
        }
    }
}
