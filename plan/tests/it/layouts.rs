//! Every way to lay a query out gives the same rows: in one task, with and without broadcasts, with many small scans.

use crate::harness::{graph, local, options, plain, query, rows, session, sorted, write_tables};
use crate::queries::{ORDERED, QUERIES};
use hearth_core::{Exchange, StageGraph};
use hearth_plan::{ScanSplit, SessionOptions, SqlSession};
use std::path::Path;

fn layouts() -> Vec<(&'static str, SessionOptions)> {
    vec![
        ("fused", SessionOptions { fuse: Some(3), ..options(3) }),
        ("fused, more partitions than slots", SessionOptions { fuse: Some(2), ..options(5) }),
        ("no broadcasts", SessionOptions { broadcast_bytes: None, ..options(3) }),
        ("all broadcasts", SessionOptions { broadcast_bytes: Some(u64::MAX), ..options(3) }),
        (
            "many scans",
            SessionOptions { scans: ScanSplit { max_partition_bytes: 1000, open_cost_bytes: 100 }, ..options(2) },
        ),
        ("tiny partitions", SessionOptions { partition_bytes: Some(1000), broadcast_bytes: None, ..options(2) }),
    ]
}

async fn session_of(options: SessionOptions, dir: &Path) -> SqlSession {
    let session = SqlSession::new(options).unwrap();
    session.register_tables(dir).await.unwrap();
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_layout_gives_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let plain = plain(dir.path()).await;
    let mut expected = Vec::new();
    for sql in QUERIES.iter().chain(ORDERED) {
        expected.push(rows(&plain.sql(sql).await.unwrap().collect().await.unwrap()));
    }
    for (name, options) in layouts() {
        let session = session_of(options, dir.path()).await;
        for (i, (sql, expected)) in QUERIES.iter().chain(ORDERED).zip(&expected).enumerate() {
            let found = query(&session, sql).await;
            match i < QUERIES.len() {
                true => assert_eq!(sorted(found), sorted(expected.clone()), "{name}: {sql}"),
                false => assert_eq!(found, *expected, "{name}: {sql}"),
            }
        }
    }
}

/// (tasks, slots) of each stage.
fn sizes(graph: &StageGraph) -> Vec<(u32, u32)> {
    graph.stages.iter().map(|s| (s.tasks, s.slots)).collect()
}

const JOIN: &str = "select c.name, count(*) n from orders o join customers c on o.customer = c.id group by c.name";

#[tokio::test]
async fn fused_a_query_with_exchanges_is_one_task_in_all_slots() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session_of(SessionOptions { fuse: Some(3), ..options(3) }, dir.path()).await;
    let (joined, explain) = graph(&session, JOIN).await;
    assert_eq!(sizes(&joined), [(1, 3)], "{explain}");
    assert!(explain.contains("(1 task of 3 slots)\n"), "{explain}");
    assert!(explain.contains("RepartitionExec: partitioning=Hash"), "{explain}");
    // Without exchanges a task a partition gives rows in order, the first ones early.
    let (flat, explain) = graph(&session, "select id + 1 from orders where id > 5").await;
    assert_eq!(sizes(&flat), [(3, 1)], "{explain}");
    // One partition all the way computes in one thread.
    let (narrow, explain) = graph(&session, "select max(x) from (values (1), (2)) as t(x)").await;
    assert_eq!(sizes(&narrow), [(1, 1)], "{explain}");
}

fn broadcasts(graph: &StageGraph) -> usize {
    graph.stages.iter().flat_map(|s| &s.inputs).filter(|e| e.exchange == Exchange::Broadcast).count()
}

#[tokio::test]
async fn only_small_sides_that_emit_nothing_are_broadcast() {
    let session = session(4);
    for setting in ["datafusion.catalog.default_catalog = tpch", "datafusion.catalog.default_schema = sf1"] {
        local(&session, &format!("set {setting}")).await;
    }
    for (sql, expected) in [
        // Nation has 25 rows: either way round it is the side that every task gets.
        ("select count(*) from orders join nation on o_custkey = n_nationkey", 1),
        ("select count(*) from nation join orders on o_custkey = n_nationkey", 1),
        ("select count(*) from orders left join nation on o_custkey = n_nationkey", 1),
        ("select count(*) from orders where o_custkey in (select n_nationkey from nation)", 1),
        ("select count(*) from orders where not exists (select 1 from nation where n_nationkey = o_custkey)", 1),
        // Rows of nation that found no partner are known only when all tasks are done.
        ("select count(*) from nation left join orders on o_custkey = n_nationkey", 0),
        ("select count(*) from nation full join orders on o_custkey = n_nationkey", 0),
        ("select count(*) from nation where n_nationkey in (select o_custkey from orders)", 0),
        ("select count(*) from nation where not exists (select 1 from orders where n_nationkey = o_custkey)", 0),
        // Both are large.
        ("select count(*) from orders join lineitem on o_orderkey = l_orderkey", 0),
    ] {
        let (graph, explain) = graph(&session, sql).await;
        assert_eq!(broadcasts(&graph), expected, "{sql}\n{explain}");
        let joins = graph.stages.iter().find(|s| s.name.contains("join")).unwrap();
        assert!(joins.tasks > 1, "{sql} runs in one task\n{explain}");
    }
}

