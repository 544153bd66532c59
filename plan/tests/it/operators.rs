//! Operators that few queries have: what they give, and what is said of those that need one task.

use crate::harness::{graph, plain, query, rows, session_over, sorted, write_tables};
use datafusion::prelude::SessionContext;
use hearth_plan::SqlSession;
use std::path::Path;

/// By what makes DataFusion plan them.
const QUERIES: &[&str] = &[
    // Limits that skip.
    "select count(*) from (select id from orders order by id limit 30 offset 1185)",
    "select id from orders order by id offset 1190",
    "select count(*) from (select * from orders limit 9 offset 3)",
    // Joins that give rows of a side that every task would collect.
    "select c.id, e.n from customers c left join events e on c.id < e.n and e.kind = 'kind 1'",
    "select c.id, e.n from customers c full join events e on c.id > e.n + 40",
    "select id from customers c where not exists (select 1 from events e where e.n > c.id)",
    "select id from customers where id not in (select customer from orders)",
    "select id from customers where id + 0.5 > all (select n from events where n < 10)",
    "select c.id, x.t from customers c left join (select customer, sum(amount) t from orders group by customer) x \
     on c.id < x.customer and x.t > 80",
    "select count(*) from customers c full join (select customer, count(*) n from orders group by customer) x \
     on c.id > x.customer + x.n",
    // Windows without keys, of both kinds.
    "select id, row_number() over (order by id) from orders",
    "select id, sum(amount) over (order by id rows between 1 preceding and 1 following) from orders",
    "select id, sum(amount) over () from orders",
    "select id, last_value(id) over (order by id rows between unbounded preceding and unbounded following) from orders",
    // Lists to rows.
    "select unnest([id, id + 1]) from orders where id < 50",
    "select id, unnest(x) from (select id, case when id % 3 = 0 then null else [id] end x from orders)",
    "select count(*) from orders cross join unnest([1, 2, 3]) u(n) where n < 3",
    "select unnest(struct(id, note)) from orders where id < 20",
    // Functions that are tables, of every kind.
    "select * from generate_series(1, 20)",
    "select count(*) from generate_series(1, 100000)",
    "select value % 7, sum(value) from range(0, 5000) group by 1",
    "select * from generate_series(1, 0)",
    "select * from generate_series(null, 3)",
    "select * from generate_series(10, 1, -3)",
    "select * from generate_series(timestamp '2026-01-01', timestamp '2026-01-03', interval '6 hours')",
    "select * from generate_series(date '2026-01-01', date '2026-02-01', interval '1 week')",
    "select a.value, b.value from generate_series(1, 4) a left join generate_series(3, 6) b on a.value = b.value",
    "select count(*) from (select * from orders) o, generate_series(1, 3) g where o.id = g.value",
    // Values, and nothing.
    "select * from (values (1, 'a'), (2, null), (3, 'c')) v(n, s) order by n",
    "select v.n, o.id from (values (1), (5), (null)) v(n) left join orders o on o.id = v.n",
    "select 1 where false",
    "select count(*), max(x) from (select 1 x where false)",
    // Recursion, alone and beside others.
    "with recursive r as (select 1 as n union all select n + 1 from r where n < 30) select * from r",
    "with recursive r as (select 0 as n union select (n + 7) % 30 from r) select count(*), sum(n) from r",
    "with recursive r as (select 1 as n union all select n + 1 from r where n < 40) \
     select o.id, r.n from orders o join r on o.id = r.n * 3",
    "with recursive r as (select min(id) as n from orders union all select r.n + 1 from r join orders o on o.id = r.n \
     where r.n < 20) select count(*) from r",
    // Unions of unlike branches.
    "select id from orders union all select n from events union all select 7 union all select value from range(0, 3)",
    "select c.id from customers c left join events e on c.id < e.n union all select id from orders",
    "select customer from orders group by customer union all select id from customers group by id",
    "select id from orders intersect all select id from customers",
    "select id from orders except select id from customers",
];

async fn expected(plain: &SessionContext, sql: &str) -> Vec<String> {
    sorted(rows(&plain.sql(sql).await.unwrap().collect().await.unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operator_gives_datafusions_rows() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let plain = plain(dir.path()).await;
    for partitions in [1, 2, 7] {
        let session = session_over(dir.path(), partitions).await;
        for sql in QUERIES {
            assert_eq!(sorted(query(&session, sql).await), expected(&plain, sql).await, "{partitions}: {sql}");
        }
    }
}

async fn session(dir: &Path) -> SqlSession {
    write_tables(dir).await;
    session_over(dir, 4).await
}

#[tokio::test]
async fn a_stage_that_runs_whole_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path()).await;
    let sql = "select o.id, c.id from customers c left join orders o on c.id > o.customer";
    let (stages, explain) = graph(&session, sql).await;
    let place = stages.stages.iter().position(|s| s.name.contains("nested loop join")).unwrap();
    assert_eq!(stages.stages[place].tasks, 1);
    let title = explain.lines().find(|l| l.starts_with(&format!("stage {place}: "))).unwrap();
    assert!(title.contains("1 task for all 4 partitions, because of NestedLoopJoinExec"), "{title}");
}

/// One task joins, and many make what it joins.
#[tokio::test]
async fn what_a_whole_stage_reads_is_computed_apart() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path()).await;
    let sql = "select c.id, x.n from customers c left join (select customer, count(*) n from orders group by customer) x \
               on c.id > x.customer";
    let (stages, explain) = graph(&session, sql).await;
    let join = stages.stages.iter().find(|s| s.name.contains("nested loop join")).unwrap();
    assert!(!join.name.contains("aggregate"), "{explain}");
    let grouped = stages.stages.iter().find(|s| s.name.contains("final aggregate")).unwrap();
    assert_eq!((join.tasks, grouped.tasks), (1, 4), "{explain}");
}
