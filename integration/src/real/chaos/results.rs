//! Results that are too large for who wants them.

use super::{
    super::TestCluster,
    trial::{ANSWER, QUERY, Trial},
};
use hearth::{ApplicationState, Conf, Context};
use std::fs;
use tokio::runtime::Runtime;

/// Some 150 MB of rows, where a driver may hold 8.
const LARGE: &str = "select * from tpch.sf0_1.lineitem";
/// A result that fits.
const SMALL: &str = "select l_comment from tpch.sf0_1.lineitem limit 1000";
/// What the driver may grow by: what is on its way to it, which is bounded too.
const MOST_KIB: u64 = 100 << 10;

/// A25: a driver that is to hold all rows says that they are too many before it grows. Another job of it lives on.
pub(super) fn too_large(trial: &mut Trial) {
    let cluster = trial.cluster(&[1, 1]);
    let runtime = Runtime::new().expect("a runtime");
    let sql = if trial.is_faulty() { LARGE } else { SMALL };
    let before = resident_kib();
    trial.begins();
    let (large, other) = runtime.block_on(both(&cluster, sql));
    trial.ended();
    if trial.is_faulty() {
        let error = large.expect_err("the rows are too many");
        assert!(error.contains("more than 8388608 bytes") && error.contains("spark.driver.maxResultSize"), "{error}");
        let grown = resident_kib().saturating_sub(before);
        assert!(grown < MOST_KIB, "the driver grew by {grown} KiB");
        trial.happened(1);
    } else {
        assert_eq!(large, Ok(1000));
    }
    assert_eq!(other.as_deref(), Ok(ANSWER.lines().last().expect("two lines")));
    trial.nothing_is_left(&cluster);
}

/// Rows of a statement all at once, and meanwhile the answer to another one.
async fn both(cluster: &TestCluster, sql: &str) -> (Result<usize, String>, Result<String, String>) {
    let pairs =
        [("spark.master", cluster.url.as_str()), ("spark.driver.maxResultSize", "8m"), ("spark.app.name", "faulty")];
    let context = Context::connect(Conf::from_pairs(pairs).expect("known keys")).await.expect("a master");
    let all = async {
        let query = context.sql(sql).await.map_err(|e| e.to_string())?;
        let batches = query.collect().await.map_err(|e| e.to_string())?;
        Ok(batches.iter().map(|batch| batch.num_rows()).sum())
    };
    let answer = async {
        let query = context.sql(QUERY).await.map_err(|e| e.to_string())?;
        let batches = query.collect().await.map_err(|e| e.to_string())?;
        let row = batches.iter().find(|batch| batch.num_rows() > 0).ok_or("no rows")?;
        let cells = row.columns().iter().map(|column| arrow::util::display::array_value_to_string(column, 0));
        Ok(cells.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?.join(","))
    };
    let both = tokio::join!(all, answer);
    context.stop(ApplicationState::Finished, "").await;
    both
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("a process knows its size")
}
