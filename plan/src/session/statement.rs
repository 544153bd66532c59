//! Splitting a text into statements.

use super::{apart, nesting, rewrite};
use crate::PlanError;
use datafusion::{
    common::{
        DataFusionError,
        config::{Dialect, SqlParserOptions},
    },
    sql::{
        parser::{DFParserBuilder, Statement as Parsed},
        sqlparser::{ast::Value, dialect::dialect_from_str, tokenizer::Token, tokenizer::Tokenizer},
    },
};
use hearth_core::conf::secret::{REDACTED, is_secret};
use std::{fmt, sync::Arc};

/// One statement of a text. Errors in it have their position in the whole text. Cheap to clone.
#[derive(Clone)]
pub struct Statement {
    parsed: Arc<Parsed>,
    line: u64,
}

impl Statement {
    /// The statements of a text, in order, in the dialect that sessions begin with. Needs no session, so that what is no
    /// SQL is known before there is one.
    pub fn parse(sql: &str) -> Result<Vec<Self>, PlanError> {
        let options = SqlParserOptions::default();
        apart::compute(|| split(&options, sql))
    }

    pub(super) fn inner(&self) -> &Parsed {
        &self.parsed
    }

    /// The line of the text on which it begins, from 1.
    pub const fn line(&self) -> u64 {
        self.line
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = || {
            let mut shown = Parsed::clone(&self.parsed);
            hide_secrets(&mut shown);
            Ok(shown.to_string())
        };
        let text = apart::compute(text).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Statement({self})")
    }
}

/// Puts something else in the place of secrets. `CREATE EXTERNAL TABLE` is shown without its options.
fn hide_secrets(statement: &mut Parsed) {
    match statement {
        Parsed::CopyTo(copy) => {
            for (name, value) in &mut copy.options {
                if is_secret(name) {
                    *value = Value::SingleQuotedString(REDACTED.into());
                }
            }
        }
        Parsed::Explain(explain) => hide_secrets(&mut explain.statement),
        Parsed::Statement(_) | Parsed::CreateExternalTable(_) | Parsed::Reset(_) => {}
    }
}

pub(super) fn split(options: &SqlParserOptions, sql: &str) -> Result<Vec<Statement>, PlanError> {
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
    let mut statements = Vec::new();
    loop {
        let mut apart = statements.is_empty();
        while parser.parser.consume_token(&Token::SemiColon) {
            apart = true;
        }
        let next = parser.parser.peek_token();
        if next.token == Token::EOF {
            return Ok(statements);
        }
        if !apart && let Err(error) = parser.parser.expected::<()>("end of statement", next.clone()) {
            return Err(DataFusionError::from(error).into());
        }
        let mut parsed = parser.parse_statement().map_err(|e| at_end(e.into(), sql))?;
        rewrite::rewrite(&mut parsed)?;
        statements.push(Statement { parsed: Arc::new(parsed), line: next.span.start.line });
    }
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
