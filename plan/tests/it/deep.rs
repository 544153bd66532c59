//! Statements as deep as they are long: an answer or an error, never a stack that overflows.

use crate::harness::{env, run, session};
use hearth_plan::Planned;
use std::{fmt::Write, future::Future, thread, time::Duration};

/// What an ordinary thread has.
const CALLER: usize = 2 << 20;
/// What a thread has that computes tasks in an executor.
const EXECUTOR: usize = 8 << 20;

fn on_stack<T: Send>(bytes: usize, work: impl Future<Output = T> + Send) -> T {
    let body = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    thread::scope(|s| thread::Builder::new().stack_size(bytes).spawn_scoped(s, body).unwrap().join().unwrap())
}

/// Plans, and runs what is planned, on threads like those that do so in a cluster. Gives the number of rows.
fn answer(sql: &str) -> Result<usize, String> {
    let planned = on_stack(CALLER, async { session(1).plan(sql).await.map_err(|e| e.to_string()) })?;
    let Planned::Query { graph, .. } = planned else { return Ok(0) };
    let rows = on_stack(EXECUTOR, async { run(&graph, &env()).await.map_err(|e| e.to_string()) })?;
    Ok(rows.iter().map(|b| b.num_rows()).sum())
}

/// A text with a part for each term; the first is different.
fn terms(count: usize, first: &str, mut next: impl FnMut(usize) -> String) -> String {
    (1..count).fold(first.to_owned(), |mut text, i| {
        // Writing into a string does not fail.
        let _ = write!(text, "{}", next(i));
        text
    })
}

const NATION: &str = "from tpch.sf0_01.nation";

fn sum(count: usize) -> String {
    format!("{} {NATION}", terms(count, "select n_nationkey", |_| "+1".into()))
}

fn constant(count: usize) -> String {
    terms(count, "select 1", |_| "+1".into())
}

fn either(count: usize) -> String {
    terms(count, &format!("select n_name {NATION} where n_name like 'A%'"), |i| format!(" or n_comment like '%{i}%'"))
}

fn union(count: usize) -> String {
    terms(count, "select 1", |_| " union all select 1".into())
}

fn nested(count: usize) -> String {
    format!("{}select 1{}", "select * from (".repeat(count), ")".repeat(count))
}

fn mixed(count: usize) -> String {
    format!(
        "{} {NATION}",
        terms(count, "select n_nationkey", |i| if i % 2 == 0 { "+1" } else { "-n_regionkey" }.into())
    )
}

fn casts(count: usize) -> String {
    format!("{} {NATION}", terms(count, "select n_nationkey", |_| "::text::int".into()))
}

fn tables(count: usize) -> String {
    let with = terms(count, "with t0 as (select n_nationkey as a from tpch.sf0_01.nation)", |i| {
        format!(", t{i} as (select a + 1 as a from t{})", i - 1)
    });
    format!("{with} select * from t{}", count - 1)
}

fn joins(count: usize) -> String {
    terms(count, "select count(*) from tpch.sf0_01.region r0", |i| {
        format!(" join tpch.sf0_01.region r{i} on r{i}.r_regionkey = r0.r_regionkey")
    })
}

fn assert_too_deep(sql: &str) {
    let error = answer(sql).unwrap_err();
    let told = ["nested too deeply", "nested this deeply", "more than 100 joins"].iter().any(|t| error.contains(t));
    assert!(told, "{}: {error}", &sql[..80]);
}

#[test]
fn chains_of_hundreds_are_answered() {
    assert_eq!(answer(&constant(500)), Ok(1));
    assert_eq!(answer(&sum(500)), Ok(25));
    assert_eq!(answer(&either(500)), Ok(2));
    assert_eq!(answer(&union(100)), Ok(100));
    assert_eq!(answer(&nested(10)), Ok(1));
}

/// As deep as planning lets through.
#[test]
fn what_planning_accepts_an_executor_can_run() {
    assert_eq!(answer(&either(1000)), Ok(2));
    assert_eq!(answer(&sum(1000)), Ok(25));
}

#[test]
fn long_but_flat_statements_are_answered() {
    let case = terms(2000, "select case", |i| format!(" when n_nationkey = {i} and n_regionkey + 1 > 2 then {i}"));
    assert_eq!(answer(&format!("{case} end {NATION}")), Ok(25));
    let list = terms(20_000, &format!("select n_name {NATION} where n_nationkey in (1"), |i| format!(", {i}"));
    assert_eq!(answer(&format!("{list})")), Ok(24));
}

#[test]
fn deeper_ones_are_refused() {
    for count in [2_000, 100_000] {
        for sql in [constant, sum, either, union, nested, mixed, casts, joins] {
            assert_too_deep(&sql(count));
        }
    }
    assert_too_deep(&nested(500));
    assert_too_deep(&mixed(200));
    assert_too_deep(&casts(200));
    assert_too_deep(&joins(500));
    assert_too_deep(&tables(1_600));
}

/// Planning has a thread of its own: the caller's goes on, and can give up.
#[tokio::test]
async fn planning_can_be_given_up() {
    let session = session(1);
    let sql = sum(1000);
    let planned = tokio::time::timeout(Duration::from_millis(1), session.plan(&sql)).await;
    assert!(planned.is_err(), "the timer ran meanwhile");
}

#[tokio::test]
async fn a_statement_shows_itself() {
    let statements = session(1).statements("select  1; select 2").unwrap();
    assert_eq!(statements.iter().map(ToString::to_string).collect::<Vec<_>>(), ["SELECT 1", "SELECT 2"]);
}
