//! Answers worked out by hand, or by arithmetic over how the tables are made: not by DataFusion.

use crate::harness::{query, session, session_over, sorted, write_tables};
use std::collections::BTreeMap;

const PARTITIONS: [usize; 3] = [1, 2, 7];

async fn expect(sql: &str, expected: &[&str]) {
    for partitions in PARTITIONS {
        let found = query(&session(partitions), sql).await;
        assert_eq!(sorted(found), expected, "{partitions} partitions: {sql}");
    }
}

const PEOPLE: &str = "(values (1, 'ann', 10), (2, 'bob', 10), (3, 'cid', 20), (4, 'dan', null)) as p(id, name, dept)";
const DEPTS: &str = "(values (10, 'ops'), (20, 'dev'), (30, 'law')) as d(id, title)";

#[tokio::test]
async fn joins_of_every_kind() {
    let join = |kind: &str| format!("select p.name, d.title from {PEOPLE} {kind} join {DEPTS} on p.dept = d.id");
    expect(&join("inner"), &["ann|ops", "bob|ops", "cid|dev"]).await;
    expect(&join("left"), &["ann|ops", "bob|ops", "cid|dev", "dan|NULL"]).await;
    expect(&join("right"), &["NULL|law", "ann|ops", "bob|ops", "cid|dev"]).await;
    expect(&join("full"), &["NULL|law", "ann|ops", "bob|ops", "cid|dev", "dan|NULL"]).await;
    expect(&format!("select count(*) from {PEOPLE} cross join {DEPTS}"), &["12"]).await;
    expect(&format!("select name from {PEOPLE} where dept in (select id from {DEPTS} where title = 'dev')"), &["cid"])
        .await;
    // Nothing is certain to be outside of a set that holds a null.
    expect(&format!("select title from {DEPTS} where id not in (select dept from {PEOPLE})"), &[]).await;
    let known = format!("select title from {DEPTS} where id not in (select dept from {PEOPLE} where dept is not null)");
    expect(&known, &["law"]).await;
    let exists = format!("select title from {DEPTS} where not exists (select 1 from {PEOPLE} where dept = d.id)");
    expect(&exists, &["law"]).await;
    let unequal = format!("select p.name, d.title from {PEOPLE} left join {DEPTS} on p.dept > d.id");
    expect(&unequal, &["ann|NULL", "bob|NULL", "cid|ops", "dan|NULL"]).await;
}

#[tokio::test]
async fn aggregates_and_windows() {
    let sql = format!("select dept, count(*), min(name) from {PEOPLE} group by dept");
    expect(&sql, &["10|2|ann", "20|1|cid", "NULL|1|dan"]).await;
    expect(&format!("select count(dept), count(distinct dept), sum(dept) from {PEOPLE}"), &["3|2|40"]).await;
    let sql = format!("select name, row_number() over (partition by dept order by name desc) from {PEOPLE}");
    expect(&sql, &["ann|2", "bob|1", "cid|1", "dan|1"]).await;
    expect(&format!("select name from {PEOPLE} where id > (select avg(id) from {PEOPLE} )"), &["cid", "dan"]).await;
}

/// Order `i` of 0..1200 has customer `i % 40` (none when 11 divides it) and weighs `i % 13 / 2`.
#[tokio::test]
async fn a_grouped_aggregate_over_files_by_arithmetic() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let mut by_customer: BTreeMap<Option<u32>, (u32, u32)> = BTreeMap::new();
    for i in 0..1200_u32 {
        let customer = (i % 11 != 0).then_some(i % 40);
        let (count, halves) = by_customer.entry(customer).or_default();
        *count += 1;
        *halves += i % 13;
    }
    let expected: Vec<String> = by_customer
        .iter()
        .map(|(customer, (count, halves))| {
            let customer = customer.map_or("NULL".into(), |c| c.to_string());
            format!("{customer}|{count}|{:.6}", f64::from(*halves) / 2.0)
        })
        .collect();
    for partitions in PARTITIONS {
        let session = session_over(dir.path(), partitions).await;
        let sql = "select customer, count(*), sum(weight) from orders group by customer order by customer nulls first";
        assert_eq!(query(&session, sql).await, expected, "{partitions} partitions");
    }
}
