//! Sorts by ranges of keys: the order of DataFusion by itself, whatever the keys are.

use crate::harness::{env, graph, plain, query, rows, run, session_with, write_tables};
use datafusion::prelude::SessionContext;
use hearth_core::{Determinism, Exchange, StageGraph, conf::RangeSort};
use hearth_plan::SqlSession;
use std::path::Path;

const SORTS: [RangeSort; 3] = [RangeSort::Always, RangeSort::Never, RangeSort::Auto];

/// Each has one right order.
const QUERIES: &[&str] = &[
    "select id, note from orders order by id",
    "select * from orders order by amount desc, id",
    "select id, customer from orders order by customer nulls first, note desc, id desc",
    "select id, customer from orders order by customer desc nulls last, id",
    "select upper(note), weight, id from orders where id % 3 = 0 order by weight desc nulls first, upper(note), id",
    "select id + 1 as next, day from orders order by day, id % 7, id",
    // Skew: one key holds nine tenths, one holds all, and there is none but null.
    "select id, case when id % 10 = 0 then id else 500 end as k from orders order by k, id",
    "select id, 7 as k from orders order by k + weight * 0, id",
    "select id, nullif(note, note) as nothing from orders order by nothing, id",
    // No rows, and fewer than partitions.
    "select a, b from nothing order by a, b",
    "select id from orders where id in (3, 1, 900) order by id desc",
    "select id from orders where id < 0 order by note",
    // Inputs that are costly to compute twice.
    "select customer, count(*) as n, sum(amount) as s from orders group by customer order by n desc, customer",
    "select o.id, c.name from orders o join customers c on o.customer = c.id order by c.name desc, o.id",
    "select distinct note from orders order by note desc",
    "select id, row_number() over (partition by customer order by id) as r from orders order by r desc, id",
    "select id from orders where id < 40 union all select id + 1000 from customers order by id desc",
    // Subqueries, beside and inside of keys.
    "select id from orders where amount > (select avg(amount) from orders) order by amount, id",
    "select id from orders order by amount + (select max(id) from customers), id desc",
    "select * from (select id, amount from orders order by amount, id) where id > 30 order by amount, id",
    // A limit needs one ordered partition.
    "select id from orders order by amount, id limit 7",
    "select id from (select id, amount from orders order by amount, id limit 50) order by id desc",
    // Lists and rows as keys.
    "select id, make_array(id % 3, id) as l from orders order by l",
    "select id, struct(weight, id) as s from orders where id < 100 order by s desc",
];

async fn session(dir: &Path, partitions: usize, sort: RangeSort) -> SqlSession {
    let session = session_with(partitions, sort);
    session.register_tables(dir).await.unwrap();
    session
}

async fn expected(plain: &SessionContext, sql: &str) -> Vec<String> {
    rows(&plain.sql(sql).await.unwrap().collect().await.unwrap())
}

fn ranges(graph: &StageGraph) -> usize {
    graph.stages.iter().flat_map(|s| &s.inputs).filter(|e| e.exchange == Exchange::Range).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_is_datafusions() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let plain = plain(dir.path()).await;
    for sort in SORTS {
        for partitions in [1, 2, 7] {
            let session = session(dir.path(), partitions, sort).await;
            for sql in QUERIES {
                assert_eq!(query(&session, sql).await, expected(&plain, sql).await, "{sort:?}, {partitions}: {sql}");
            }
        }
    }
}

#[tokio::test]
async fn a_sort_by_ranges_has_its_stages() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session(dir.path(), 4, RangeSort::Always).await;
    let (stages, explain) = graph(&session, "select id, note from orders order by amount, id").await;
    let names: Vec<_> = stages.stages.iter().map(|s| (s.name.as_str(), s.tasks, s.output_partitions)).collect();
    let expected = [("scan orders -> sample", 4, 1), ("scan orders", 4, 4), ("exchange -> sort", 4, 1)];
    assert_eq!(names, expected, "{explain}");
    assert_eq!(stages.stages[1].inputs[0].exchange, Exchange::Broadcast);
    assert_eq!(stages.stages[2].inputs[0].exchange, Exchange::Range);
    assert!(explain.contains("writes 4 blocks a task by ranges of [amount@"), "{explain}");
    // The sample reads its keys alone.
    let sample = explain.rsplit("stage 0: ").next().unwrap();
    assert!(sample.contains("projection=[amount@2 as key0, id@0 as key1]") && !sample.contains("note"), "{sample}");
}

/// Bounds of rows in another order are other bounds: what went by the old ones must not meet what goes by the new.
#[tokio::test]
async fn a_sample_of_rows_without_an_order_is_another_one_each_time() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session(dir.path(), 3, RangeSort::Always).await;
    let level = async |sql: &str| {
        let (stages, explain) = graph(&session, sql).await;
        let sample = stages.stages.iter().find(|s| s.name.ends_with("sample"));
        sample.unwrap_or_else(|| panic!("{explain}")).determinism
    };
    assert_eq!(level("select id from orders order by id").await, Determinism::Determinate);
    let grouped = "select customer, count(*) as n from orders group by customer order by n, customer";
    assert_eq!(level(grouped).await, Determinism::Indeterminate);
}

#[tokio::test]
async fn rows_are_spread_and_never_overlap() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session(dir.path(), 4, RangeSort::Always).await;
    let (stages, _) = graph(&session, "select id from orders order by id").await;
    // One batch or more a partition, and partitions follow one another.
    let batches = run(&stages, &env()).await.unwrap();
    assert_eq!(rows(&batches), (0..1200).map(|i| i.to_string()).collect::<Vec<_>>());
    assert!(batches.iter().all(|b| b.num_rows() < 600), "no task sorts the half of all rows");
}

#[tokio::test]
async fn what_is_costly_is_computed_once() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let session = session(dir.path(), 3, RangeSort::Always).await;
    let count = async |sql: &str, word: &str| {
        let (stages, explain) = graph(&session, sql).await;
        assert_eq!(ranges(&stages), 1, "{explain}");
        stages.stages.iter().filter(|s| s.name.contains(word)).count()
    };
    let grouped = "select customer, count(*) as n from orders group by customer order by n, customer";
    assert_eq!(count(grouped, "final aggregate").await, 1);
    let random = "select id, random() as r from orders order by r";
    assert_eq!(count(random, "scan").await, 1);
    let plain = "select id from orders where id > 5 order by id";
    assert_eq!(count(plain, "scan").await, 2);
}

#[tokio::test]
async fn a_sort_by_ranges_is_for_much_to_sort() {
    let auto = session_with(4, RangeSort::Auto);
    let sort = async |sql: &str| ranges(&graph(&auto, sql).await.0);
    assert_eq!(sort("select * from tpch.sf0_01.lineitem order by l_comment").await, 0);
    assert_eq!(sort("select * from tpch.sf1.lineitem order by l_comment").await, 1);
    assert_eq!(sort("select * from tpch.sf1.lineitem order by l_comment limit 10").await, 0);
    assert_eq!(sort("select * from tpch.sf1.lineitem order by random()").await, 0);
}
