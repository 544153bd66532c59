//! Functions: those of the session, and those that executors know by name.

use crate::harness::{local, query, refused, session, session_over, sorted, write_tables};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use hearth_plan::PlanError;
use std::sync::Arc;

#[tokio::test]
async fn functions_are_their_expressions() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 3).await;
    for create in [
        "create function twice(x bigint) returns bigint return x * 2",
        "create function Area(a double, b double) returns double return a * b",
        "create function hyp(a double, b double) returns double return sqrt(area(a, a) + area(b, b))",
        "create function one() returns int return 1",
        "create function old_style(bigint, bigint) returns bigint return $1 - $2",
        "create function label(n bigint, what varchar default 'row') returns varchar return what || ' ' || n",
        "create function narrow(x bigint) returns smallint return x",
    ] {
        local(&session, create).await;
    }
    let one = async |sql: &str| query(&session, sql).await.join(",");
    assert_eq!(one("select twice(21), twice(id) from orders where id = 4").await, "42|8");
    assert_eq!(one("select area(2, 3), hyp(3, 4), one(), old_style(9, 4)").await, "6.000000|5.000000|1|5");
    assert_eq!(
        one("select label(7), label(7, 'line'), label(id) from orders where id = 3").await,
        "row 7|line 7|row 3"
    );
    assert_eq!(one("select arrow_typeof(narrow(3)), narrow(null)").await, "Int16|NULL");
    assert_eq!(one("select sum(twice(id)) from orders where twice(id) < 8").await, "12");
    assert_eq!(
        one("select twice(id) as t from orders where id < 5 group by twice(id) order by twice(id) desc").await,
        "8,6,4,2,0"
    );
    let joined = "select count(*) from orders o join customers c on twice(o.id) = twice(c.id) and o.id < 9";
    assert_eq!(one(joined).await, "9");
    assert_eq!(one("select max(n) from (select row_number() over (order by twice(id)) n from orders)").await, "1200");
    // What a function means does not change with those it was made of.
    local(&session, "create or replace function area(a double, b double) returns double return 0").await;
    assert_eq!(one("select area(2, 3), hyp(3, 4)").await, "0.000000|5.000000");
    local(&session, "drop function twice").await;
    assert!(refused(&session, "select twice(1)").await.to_string().contains("twice"));
    local(&session, "drop function if exists twice").await;
    local(&session, "drop function AREA").await;
    assert!(refused(&session, "select area(1, 1)").await.to_string().contains("area"));
}

#[tokio::test]
async fn a_function_that_cannot_be_is_refused() {
    let session = session(2);
    local(&session, "create function f(a int) returns int return a").await;
    for (create, word) in [
        ("create function f(a int) returns int return a", "exists already"),
        ("create function g(a int) returns int return b", "b"),
        ("create function g(a int) returns int return $2", "no parameter $2"),
        ("create function g(a int) return a", "RETURNS"),
        ("create function g(a int) returns int return sum(a)", "scalar functions"),
        ("create function g(a int) returns int return (select 1)", "subquery"),
        ("create function g(a int) returns int language python as 'x'", "python"),
        ("create function g(a int) returns int return g(a)", "g"),
    ] {
        let error = refused(&session, create).await.to_string();
        assert!(error.contains(word), "{create}: {error}");
    }
    for (call, said) in
        [("f()", "takes 1 to 1 arguments, and was given 0"), ("f([1])", "takes a Int32, and was given a List")]
    {
        let error = refused(&session, &format!("select {call}")).await.to_string();
        assert!(error.contains(said), "{call}: {error}");
    }
    // Each twice the last.
    let mut error = None;
    local(&session, "create function f0(a int) returns int return a").await;
    for i in 1..40 {
        let create = format!("create function f{i}(a int) returns int return f{}(a) + f{}(a + 1)", i - 1, i - 1);
        if let Err(e) = session.plan(&create).await {
            error = Some(e.to_string());
            break;
        }
    }
    let error = error.expect("functions that double cannot go on for ever");
    assert!(error.contains("too large"), "{error}");
}

