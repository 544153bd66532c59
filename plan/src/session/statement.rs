//! Splitting a text into statements.

use super::{apart, nesting, rewrite};
use crate::PlanError;
use datafusion::{
    common::{DataFusionError, config::Dialect},
    execution::session_state::SessionState,
    sql::{
        parser::{DFParserBuilder, Statement as Parsed},
        sqlparser::{dialect::dialect_from_str, tokenizer::Tokenizer},
    },
};
use std::{fmt, sync::Arc};

/// One statement of a text. Errors in it have their position in the whole text. Cheap to clone.
#[derive(Clone)]
pub struct Statement(Arc<Parsed>);

impl Statement {
    pub(super) fn inner(&self) -> &Parsed {
        &self.0
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = apart::compute(|| Ok(self.0.to_string())).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Statement({self})")
    }
}

pub(super) fn split(state: &SessionState, sql: &str) -> Result<Vec<Statement>, PlanError> {
    let options = &state.config_options().sql_parser;
    let name: &Dialect = &options.dialect;
    let dialect = dialect_from_str(name)
        .ok_or_else(|| PlanError::Syntax(format!("unknown SQL dialect {name}; see datafusion.sql_parser.dialect")))?;
    let mut tokenizer = Tokenizer::new(dialect.as_ref(), sql).with_unescape(true);
    let tokens = tokenizer.tokenize_with_location().map_err(|e| DataFusionError::SQL(Box::new(e.into()), None))?;
    nesting::check(&tokens)?;
    let mut parser = DFParserBuilder::new(tokens)
        .with_dialect(dialect.as_ref())
        .with_recursion_limit(options.recursion_limit.get())
        .build()?;
    let parsed = parser.parse_statements().map_err(|e| at_end(e.into(), sql))?;
    let rewritten = parsed.into_iter().map(|mut parsed| {
        rewrite::rewrite(&mut parsed)?;
        Ok(Statement(Arc::new(parsed)))
    });
    rewritten.collect()
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
