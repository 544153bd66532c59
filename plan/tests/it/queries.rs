//! The same rows as DataFusion by itself, over many queries and numbers of partitions.

use crate::harness::{local, plain, query, rows, session_over, sorted, write_tables};

pub(crate) const QUERIES: &[&str] = &[
    // Scans, filters, projections.
    "select * from orders",
    "select id, amount * 2 from orders where customer = 3 and amount > 5",
    "select * from customers where city is null",
    "select * from events",
    "select n from events where kind = 'kind 9'",
    "select * from nothing",
    "select day + interval '1 day', upper(note), amount::int from orders where note like '%7'",
    "select case when customer is null then 'none' else 'c' || customer end, coalesce(customer, -1) from orders",
    // Aggregates.
    "select count(*) from orders",
    "select count(*), count(customer), sum(amount), avg(weight), min(day), max(note) from orders",
    "select count(*), sum(a), max(b) from nothing",
    "select a, count(*) from nothing group by a",
    "select customer, count(*), sum(amount), avg(weight) from orders group by customer",
    "select customer, note, min(day) from orders group by customer, note having count(*) > 1",
    "select count(distinct customer), count(distinct note) from orders",
    "select customer, count(distinct note), sum(distinct amount) from orders group by customer",
    "select distinct note from orders",
    "select customer, note, sum(amount) from orders group by grouping sets ((customer), (note), ())",
    "select customer, sum(amount) from orders group by rollup (customer)",
    "select customer, sum(amount) filter (where weight > 3) from orders group by customer",
    "select median(weight), stddev(weight), approx_distinct(customer) from orders",
    "select kind, array_agg(n order by n) from events group by kind",
    "select first_value(id order by day, id), last_value(id order by day, id) from orders",
    "select customer, string_agg(note, ',' order by id) from orders where id < 100 group by customer",
    // Joins.
    "select o.id, c.name from orders o join customers c on o.customer = c.id",
    "select c.id, o.id from customers c left join orders o on o.customer = c.id and o.amount > 20",
    "select c.id, o.id from orders o right join customers c on o.customer = c.id and o.amount > 20",
    "select c.id, o.id from customers c full join orders o on o.customer = c.id + 20",
    "select c.city, count(*), sum(o.amount) from orders o join customers c on o.customer = c.id group by c.city",
    "select a.id, b.id from orders a join orders b on a.customer = b.customer and a.day < b.day where a.id < 60",
    "select o.id, c.name, e.kind from orders o join customers c on o.customer = c.id join events e on e.n = c.id",
    "select * from customers c join nothing n on c.id = n.a",
    "select * from customers c left join nothing n on c.id = n.a",
    "select id from customers where id in (select customer from orders where amount > 20)",
    "select id from customers where id not in (select customer from orders where customer is not null)",
    "select id from customers where id not in (select customer from orders)",
    "select id from orders where customer not in (select id from customers where id > 10)",
    "select id from customers c where exists (select 1 from orders o where o.customer = c.id and o.amount > 23)",
    "select id from customers c where not exists (select 1 from orders o where o.customer = c.id)",
    "select c.id, e.n from customers c cross join events e where c.id < 5",
    "select count(*) from orders a cross join events b",
    "select c.id, e.n from customers c join events e on c.id < e.n and c.id > 20",
    "select c.id, e.n from customers c left join events e on c.id < e.n",
    "select c.id, e.n from customers c right join events e on c.id > e.n + 40",
    "select c.id, e.n from customers c full join events e on c.id > e.n + 40",
    "select id from customers c where exists (select 1 from events e where e.n > c.id + 20)",
    "select o.id, e.n from orders o join events e on o.id % 30 < e.n and o.customer > e.n where o.id < 90",
    "select c1.id, c2.id from customers c1 join customers c2 using (city) where c1.id < 9",
    "select id, note from orders natural join (select id, 'x' as extra from customers) x",
    "select count(*) from orders o join customers c on o.id % 7 = c.id % 7",
    "select count(*) from orders a join orders b on a.customer is not distinct from b.customer",
    // Scalar and correlated subqueries.
    "select id from orders where amount > (select avg(amount) from orders)",
    "select (select max(id) from customers), id from customers",
    "select id, amount from orders o where amount = (select max(amount) from orders i where i.customer = o.customer)",
    "select customer, sum(amount) from orders group by customer having sum(amount) > (select avg(id) from customers) * 10",
    "select id from orders where amount > (select avg(amount) from orders where weight > (select avg(weight) from orders))",
    "select c.name from customers c join orders o on c.id = o.customer where o.amount > (select max(n) from events) / 2",
    "select (select a from nothing), count(*) from events",
    "select count(*) from orders where id = (select min(id) from orders) or id = (select max(id) from orders)",
    // Unions and sets.
    "select id from orders where id < 10 union all select id from customers",
    "select id from orders union select id from customers",
    "select id, 'o' as kind from orders where id < 10 union all select n, kind from events",
    "select id from customers intersect select n from events",
    "select id from customers except select n from events",
    "select kind, sum(n) from (select n, kind from events union all select id, note from orders) u group by kind",
    "select c, count(*) from (select customer as c from orders group by customer union all \
     select id from customers group by id) u group by c",
    "select c.id from customers c left join events e on c.id < e.n union all select id from orders",
    // Windows.
    "select id, row_number() over (partition by customer order by id) from orders",
    "select id, sum(amount) over (partition by customer order by id rows between 2 preceding and current row) from orders",
    "select n, rank() over (order by kind), lag(n) over (order by n) from events",
    "select id, sum(amount) over () from orders",
    "select id, avg(weight) over (partition by note) from orders where customer = 5",
    "select id, row_number() over (partition by customer, note order by id) from orders where customer = 5",
    "select * from (select id, customer, rank() over (partition by customer order by amount desc) r from orders) t \
     where r = 1",
    // Values, series, nested types.
    "select * from (values (1, 'a'), (2, null), (3, 'c')) as t(x, y)",
    "select x, count(*) from (values (1), (2), (1)) as t(x) group by x",
    "select 1 + 1, 'text', null",
    "select c.name, v.x from customers c join (values (1), (2), (70)) as v(x) on c.id = v.x",
    "select sum(value) from generate_series(1, 1000)",
    "select id, unnest([id, id + 1]) from customers where id < 4",
    "with recursive t(n) as (select 1 union all select n + 1 from t where n < 20) select n, n * n from t",
    "with recursive t(n, s) as (select 1, 'a' union all select n + 1, s || 'a' from t where n < 6) \
     select t.n, c.name from t join customers c on c.id = t.n",
    "with top as (select customer, sum(amount) s from orders group by customer) \
     select a.customer, b.customer from top a join top b on a.s = b.s",
    "select upper(note), count(*) from orders group by upper(note)",
    // Columns of every kind through an exchange.
    "select arrow_cast(note, 'Dictionary(Int32, Utf8)') d, count(*) from orders group by d",
    "select note, max(arrow_cast(id, 'Int8')) from orders where id < 100 group by note",
    "select note, min(to_timestamp(id)), max(arrow_cast(arrow_cast(id, 'Int32'), 'Time32(Second)')) from orders group by note",
    "select note, count(weight > 2), bool_and(weight > 2), max(arrow_cast(note, 'Binary')) from orders group by note",
    "select x, count(*) from (select struct(customer, note) as x from orders) t group by x",
    "select x, count(*) from (select [customer, 1] as x from orders) t group by x",
    "select x, count(*) from (select null as x from orders) t group by x",
    "select x, count(*) from (select day - date '2026-01-01' as x from orders) t group by x",
    "select count(*) from (select 1 from orders union all select 1 from customers) t",
    "select count(*) from orders where false",
    "select city, count(*) from customers where 1 = 0 group by city",
];

