//! Statements about variables.

use super::{Planned, SqlSession, Statement};
use crate::PlanError;
use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    common::utils::datafusion_strsim::levenshtein,
    sql::{
        parser::{ResetStatement, Statement as Parsed},
        sqlparser::ast::{Expr, Ident, ObjectName, Set, Statement as Ast, Value},
    },
};
use std::sync::Arc;

/// What a statement does with a variable. Names are as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `SET NAME = VALUE`
    Set(String, String),
    /// `RESET NAME`
    Reset(String),
    /// `SHOW NAME`
    Show(String),
    /// `SHOW ALL`
    ShowAll,
}

impl Statement {
    /// What it does with a variable, if that is what it does.
    pub fn variable(&self) -> Option<Variable> {
        match self.inner() {
            Parsed::Reset(ResetStatement::Variable(name)) => Some(Variable::Reset(dotted(name))),
            Parsed::Statement(statement) => match statement.as_ref() {
                Ast::Set(Set::SingleAssignment { variable, values, .. }) => {
                    let [value] = values.as_slice() else { return None };
                    Some(Variable::Set(dotted(variable), written(value)))
                }
                Ast::ShowVariable { variable } => {
                    let name = variable.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".");
                    Some(if name.eq_ignore_ascii_case("all") { Variable::ShowAll } else { Variable::Show(name) })
                }
                _ => None,
            },
            _ => None,
        }
    }
}

fn dotted(name: &ObjectName) -> String {
    let part = |p: &datafusion::sql::sqlparser::ast::ObjectNamePart| p.as_ident().map_or_else(|| p.to_string(), ident);
    name.0.iter().map(part).collect::<Vec<_>>().join(".")
}

fn ident(ident: &Ident) -> String {
    ident.value.clone()
}

/// A value as it was meant: without its quotes.
fn written(value: &Expr) -> String {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        Expr::Identifier(name) => name.value.clone(),
        other => other.to_string(),
    }
}

impl SqlSession {
    /// Rows of variables, as `SHOW` gives them.
    pub fn variable_rows(pairs: &[(String, String)]) -> Result<Planned, PlanError> {
        let field = |name| Field::new(name, DataType::Utf8, true);
        let schema: SchemaRef = Arc::new(Schema::new(vec![field("name"), field("value")]));
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(pairs.iter().map(|p| &p.0)));
        let values: ArrayRef = Arc::new(StringArray::from_iter_values(pairs.iter().map(|p| &p.1)));
        let rows = RecordBatch::try_new(Arc::clone(&schema), vec![names, values]);
        Ok(Planned::Local(vec![rows.map_err(|e| PlanError::Internal(e.to_string()))?], schema))
    }

    /// Says that a variable is none of ours, and which one was probably meant, when that is what an error is about.
    pub(super) fn hint_variable(&self, statement: &Statement, error: PlanError) -> PlanError {
        let Some(Variable::Set(name, _) | Variable::Reset(name) | Variable::Show(name)) = statement.variable() else {
            return error;
        };
        let (lower, known) = (name.to_lowercase(), self.variables());
        if known.contains(&lower) || lower.starts_with("datafusion.runtime.") {
            return error;
        }
        // `batch_size` alone is meant as often as it is written.
        let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
        let near = known.iter().min_by_key(|key| levenshtein(key, &lower).min(levenshtein(&last(key), &lower)));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        PlanError::Query(format!("{name} is no variable{hint} SHOW ALL lists all"))
    }
}
