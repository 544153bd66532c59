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
/// What the driver may hold of a result, in MiB.
const RESULT_MIB: u64 = 8;
/// What it may have asked for beside that.
const IN_FLIGHT_MIB: u64 = 8;
/// What another job wants for its plan, and what an allocator keeps.
const BESIDE_MIB: u64 = 24;

/// A25: a driver that is to hold all rows says that they are too many before it grows. Another job of it lives on.
pub(super) fn too_large(trial: &mut Trial) {
    let cluster = trial.cluster(&[1, 1]);
    let runtime = Runtime::new().expect("a runtime");
    let context = runtime.block_on(connect(&cluster));
    // What a first query takes for ever is not this one's.
    assert_eq!(runtime.block_on(both(&context, SMALL)).0, Ok(1000));
    let before = own_kib("VmRSS:");
    // From now on the peak is another one.
    fs::write("/proc/self/clear_refs", "5").expect("a process may forget its peak");
    trial.begins();
    let (large, other) = runtime.block_on(both(&context, if trial.is_faulty() { LARGE } else { SMALL }));
    trial.ended();
    let grown = own_kib("VmHWM:").saturating_sub(before);
    runtime.block_on(context.stop(ApplicationState::Finished, ""));
    if trial.is_faulty() {
        let error = large.expect_err("the rows are too many");
        let limit = format!("more than {} bytes", RESULT_MIB << 20);
        assert!(error.contains(&limit) && error.contains("spark.driver.maxResultSize"), "{error}");
        let most = RESULT_MIB + IN_FLIGHT_MIB + BESIDE_MIB;
        assert!(grown < most << 10, "the driver grew by {grown} KiB, where {most} MiB are enough");
        trial.happened(1);
    } else {
        assert_eq!(large, Ok(1000));
    }
    assert_eq!(other.as_deref(), Ok(ANSWER.lines().last().expect("two lines")));
    trial.only_lost_ran_again(|_| false);
    trial.nothing_is_left(&cluster);
}

async fn connect(cluster: &TestCluster) -> Context {
    let scratch = cluster.driver_scratch();
    fs::create_dir_all(&scratch).expect("a directory for the driver");
    let (result, in_flight) = (format!("{RESULT_MIB}m"), format!("{IN_FLIGHT_MIB}m"));
    let pairs = [
        ("spark.master", cluster.url.as_str()),
        ("spark.app.name", "faulty"),
        ("spark.driver.maxResultSize", result.as_str()),
        ("spark.reducer.maxSizeInFlight", in_flight.as_str()),
        ("spark.local.dir", scratch.to_str().expect("a path in UTF-8")),
    ];
    Context::connect(Conf::from_pairs(pairs).expect("known keys")).await.expect("a master")
}

/// Rows of a statement all at once, and meanwhile the answer to another one.
async fn both(context: &Context, sql: &str) -> (Result<usize, String>, Result<String, String>) {
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
    tokio::join!(all, answer)
}

/// A size of this process, which the driver is in.
fn own_kib(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("a process knows its size")
}
