//! Queries over the built-in catalog, against DataFusion by itself over the same catalog.

use crate::harness::{query, rows, session};
use datafusion::prelude::{SessionConfig, SessionContext};

const QUERIES: &[&str] = &[
    // TPC-H 1, 3, 5, 6, 10 and 12, as the benchmark words them.
    "select l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), sum(l_extendedprice * (1 - l_discount)), \
     sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)), avg(l_quantity), avg(l_extendedprice), avg(l_discount), \
     count(*) from lineitem where l_shipdate <= date '1998-12-01' - interval '90' day \
     group by l_returnflag, l_linestatus order by l_returnflag, l_linestatus",
    "select l_orderkey, sum(l_extendedprice * (1 - l_discount)) as revenue, o_orderdate, o_shippriority \
     from customer, orders, lineitem where c_mktsegment = 'BUILDING' and c_custkey = o_custkey \
     and l_orderkey = o_orderkey and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15' \
     group by l_orderkey, o_orderdate, o_shippriority order by revenue desc, o_orderdate limit 10",
    "select n_name, sum(l_extendedprice * (1 - l_discount)) as revenue \
     from customer, orders, lineitem, supplier, nation, region where c_custkey = o_custkey and l_orderkey = o_orderkey \
     and l_suppkey = s_suppkey and c_nationkey = s_nationkey and s_nationkey = n_nationkey \
     and n_regionkey = r_regionkey and r_name = 'ASIA' and o_orderdate >= date '1994-01-01' \
     and o_orderdate < date '1994-01-01' + interval '1' year group by n_name order by revenue desc",
    "select sum(l_extendedprice * l_discount) as revenue from lineitem where l_shipdate >= date '1994-01-01' \
     and l_shipdate < date '1994-01-01' + interval '1' year and l_discount between 0.06 - 0.01 and 0.06 + 0.01 \
     and l_quantity < 24",
    "select c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) as revenue, c_acctbal, n_name, c_address, \
     c_phone, c_comment from customer, orders, lineitem, nation where c_custkey = o_custkey and l_orderkey = o_orderkey \
     and o_orderdate >= date '1993-10-01' and o_orderdate < date '1993-10-01' + interval '3' month \
     and l_returnflag = 'R' and c_nationkey = n_nationkey \
     group by c_custkey, c_name, c_acctbal, c_phone, n_name, c_address, c_comment order by revenue desc limit 20",
    "select l_shipmode, sum(case when o_orderpriority = '1-URGENT' or o_orderpriority = '2-HIGH' then 1 else 0 end), \
     sum(case when o_orderpriority <> '1-URGENT' and o_orderpriority <> '2-HIGH' then 1 else 0 end) \
     from orders, lineitem where o_orderkey = l_orderkey and l_shipmode in ('MAIL', 'SHIP') \
     and l_commitdate < l_receiptdate and l_shipdate < l_commitdate and l_receiptdate >= date '1994-01-01' \
     and l_receiptdate < date '1994-01-01' + interval '1' year group by l_shipmode order by l_shipmode",
    // 11 and 22 have scalar subqueries, 13 an outer join, 16 a count of distinct values over an anti join.
    "select ps_partkey, sum(ps_supplycost * ps_availqty) as value from partsupp, supplier, nation \
     where ps_suppkey = s_suppkey and s_nationkey = n_nationkey and n_name = 'GERMANY' group by ps_partkey \
     having sum(ps_supplycost * ps_availqty) > (select sum(ps_supplycost * ps_availqty) * 0.01 \
     from partsupp, supplier, nation where ps_suppkey = s_suppkey and s_nationkey = n_nationkey \
     and n_name = 'GERMANY') order by value desc, ps_partkey",
    "select c_count, count(*) as custdist from (select c_custkey, count(o_orderkey) as c_count from customer \
     left outer join orders on c_custkey = o_custkey and o_comment not like '%special%requests%' group by c_custkey) t \
     group by c_count order by custdist desc, c_count desc",
    "select p_brand, p_type, p_size, count(distinct ps_suppkey) as n from partsupp, part where p_partkey = ps_partkey \
     and p_brand <> 'Brand#45' and p_size in (49, 14, 23, 45, 19, 3, 36, 9) and ps_suppkey not in \
     (select s_suppkey from supplier where s_comment like '%Customer%Complaints%') \
     group by p_brand, p_type, p_size order by n desc, p_brand, p_type, p_size",
    "select substring(c_phone from 1 for 2) as code, count(*), sum(c_acctbal) from customer \
     where c_acctbal > (select avg(c_acctbal) from customer where c_acctbal > 0.00) and not exists \
     (select * from orders where o_custkey = c_custkey) group by code order by code",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_rows_as_datafusion_by_itself() {
    let config = SessionConfig::new().with_target_partitions(2).with_default_catalog_and_schema("tpch", "sf0_01");
    let plain = SessionContext::new_with_config(config);
    plain.register_catalog("tpch", hearth_plan::tpch::catalog());
    for partitions in [1, 3] {
        let session = session(partitions);
        for setting in ["datafusion.catalog.default_catalog = tpch", "datafusion.catalog.default_schema = sf0_01"] {
            crate::harness::local(&session, &format!("set {setting}")).await;
        }
        crate::harness::local(&session, "set datafusion.execution.batch_size = 8192").await;
        for sql in QUERIES {
            let expected = rows(&plain.sql(sql).await.unwrap().collect().await.unwrap());
            assert!(!expected.is_empty());
            assert_eq!(query(&session, sql).await, expected, "{partitions} partitions: {sql}");
        }
    }
}

/// The sizes of the tables are in the benchmark's specification.
#[tokio::test]
async fn tables_have_as_many_rows_as_the_benchmark_says() {
    let session = session(3);
    for (table, count) in
        [("nation", "25"), ("region", "5"), ("supplier", "100"), ("orders", "15000"), ("lineitem", "60175")]
    {
        assert_eq!(query(&session, &format!("select count(*) from tpch.sf0_01.{table}")).await, [count], "{table}");
    }
}
