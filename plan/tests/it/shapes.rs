//! Where plans are cut, and what stages are called.

use crate::harness::{graph, session, session_over, write_tables};
use hearth_core::{Determinism, Exchange, StageGraph};

fn shape(graph: &StageGraph) -> Vec<String> {
    graph
        .stages
        .iter()
        .map(|s| {
            let inputs: Vec<_> = s.inputs.iter().map(|e| format!("{} {}", e.exchange, e.from)).collect();
            format!("{} | {} tasks -> {} | {}", s.name, s.tasks, s.output_partitions, inputs.join(", "))
        })
        .collect()
}

#[tokio::test]
async fn an_aggregate_and_a_sort_are_three_stages() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 4).await;
    let sql = "select customer, count(*) n from orders where weight > 1 group by customer order by n";
    let (graph, explain) = graph(&session, sql).await;
    assert_eq!(
        shape(&graph),
        [
            "scan orders -> filter -> partial aggregate | 4 tasks -> 4 | ",
            "exchange -> final aggregate -> sort | 4 tasks -> 1 | hash 0",
            "exchange -> merge | 1 tasks -> 1 | single 1",
        ],
        "{explain}"
    );
    let tree = "\
stage 2: exchange -> merge (1 task)
└─ single ── stage 1: exchange -> final aggregate -> sort (4 tasks)
   └─ hash, 4 partitions ── stage 0: scan orders -> filter -> partial aggregate (4 tasks)

stage 2: exchange -> merge (1 task, reads stage 1 (single), gives the result)
SortPreservingMergeExec: ";
    assert!(explain.starts_with(tree), "{explain}");
    assert!(explain.lines().all(|line| line.chars().count() <= 120), "{explain}");
}

#[tokio::test]
async fn a_collected_side_is_computed_once_and_broadcast() {
    let session = session(4);
    let sql = "select count(*) from tpch.sf1.orders o join (select max(c_custkey) m from tpch.sf1.customer) c \
               on o.o_custkey < c.m";
    let (graph, explain) = graph(&session, sql).await;
    let broadcasts: Vec<_> =
        graph.stages.iter().flat_map(|s| &s.inputs).filter(|e| e.exchange == Exchange::Broadcast).collect();
    assert_eq!(broadcasts.len(), 1, "{explain}");
    let probing = graph.stages.iter().find(|s| s.name.contains("nested loop join")).unwrap();
    assert!(probing.tasks > 1, "{explain}");
}

#[tokio::test]
async fn a_join_that_emits_its_collected_side_runs_whole() {
    let session = session(4);
    let sql = "select n_name, o_orderkey from tpch.sf1.nation left join tpch.sf1.orders on n_nationkey > o_custkey";
    let (graph, explain) = graph(&session, sql).await;
    let stage = graph.stages.iter().find(|s| s.name.contains("nested loop join")).unwrap();
    assert_eq!(stage.tasks, 1, "{explain}");
}

#[tokio::test]
async fn every_level_of_determinism_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_over(dir.path(), 3).await;
    let level = async |sql: &str| graph(&session, sql).await.0.stages.iter().map(|s| s.determinism).collect::<Vec<_>>();
    assert_eq!(level("select id from orders where id > 3").await, [Determinism::Determinate]);
    let counted = level("select customer, count(*) from orders group by customer").await;
    assert_eq!(counted, [Determinism::Unordered, Determinism::Unordered]);
    assert_eq!(level("select id, random() from orders").await, [Determinism::Indeterminate]);
    let limited = level("select customer, count(*) from orders group by customer limit 3").await;
    assert_eq!(limited.first(), Some(&Determinism::Unordered));
    assert_eq!(limited.last(), Some(&Determinism::Indeterminate));
    // Which rows are left out depends on their order as much as which ones are kept.
    let skipped = level("select customer, count(*) from orders group by customer offset 3").await;
    assert_eq!(skipped.last(), Some(&Determinism::Indeterminate));
}

#[tokio::test]
async fn the_same_query_gives_the_same_payloads() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let sql = "select customer, count(*) n from orders group by customer order by n";
    let first = graph(&session_over(dir.path(), 4).await, sql).await.0;
    let again = graph(&session_over(dir.path(), 4).await, sql).await.0;
    assert_eq!(first, again);
}
