//! Repartitions that were asked for.

use crate::harness::{Memory, env, graph, local, query, refused, session, session_over, sorted, write, write_tables};
use hearth_core::{Determinism, Exchange};
use hearth_plan::{DecodedPayload, PlanError, run_task};
use std::sync::Arc;

#[tokio::test]
async fn what_is_asked_for_is_done() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 3).await;
    let all: Vec<String> = sorted((0..1200).map(|i| i.to_string()).collect());
    for (sql, exchange, tasks) in [
        ("select id from orders distribute by 5", Exchange::RoundRobin, 5),
        ("select id from orders distribute by id % 7", Exchange::Hash, 3),
        ("select id from orders distribute by 4, id % 7, id % 2", Exchange::Hash, 4),
        ("select /*+ REPARTITION(6) */ id from orders", Exchange::RoundRobin, 6),
        ("select /*+ repartition(2, id) */ id from orders", Exchange::Hash, 2),
        ("select /*+ Repartition(id) */ id from orders", Exchange::Hash, 3),
        ("select id from (select /*+ REPARTITION(6) */ * from orders)", Exchange::RoundRobin, 6),
        ("select /*+ REPARTITION(1) */ id from orders", Exchange::RoundRobin, 1),
    ] {
        let (stages, explain) = graph(&session, sql).await;
        let last = stages.stages.last().unwrap();
        assert_eq!((last.inputs[0].exchange, last.tasks), (exchange, tasks), "{sql}\n{explain}");
        assert_eq!(sorted(query(&session, sql).await), all, "{sql}");
    }
    // It spreads what one task would do, and is not taken for an order or a grouping that it is not.
    for sql in [
        "select customer, count(*) from (select /*+ REPARTITION(4) */ * from orders) group by customer",
        "select customer, count(*) from (select * from orders distribute by customer) group by customer",
    ] {
        let without = "select customer, count(*) from orders group by customer";
        assert_eq!(sorted(query(&session, sql).await), sorted(query(&session, without).await), "{sql}");
    }
    let spread = "select value from (select /*+ REPARTITION(4) */ * from generate_series(1, 100)) where value % 7 = 0";
    assert_eq!(sorted(query(&session, spread).await), sorted((1..15).map(|i| (i * 7).to_string()).collect()));
}

/// Rows dealt in turn are other rows when they come in another order.
#[tokio::test]
async fn dealing_rows_without_an_order_is_indeterminate() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 3).await;
    let level = async |sql: &str, stage: usize| graph(&session, sql).await.0.stages[stage].determinism;
    assert_eq!(level("select * from orders distribute by 5", 0).await, Determinism::Determinate);
    let grouped = "select customer, count(*) from orders group by customer";
    assert_eq!(level(&format!("{grouped} distribute by 5"), 1).await, Determinism::Indeterminate);
    assert_eq!(level(&format!("{grouped} distribute by customer"), 1).await, Determinism::Unordered);
    // Who reads it makes the same of the same rows.
    assert_eq!(level(&format!("{grouped} distribute by 5"), 2).await, Determinism::Unordered);
}

/// Which rows a task gave is told where another attempt may give others, and only there.
#[tokio::test]
async fn rows_that_may_differ_have_a_checksum() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 3).await;
    let first = async |sql: &str| {
        let stage = graph(&session, sql).await.0.stages.swap_remove(0);
        let mut sums = Vec::new();
        for _ in 0..2 {
            let payload = DecodedPayload::decode(&stage.payload).unwrap();
            let mut run = run_task(&payload, 0, Arc::new(Memory(vec![])), &env()).unwrap();
            while let Some(chunk) = run.next().await {
                chunk.unwrap();
            }
            sums.push(run.checksum());
        }
        (stage.determinism, sums)
    };
    let (level, sums) = first("select * from orders distribute by random()").await;
    assert_eq!(level, Determinism::Indeterminate, "the same rows go elsewhere each time");
    assert!(sums[0].is_some() && sums[0] != sums[1], "{sums:?}");
    let (level, sums) = first("select sum(r) from (select random() as r from orders) distribute by 5").await;
    assert_eq!(level, Determinism::Indeterminate);
    assert!(sums[0].is_some() && sums[0] != sums[1], "{sums:?}");
    assert_eq!(
        first("select * from orders distribute by customer").await,
        (Determinism::Determinate, vec![None, None])
    );
}

/// A COPY is no statement of the parser's own.
#[tokio::test]
async fn hints_in_a_copy_count() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 3).await;
    let out = dir.path().join("out/");
    let copy = |hint: &str| format!("copy (select /*+ {hint} */ id from orders) to '{}/' stored as csv", out.display());
    let explained = local(&session, &format!("explain {}", copy("REPARTITION(5)"))).await;
    assert!(explained[0].contains("write csv (5 tasks"), "{}", explained[0]);
    assert_eq!(write(&session, &copy("REPARTITION(5)")).await, Ok(1200));
    let parts = std::fs::read_dir(&out).unwrap().filter(|f| f.as_ref().unwrap().path().extension().is_some()).count();
    assert_eq!(parts, 5);
    for sql in [copy("REPARTITION(4"), format!("explain {}", copy("REPARTITION()"))] {
        let error = refused(&session, &sql).await;
        assert!(matches!(&error, PlanError::Syntax(m) if m.contains("REPARTITION")), "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn hints_are_for_one_system() {
    let session = session(2);
    let rows = query(&session, "select /*+ BROADCAST(t) */ n_name from tpch.sf0_01.nation limit 1 --+ and this").await;
    assert_eq!(rows.len(), 1);
    for sql in [
        "select /*+ REPARTITION */ 1",
        "select /*+ REPARTITION(4 */ 1",
        "select /*+ REPARTITION() */ 1",
        "select /*+ REPARTITION(4) */ 1 distribute by 3",
    ] {
        let error = refused(&session, sql).await;
        assert!(matches!(&error, PlanError::Syntax(m) if m.contains("REPARTITION")), "{sql}: {error:?}");
    }
    for sql in ["select /*+ REPARTITION(0) */ 1", "select 1 distribute by 1000000000000"] {
        let error = refused(&session, sql).await.to_string();
        assert!(error.contains("1 to 1000000 can be"), "{sql}: {error}");
    }
    local(&session, "create view spread as select /*+ REPARTITION(3) */ * from tpch.sf0_01.nation").await;
    let (stages, explain) = graph(&session, "select n_name from spread").await;
    assert_eq!(stages.stages.last().unwrap().tasks, 3, "{explain}");
}
