//! Tasks that hang, results that are too large, keys that have nearly all rows.

use super::{super::TestCluster, trial::Trial};

/// Rows of lineitem at scale 0.1, as TPC-H has them.
const ROWS: &str = "600572";
/// The sum of their quantities, by DuckDB.
const QUANTITY: &str = "15334802.00";

/// A16: one node never comes to an end with a task. A copy of it elsewhere does.
pub(super) fn slow_node(trial: &mut Trial) {
    trial.slowly("task.start[stage=2]=sleep(500)");
    trial.failpoints("task.start[stage=2,partition=2]=hang*1");
    let cluster = trial.cluster(&[1, 1]);
    let conf = ["spark.speculation=true", "spark.speculation.quantile=0.5", "spark.speculation.multiplier=1.5"];
    let args: Vec<_> = conf.iter().flat_map(|pair| ["--conf", pair]).collect();
    let mut query = trial.start(&cluster, &args);
    trial.ends_right(&mut query);
    trial.must_have_fired(1..=1);
    trial.only_lost_ran_again();
    trial.nothing_is_left(&cluster);
}

/// A26: nine rows of ten have one key of a join, and executors have little memory.
pub(super) fn skewed_key(trial: &mut Trial) {
    let key = if trial.is_faulty() { "case when l_orderkey % 10 < 9 then 1 else l_orderkey end" } else { "l_orderkey" };
    let keys = format!("select {key} as k, l_quantity as q from tpch.sf0_1.lineitem");
    let cluster = trial.cluster(&[1, 1]);
    if trial.is_faulty() {
        let most = largest_share(&cluster, &keys);
        assert!(most >= 90, "the largest key has {most} % of the rows");
        trial.happened(1);
    }
    let sql = format!(
        "select count(*) as n, sum(q) as s from ({keys}) as l join tpch.sf0_1.orders as o on l.k = o.o_orderkey"
    );
    let conf =
        ["spark.sql.autoBroadcastJoinThreshold=-1", "spark.sql.shuffle.partitions=4", "spark.executor.memory=512m"];
    let args: Vec<_> = conf.iter().flat_map(|pair| ["--conf", pair]).collect();
    let mut query = trial.start_sql(&cluster, &sql, "csv", &[&["--executor-cores", "1"][..], &args].concat());
    let status = trial.ends(&mut query);
    assert!(status.success(), "{}", query.log());
    assert_eq!(query.output(), format!("n,s\n{ROWS},{QUANTITY}"), "{}", query.log());
    trial.counted();
    trial.nothing_is_left(&cluster);
}

/// What part of the rows the most frequent key has, in percent.
fn largest_share(cluster: &TestCluster, keys: &str) -> u32 {
    let sql = format!("select max(n) * 100 / sum(n) from (select count(*) as n from ({keys}) group by k)");
    let out = cluster.sql(&["--format", "csv", "-e", &sql]).ok();
    let share = out.lines().last().and_then(|share| share.split('.').next());
    share.and_then(|share| share.parse().ok()).unwrap_or_else(|| panic!("a share: {out}"))
}
