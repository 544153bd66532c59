//! What is changed in a statement's syntax tree before it is planned: forms that DataFusion parses but does not plan.

use crate::PlanError;
use datafusion::sql::{
    parser::{CopyToSource, Statement as Parsed},
    sqlparser::{
        ast::{
            CreateFunction, CreateFunctionBody, Expr, OptimizerHint, Select, Statement, Value, VisitMut, VisitorMut,
            visit_expressions_mut,
        },
        dialect::GenericDialect,
        parser::Parser,
    },
};
use std::ops::ControlFlow;

/// Changes a statement, or says what is wrong with its hints.
pub(super) fn rewrite(statement: &mut Parsed) -> Result<(), PlanError> {
    match statement {
        Parsed::Statement(inner) => {
            if let Statement::CreateFunction(function) = inner.as_mut() {
                name_parameters(function);
            }
            take_hints(inner.as_mut())
        }
        Parsed::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => take_hints(query.as_mut()),
            CopyToSource::Relation(_) => Ok(()),
        },
        Parsed::Explain(explain) => rewrite(&mut explain.statement),
        Parsed::CreateExternalTable(_) | Parsed::Reset(_) => Ok(()),
    }
}

fn take_hints(tree: &mut impl VisitMut) -> Result<(), PlanError> {
    match tree.visit(&mut Hints) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Parameters of a function by their names, as in `RETURN a + b`; DataFusion wants `$1 + $2`.
fn name_parameters(function: &mut CreateFunction) {
    let args = function.args.as_deref().unwrap_or_default();
    let name = |ident: &datafusion::sql::sqlparser::ast::Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    let names: Vec<_> = args.iter().map(|arg| arg.name.as_ref().map(name)).collect();
    let body = match &mut function.function_body {
        Some(CreateFunctionBody::Return(body) | CreateFunctionBody::AsAfterOptions(body)) => body,
        Some(CreateFunctionBody::AsBeforeOptions { body, .. }) => body,
        _ => return,
    };
    let _ = visit_expressions_mut(body, |expr| {
        if let Expr::Identifier(ident) = expr
            && let Some(place) = names.iter().position(|n| n.as_deref() == Some(name(ident).as_str()))
        {
            *expr = Expr::Value(Value::Placeholder(format!("${}", place + 1)).into());
        }
        ControlFlow::<()>::Continue(())
    });
}

/// `/*+ REPARTITION(n, keys…) */` as `DISTRIBUTE BY n, keys…`. Other hints are for other systems.
struct Hints;

impl VisitorMut for Hints {
    type Break = PlanError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<PlanError> {
        let hints = std::mem::take(&mut select.optimizer_hints);
        for hint in hints {
            match repartition(&hint) {
                Some(Ok(keys)) if select.distribute_by.is_empty() => select.distribute_by = keys,
                Some(Ok(_)) => {
                    return ControlFlow::Break(PlanError::Syntax(format!(
                        "syntax error: {hint} beside another repartition of the same SELECT; leave one of them out"
                    )));
                }
                Some(Err(error)) => return ControlFlow::Break(error),
                None => select.optimizer_hints.push(hint),
            }
        }
        ControlFlow::Continue(())
    }
}

/// What a hint says of partitions, if it is about that.
fn repartition(hint: &OptimizerHint) -> Option<Result<Vec<Expr>, PlanError>> {
    let text = hint.text.trim();
    let is_meant = text.get(..11).is_some_and(|word| word.eq_ignore_ascii_case("repartition"));
    let rest = is_meant.then(|| text[11..].trim())?;
    if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let wrong = || {
        PlanError::Syntax(format!(
            "syntax error: the hint {hint} is none; write /*+ REPARTITION(8) */, /*+ REPARTITION(key) */ or \
             /*+ REPARTITION(8, key) */"
        ))
    };
    let keys = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).map(|keys| {
        let mut parser = Parser::new(&GenericDialect {}).try_with_sql(keys)?;
        let keys = parser.parse_comma_separated(Parser::parse_expr)?;
        parser.expect_token(&datafusion::sql::sqlparser::tokenizer::Token::EOF)?;
        Ok::<_, datafusion::sql::sqlparser::parser::ParserError>(keys)
    });
    Some(match keys {
        Some(Ok(keys)) => Ok(keys),
        _ => Err(wrong()),
    })
}
