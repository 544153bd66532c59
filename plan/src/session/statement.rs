//! Splitting a text into statements.

use crate::PlanError;
use datafusion::{
    common::config::Dialect,
    execution::session_state::SessionState,
    sql::{
        parser::{DFParserBuilder, Statement as Parsed},
        sqlparser::dialect::dialect_from_str,
    },
};
use std::fmt;

/// One statement of a text. Errors in it have their position in the whole text.
#[derive(Clone, Debug)]
pub struct Statement(Parsed);

impl Statement {
    pub(super) const fn inner(&self) -> &Parsed {
        &self.0
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub(super) fn split(state: &SessionState, sql: &str) -> Result<Vec<Statement>, PlanError> {
    let options = &state.config_options().sql_parser;
    let name: &Dialect = &options.dialect;
    let dialect = dialect_from_str(name)
        .ok_or_else(|| PlanError::Syntax(format!("unknown SQL dialect {name}; see datafusion.sql_parser.dialect")))?;
    let mut parser = DFParserBuilder::new(sql)
        .with_dialect(dialect.as_ref())
        .with_recursion_limit(options.recursion_limit.get())
        .build()?;
    let parsed = parser.parse_statements().map_err(|e| at_end(e.into(), sql))?;
    Ok(parsed.into_iter().map(Statement).collect())
}

/// The parser says where something stands that it did not expect, but not where the text ends.
fn at_end(error: PlanError, sql: &str) -> PlanError {
    match error {
        PlanError::Syntax(message) if message.ends_with("found: EOF") => {
            let line = sql.lines().count().max(1);
            let column = sql.lines().last().unwrap_or_default().chars().count() + 1;
            PlanError::Syntax(format!("{message} at Line: {line}, Column: {column}"))
        }
        other => other,
    }
}