/// A call stands for its expression, in which an argument may stand twice.
#[tokio::test]
async fn calls_cannot_double_what_they_are_given() {
    let session = session(2);
    local(&session, "create function d(x bigint) returns bigint return x + x").await;
    local(&session, "create function half(x bigint, y bigint default 2) returns bigint return x / y").await;
    let nested = |name: &str, times: usize, inner: &str| {
        format!("select {}{inner}{} from tpch.sf0_01.nation", format!("{name}(").repeat(times), ")".repeat(times))
    };
    let eight = query(&session, &(nested("d", 3, "n_nationkey") + " where n_nationkey = 5")).await;
    assert_eq!(eight, ["40"]);
    for times in [17, 30] {
        let error = refused(&session, &nested("d", times, "n_nationkey")).await.to_string();
        assert!(error.starts_with("a call of function d stands for an expression that is too large"), "{error}");
    }
    let error = refused(&session, &nested("d", 17, "(select max(n_nationkey) from tpch.sf0_01.nation)")).await;
    assert!(error.to_string().contains("too large"), "{error}");
    // One use each: as deep as what is written.
    let error = refused(&session, &nested("half", 900, "n_nationkey")).await.to_string();
    assert!(error.contains("too large") || error.contains("too deeply"), "{error}");
}

#[tokio::test]
async fn an_argument_that_varies_is_computed_once_or_refused() {
    let session = session(2);
    local(&session, "create function sq(x double) returns double return x * x").await;
    local(&session, "create function neg(x double, y double default random()) returns double return -x").await;
    local(&session, "create function two(x double default random()) returns double return x - x").await;
    for call in ["sq(random())", "sq(1 + random())", "sq(neg(random()))", "two()", "sq((select random()))"] {
        let error = refused(&session, &format!("select {call} from tpch.sf0_01.region")).await.to_string();
        assert!(error.contains("is different each time it is computed, and the function uses it 2 times"), "{error}");
    }
    let once = "select count(*) from tpch.sf0_01.region where neg(random()) <= 0";
    assert_eq!(query(&session, once).await, ["5"]);
    let apart = "select count(*) from (select r, sq(r) as s from (select random() as r from tpch.sf0_01.region)) \
                 where abs(s - r * r) < 1e-12";
    assert_eq!(query(&session, apart).await, ["5"]);
}

#[tokio::test]
async fn a_function_that_executors_do_not_have_is_named() {
    let session = session(2);
    let same = |args: &[ColumnarValue]| Ok(args[0].clone());
    let register = |name: &str| {
        let function = create_udf(name, vec![DataType::Int64], DataType::Int64, Volatility::Volatile, Arc::new(same));
        session.context().register_udf(function);
    };
    register("mine");
    // Nor is another one of the same name.
    register("abs");
    for (sql, name) in [
        ("select mine(n_nationkey) from tpch.sf0_01.nation", "mine"),
        ("select count(*) from tpch.sf0_01.nation where abs(n_nationkey) > 3", "abs"),
    ] {
        let error = refused(&session, sql).await;
        assert!(matches!(error, PlanError::Unsupported(_)), "{error:?}");
        let said = format!("running the function {name} on executors, which do not have it");
        assert!(error.to_string().starts_with(&said), "{error}");
    }
}

/// Lambdas, aggregates and window functions of every kind travel by name.
#[tokio::test]
async fn built_in_functions_travel() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 3).await;
    local(&session, "set datafusion.sql_parser.dialect = 'duckdb'").await;
    for (sql, expected) in [
        ("select array_transform([id, 2], x -> x * 10) from orders where id = 5", "[50, 20]"),
        ("select array_filter([1, id, 3], x -> x > 2) from orders where id = 7", "[7, 3]"),
        ("select array_any_match([1, id], x -> x > 5) from orders where id = 7", "true"),
        (
            "select array_transform([[id, 1], [2]], l -> array_transform(l, x -> x + 1)) from orders where id = 4",
            "[[5, 2], [3]]",
        ),
        ("select bit_xor(id), bool_and(id >= 0), var_pop(id) from orders where id < 3", "3|true|0.666667"),
        ("select approx_percentile_cont(0.5) within group (order by id) from orders where id < 3", "1.000000"),
        ("select nth_value(id, 2 order by id) from orders", "1"),
    ] {
        assert_eq!(sorted(query(&session, sql).await), [expected], "{sql}");
    }
    let windows = "select ntile(2) over (order by id), rank() over (order by id), percent_rank() over (order by id), \
                   nth_value(id, 2) over (order by id), lead(id, 1, -1) over (order by id) from orders where id < 2";
    assert_eq!(sorted(query(&session, windows).await), ["1|1|0.000000|NULL|1", "2|2|1.000000|1|-1"]);
}
