//! Nodes that are slow.

use super::{ledger, trial::Trial};

/// Tasks of the stage that does the work: ten rounds of the slots. Where there are fewer than three or so no copy can keep the
/// promise: a task counts as slow after three times what others take, and its copy takes as long as they did.
const TASKS: usize = 40;
/// Milliseconds that each of them takes, and with the fault each on one node.
const TAKES: (u64, u64) = (200, 1600);
/// The same of the task that adds up what they give: it does next to nothing, and on that node eight times that.
const ADDS_UP: u64 = 100;
/// Runs of which the one in the middle counts: other tests run on the same cores.
const RUNS: usize = 3;

/// Rows of lineitem at scale 0.1, as TPC-H has them, and the sum of their quantities, by DuckDB.
const ROWS: &str = "n,s\n600572,15334802.00";

/// A16: one node of four takes eight times as long for every task. Copies of what it has not done in time keep the whole below
/// one and a half times what it takes without.
pub(super) fn slow_node(trial: &mut Trial) {
    if !trial.is_faulty() {
        many(trial);
        return;
    }
    let free = many(&mut trial.without_fault());
    let slow = many(trial);
    assert!(slow * 2 <= free * 3, "the tasks took {slow} ms, and {free} ms without the fault");
}

/// Runs it several times; gives the milliseconds from the first task's start to the last one's end.
fn many(trial: &mut Trial) -> u64 {
    let (fast, slow) = TAKES;
    trial.slowly(&format!("task.start[stage=0]=sleep({fast})"));
    trial.failpoints(&format!(
        "task.start[stage=0,dir~/worker-1/]=sleep({}); task.start[stage=1,dir~/worker-1/]=sleep({ADDS_UP})",
        slow - fast
    ));
    let cluster = trial.cluster(&[1, 1, 1, 1]);
    let partitions = format!("spark.sql.shuffle.partitions={TASKS}");
    let conf = ["--executor-cores", "1", "--conf", "spark.speculation=true", "--conf", &partitions];
    let mut copies = 0;
    for _ in 0..RUNS {
        let sql = "select count(*) as n, sum(l_quantity) as s from tpch.sf0_1.lineitem";
        let mut query = trial.start_sql(&cluster, sql, &conf);
        trial.ends_with(&mut query, ROWS);
        copies += query.log().matches("it gets a copy elsewhere").count();
    }
    let fired = trial.fired();
    let tasks = ledger::starts(&fired).keys().filter(|(stage, _)| *stage == 0).count();
    assert_eq!(tasks, TASKS, "the stage has another number of tasks");
    if trial.is_faulty() {
        assert!(copies > 0, "no task had a copy");
        trial.happened(ledger::notes(&fired, "task.start").filter(|start| start.worker() == Some(1)).count());
    }
    // What is copied is not lost, but late.
    trial.only_lost_ran_again(|attempt| attempt.worker() == Some(1));
    trial.few_attempts(1);
    trial.nothing_is_left(&cluster);
    let mut spans = ledger::spans(&fired);
    assert_eq!(spans.len(), RUNS);
    spans.sort_unstable();
    spans[RUNS / 2]
}
