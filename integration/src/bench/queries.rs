//! The 22 queries, and what their texts say about the order of their rows.

use crate::failure::{Doing, Failure};
use datafusion::sql::{
    parser::{DFParser, Statement},
    sqlparser::ast::{Expr, LimitClause, OrderByKind, Query as Ast, Statement as Sql, Value},
};
use hearth_integration::answers::Order;
use std::{fs, path::Path};

/// One query of TPC-H.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// From 1 to 22.
    pub(crate) number: u32,
    /// Its text.
    pub(crate) sql: String,
    /// How it orders and cuts its rows.
    pub(crate) order: Order,
}

impl Query {
    /// The query of this number.
    pub(crate) fn read(number: u32) -> Result<Self, Failure> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/tpch/queries/q{number:02}.sql"));
        let sql = fs::read_to_string(&path).doing(path.display())?;
        let order = order(&sql).map_err(|why| Failure::new(format!("{}: {why}", path.display())))?;
        Ok(Self { number, sql, order })
    }

    /// What tables call it.
    pub(crate) fn name(&self) -> String {
        format!("q{:02}", self.number)
    }
}

/// The order that a text asks for. Each key must be an output column's name, for only those can be compared.
fn order(sql: &str) -> Result<Order, String> {
    let mut statements = DFParser::parse_sql(sql).map_err(|e| e.to_string())?;
    let (Some(Statement::Statement(statement)), true) = (statements.pop_front(), statements.is_empty()) else {
        return Err("not one SQL statement".to_owned());
    };
    let Sql::Query(query) = *statement else { return Err("not a query".to_owned()) };
    Ok(Order { keys: keys(&query)?, limit: limit(&query)? })
}

fn keys(query: &Ast) -> Result<Vec<String>, String> {
    let expressions = match query.order_by.as_ref().map(|order_by| &order_by.kind) {
        None => return Ok(Vec::new()),
        Some(OrderByKind::Expressions(expressions)) => expressions,
        Some(OrderByKind::All(_)) => return Err("ORDER BY ALL names no keys".to_owned()),
    };
    let name = |expression: &Expr| match expression {
        Expr::Identifier(name) => Ok(name.value.clone()),
        other => Err(format!("the sort key {other} is not an output column's name")),
    };
    expressions.iter().map(|key| name(&key.expr)).collect()
}

fn limit(query: &Ast) -> Result<Option<usize>, String> {
    let limit = match &query.limit_clause {
        None => return Ok(None),
        Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, .. }) => limit,
        Some(other) => return Err(format!("{other} is not a plain LIMIT")),
    };
    let number = match limit {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.to_string().parse().ok(),
            _ => None,
        },
        _ => None,
    };
    number.map(Some).ok_or(format!("the limit {limit} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_says_its_order() {
        let all: Vec<_> = (1..=22).map(|number| Query::read(number).unwrap()).collect();
        // By hand, from the texts of the specification: these have no order, and these a limit.
        let unordered: Vec<_> = all.iter().filter(|q| q.order.keys.is_empty()).map(|q| q.number).collect();
        assert_eq!(unordered, [6, 14, 17, 19]);
        let limited: Vec<_> = all.iter().filter_map(|q| Some((q.number, q.order.limit?))).collect();
        assert_eq!(limited, [(2, 100), (3, 10), (10, 20), (18, 100), (21, 100)]);
        assert_eq!(all[17].order.keys, ["o_totalprice", "o_orderdate"]);
        assert_eq!(all[0].name(), "q01");
    }

    #[test]
    fn an_order_that_cannot_be_compared_is_refused() {
        for bad in [
            "select a from t order by a + 1",
            "select 1; select 2",
            "drop table t",
            "select a from t limit 1 offset 2",
            "selec",
        ] {
            order(bad).expect_err(bad);
        }
    }
}