#[tokio::test]
async fn scans_are_split_by_bytes() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let bytes: u64 =
        (0..3).map(|i| std::fs::metadata(dir.path().join(format!("orders/part-{i}.parquet"))).unwrap().len()).sum();
    let tasks = async |max_partition_bytes, open_cost_bytes, sql: &str| {
        let scans = ScanSplit { max_partition_bytes, open_cost_bytes };
        let session = session_of(SessionOptions { scans, ..options(2) }, dir.path()).await;
        graph(&session, sql).await.0.stages[0].tasks
    };
    let sql = "select sum(id) from orders";
    assert_eq!(tasks(bytes, 0, sql).await, 2, "as many as there are slots, at least");
    assert_eq!(u64::from(tasks(bytes / 5, 0, sql).await), bytes.div_ceil(bytes / 5));
    assert_eq!(
        u64::from(tasks(bytes, bytes, sql).await),
        4,
        "three files, each of which costs as much as all its bytes"
    );
    assert_eq!(tasks(bytes / 5, 0, "select id from orders limit 5").await, 2, "a limit needs few rows");
}

#[tokio::test]
async fn what_a_join_builds_decides_how_many_partitions_there_are() {
    let tasks = async |partition_bytes| {
        let options = SessionOptions { partition_bytes, broadcast_bytes: None, ..options(2) };
        let session = SqlSession::new(options).unwrap();
        let sql = "select count(*) from tpch.sf1.orders join tpch.sf1.lineitem on o_orderkey = l_orderkey";
        let (graph, explain) = graph(&session, sql).await;
        let join = graph.stages.iter().find(|s| s.name.contains("join"));
        join.unwrap_or_else(|| panic!("{explain}")).tasks
    };
    assert_eq!(tasks(None).await, 2);
    assert_eq!(tasks(Some(1 << 30)).await, 2);
    // 1.5 million keys of 8 bytes and as many entries of 32 bytes are 60 MB: a multiple of the 2 slots.
    assert_eq!(tasks(Some(20_000_000)).await, 4);
    assert_eq!(tasks(Some(9_000_000)).await, 8);
}

/// A filter that a join fills does not reach scans of other stages; those read everything, and wait for nobody.
#[tokio::test]
async fn a_filter_that_crosses_a_cut_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let plain = plain(dir.path()).await;
    let sql = "select a.id, b.id from orders a join orders b on a.id = b.customer where a.note = 'note 3'";
    let expected = sorted(rows(&plain.sql(sql).await.unwrap().collect().await.unwrap()));
    for (broadcast_bytes, crosses) in [(None, true), (Some(u64::MAX), false)] {
        let session = session_of(SessionOptions { broadcast_bytes, ..options(3) }, dir.path()).await;
        local(&session, "set datafusion.execution.parquet.pushdown_filters = true").await;
        let (_, explain) = graph(&session, sql).await;
        let of_stages: Vec<_> = explain.split("stage ").collect();
        let filtered = of_stages.iter().find(|s| s.contains("DynamicFilter")).unwrap_or_else(|| panic!("{explain}"));
        assert_eq!(!filtered.contains("HashJoinExec"), crosses, "{explain}");
        assert_eq!(sorted(query(&session, sql).await), expected);
    }
}

/// Within a stage, each task has a filter of its own: one that saw other partitions' rows would drop this one's.
#[tokio::test]
async fn a_top_of_each_partition_is_filtered_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let plain = plain(dir.path()).await;
    for sql in [
        "select id, amount from orders order by amount desc, id limit 7",
        "select min(id), max(day) from orders where id > 17",
        "select customer, max(id) m from orders group by customer order by m desc limit 3",
    ] {
        let expected = rows(&plain.sql(sql).await.unwrap().collect().await.unwrap());
        for partitions in [1, 2, 7] {
            let session = session_of(options(partitions), dir.path()).await;
            local(&session, "set datafusion.execution.parquet.pushdown_filters = true").await;
            assert_eq!(query(&session, sql).await, expected, "{partitions}: {sql}");
        }
    }
}
