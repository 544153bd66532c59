//! Statements as deep as they are long: an answer or an error, never a stack that overflows.

use crate::harness::{env, query, run, session, session_over};
use hearth_plan::Planned;
use std::{
    fmt::Write,
    future::Future,
    thread,
    time::{Duration, Instant},
};

/// What an ordinary thread has.
const CALLER: usize = 2 << 20;
/// What a thread has that computes tasks in an executor.
const EXECUTOR: usize = 64 << 20;

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

/// Operators of several kinds above one another, in one stage.
fn operators(count: usize) -> String {
    let with = terms(count, "with t0 as (select n_nationkey as a from tpch.sf0_01.nation)", |i| match i % 3 {
        0 => format!(", t{i} as (select a from t{} where a >= 0 limit {})", i - 1, 100 + i),
        1 => format!(", t{i} as (select max(a) as a from t{} group by a)", i - 1),
        _ => format!(
            ", t{i} as (select a from (select a, row_number() over (order by a) n from t{}) where n < 99)",
            i - 1
        ),
    });
    format!("{with} select * from t{}", count - 1)
}

fn assert_too_deep(sql: &str) {
    let error = answer(sql).unwrap_err();
    let told = ["nested too deeply", "more than 256 joins"].iter().any(|t| error.contains(t));
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

/// Messages may nest to 100: what is deeper travels in several.
#[test]
fn chains_of_unlike_parts_are_answered() {
    assert_eq!(answer(&mixed(300)), Ok(25));
    assert_eq!(answer(&casts(200)), Ok(25));
    assert_eq!(answer(&tables(300)), Ok(25));
    assert_eq!(answer(&operators(200)), Ok(25));
}

#[test]
fn hundreds_of_joins_are_answered() {
    assert_eq!(answer(&joins(200)), Ok(1));
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
    assert_too_deep(&casts(1_000));
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

/// An answer or an error, soon.
fn settles(sql: &str) -> Result<usize, String> {
    let started = Instant::now();
    let answer = answer(sql);
    // Far above what it takes here, far below what nobody bounded.
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}: {}", started.elapsed(), &sql[..80]);
    answer
}

#[test]
fn statements_of_ten_megabytes_are_settled() {
    const MEGABYTES: usize = 10 << 20;
    let text = format!("select length('{}')", "x".repeat(MEGABYTES));
    assert_eq!(settles(&text), Ok(1));
    let comment = format!("select 1 /* {} */", "x ".repeat(MEGABYTES / 2));
    assert_eq!(settles(&comment), Ok(1));
    let columns = format!("select {}", vec!["1 + n_nationkey"; MEGABYTES / 18].join(", "));
    let error = settles(&format!("{columns} {NATION}")).unwrap_err();
    assert!(error.contains("too long"), "{}", &error[..200.min(error.len())]);
    assert_too_deep(&format!("select {}1{}", "(".repeat(MEGABYTES / 2), ")".repeat(MEGABYTES / 2)));
    assert_too_deep(&format!("select {}", "- ".repeat(MEGABYTES / 2)));
    assert_too_deep(&format!("select {}", "not ".repeat(MEGABYTES / 4)));
}

#[test]
fn ten_thousand_parentheses_are_settled() {
    assert_too_deep(&format!("select {}1{}", "(".repeat(10_000), ")".repeat(10_000)));
    assert_too_deep(&format!("select {}1{}", "abs(".repeat(10_000), ")".repeat(10_000)));
    assert_too_deep(&format!("select {}", "(".repeat(10_000)));
}

#[test]
fn lists_of_a_hundred_thousand_are_answered() {
    let list = terms(100_000, &format!("select n_name {NATION} where n_nationkey in (1"), |i| format!(", {i}"));
    assert_eq!(settles(&format!("{list})")), Ok(24));
}

#[test]
fn tables_of_thousands_of_columns_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let line = |cell: &dyn Fn(usize) -> String| (0..5_000).map(cell).collect::<Vec<_>>().join(",");
    let content = format!("{}\n{}\n", line(&|i| format!("c{i}")), line(&|i| i.to_string()));
    std::fs::write(dir.path().join("wide.csv"), content).unwrap();
    let started = Instant::now();
    let rows = on_stack(EXECUTOR, async {
        let session = session_over(dir.path(), 2).await;
        let mut counts = Vec::new();
        for sql in ["select c4999 from wide order by c0", "select count(*), max(c17) from wide"] {
            counts.push(query(&session, sql).await.len());
        }
        counts
    });
    assert_eq!(rows, [1, 1]);
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}