/// Queries whose order counts.
pub(crate) const ORDERED: &[&str] = &[
    "select * from orders order by id",
    "select id, note from orders order by note desc, id",
    "select customer, sum(amount) s from orders group by customer order by s desc, customer nulls first",
    "select id from orders order by amount, id limit 10",
    "select id from orders order by amount desc, id limit 10 offset 5",
    "select id from orders order by id offset 1190",
    "select n from events order by n limit 0",
    "select c.name, count(*) n from orders o join customers c on o.customer = c.id group by c.name order by n desc, 1 limit 3",
    "select id, row_number() over (order by amount desc, id) r from orders order by r limit 20",
    "select id from (select id from orders order by id limit 30) t order by id desc limit 5",
    "select city, id from customers order by city nulls first, id desc",
    "select * from (select id from orders union all select n from events) t order by 1 limit 50",
    "select * from nothing order by a",
    "select id from customers order by (select max(n) from events) - id",
    "select arrow_cast(note, 'Dictionary(Int32, Utf8)') d, id from orders order by d, id",
];

/// Queries that may give any rows of many.
const LIMITED: &[(&str, usize)] = &[
    ("select id from orders limit 7", 7),
    ("select id from orders where id > 1190 limit 100", 9),
    ("select id from orders limit 10 offset 1195", 5),
    ("select id from orders limit 0", 0),
    ("select customer, count(*) from orders group by customer limit 5", 5),
    ("select o.id from orders o join customers c on o.customer = c.id limit 13", 13),
    ("select id from (select id from orders limit 20) t where id >= 0", 20),
    ("select count(*) from (select id from orders limit 33) t", 1),
    ("select 1 from orders limit 9", 9),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_rows_as_datafusion_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let plain = plain(dir.path()).await;
    for partitions in [1, 2, 7] {
        let session = session_over(dir.path(), partitions).await;
        for (sql, ordered) in QUERIES.iter().map(|q| (*q, false)).chain(ORDERED.iter().map(|q| (*q, true))) {
            let expected = rows(&plain.sql(sql).await.unwrap().collect().await.unwrap());
            let found = query(&session, sql).await;
            match ordered {
                true => assert_eq!(found, expected, "{partitions} partitions: {sql}"),
                false => assert_eq!(sorted(found), sorted(expected), "{partitions} partitions: {sql}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_give_as_many_rows_as_they_say() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    for partitions in [1, 2, 7] {
        let session = session_over(dir.path(), partitions).await;
        for (sql, count) in LIMITED {
            let found = query(&session, sql).await;
            assert_eq!(found.len(), *count, "{partitions} partitions: {sql}");
        }
    }
}

/// Settings that make DataFusion plan with other operators.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_settings_give_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let plain = plain(dir.path()).await;
    let mut expected = Vec::new();
    for sql in QUERIES {
        expected.push(sorted(rows(&plain.sql(sql).await.unwrap().collect().await.unwrap())));
    }
    for setting in [
        "datafusion.optimizer.prefer_hash_join = false",
        "datafusion.optimizer.prefer_existing_sort = true",
        "datafusion.optimizer.enable_piecewise_merge_join = true",
        "datafusion.optimizer.enable_window_topn = true",
        "datafusion.optimizer.repartition_joins = false",
        "datafusion.optimizer.repartition_sorts = false",
        "datafusion.optimizer.enable_dynamic_filter_pushdown = true",
        "datafusion.optimizer.enable_round_robin_repartition = true",
        "datafusion.execution.parquet.pushdown_filters = true",
        "datafusion.execution.target_partitions = 5",
        "datafusion.execution.skip_partial_aggregation_probe_rows_threshold = 10",
    ] {
        let session = session_over(dir.path(), 3).await;
        local(&session, &format!("set {setting}")).await;
        for (sql, expected) in QUERIES.iter().zip(&expected) {
            assert_eq!(sorted(query(&session, sql).await), *expected, "{setting}: {sql}");
        }
    }
}

/// A table that is declared to be sorted: sorts and repartitions that DataFusion then leaves out must not be missed.
#[tokio::test]
async fn what_is_known_of_an_order_passes_exchanges() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let plain = plain(dir.path()).await;
    let part = dir.path().join("orders/part-0.parquet");
    plain.sql("create view first_orders as select * from orders where id < 400").await.unwrap();
    for partitions in [1, 3] {
        let session = session_over(dir.path(), partitions).await;
        for setting in
            ["datafusion.optimizer.prefer_existing_sort = true", "datafusion.optimizer.prefer_existing_sort = false"]
        {
            local(&session, &format!("set {setting}")).await;
            let create = format!(
                "create or replace external table sorted (id bigint, customer bigint, note varchar) stored as parquet \
                 with order (id asc) location '{}'",
                part.display()
            );
            local(&session, &create).await;
            for window in [
                "select id, row_number() over (partition by customer order by id) from {}",
                "select id, sum(id) over (partition by customer, note order by id) from {} where note = 'note 3'",
                "select id, lag(id) over (partition by note order by customer, id) from {} where customer = 3",
                "select customer, first_value(note order by id) from {} group by customer",
                "select a.id, sum(b.id) over (partition by a.id order by b.id) from {} a join orders b using (customer) \
                 where a.id < 20",
            ] {
                let over = |table: &str| window.replace("{}", table);
                let expected = rows(&plain.sql(&over("first_orders")).await.unwrap().collect().await.unwrap());
                assert_eq!(sorted(query(&session, &over("sorted")).await), sorted(expected), "{setting}: {window}");
            }
        }
    }
}
