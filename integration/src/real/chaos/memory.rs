//! More rows than memory.

use super::{
    super::{SmallGroup, TestCluster, eventually, signal},
    ledger::{Fired, notes},
    trial::Trial,
};
use rustix::process::Signal;
use std::{collections::BTreeSet, thread, time::Duration};

/// Memory of an executor in MiB: below this, its pool stays as large as it is.
const MEMORY_MIB: u64 = 128;
/// Bytes of a row of the build side, in Arrow: a text, and the view and the key beside it.
const ROW_BYTES: u64 = 4000;
/// Memory that the kernel lets a process have, in MiB: less than the join below wants, and more than an executor without tasks.
const GROUP_MIB: u64 = 48;
/// A worker looks up twice a second which control group a child is in. What it has seen nobody sees from outside.
const LOOKED_UP: Duration = Duration::from_millis(1200);

/// What a task says that runs out of memory.
const RAN_OUT: &str = "ran out of memory on executor";

/// Rows that take so many times the memory of an executor; few without the fault.
fn rows(trial: &Trial, times: u64) -> u64 {
    let rows = times * (MEMORY_MIB << 20) / ROW_BYTES / 10 * 10;
    if trial.is_faulty() { rows } else { rows / 500 * 10 }
}

/// Runs a join whose build side is one key and one text a row; gives what the driver said of it.
fn joined(trial: &mut Trial, cluster: &TestCluster, sql: &str, expected: &str) -> String {
    let memory = format!("{MEMORY_MIB}m");
    let conf = ["--executor-cores", "1", "--executor-memory", &memory];
    // One task an executor.
    let partitions = ["--conf", "spark.sql.shuffle.partitions=2", "--conf", "spark.sql.autoBroadcastJoinThreshold=-1"];
    let mut query = trial.start_sql(cluster, sql, &[&conf[..], &partitions].concat());
    trial.ends_with(&mut query, expected);
    let log = query.log();
    assert!(!log.contains("failure 1 of"), "nothing else failed: {log}");
    let fired = trial.fired();
    let executors: BTreeSet<_> = notes(&fired, "task.start").map(Fired::pid).collect();
    assert!(executors.len() <= 2, "an executor did not live: {log}");
    log
}

/// A18: the build side of each of the two tasks is as large as all memory of its executor, of which a quarter is for tasks. They
/// run out of it, and run again with operators that spill.
pub(super) fn too_little(trial: &mut Trial) {
    let cluster = trial.cluster(&[1, 1]);
    let rows = rows(trial, 2);
    let sql = format!(
        "select count(*) as n, sum(a.k) as k, sum(length(a.t)) as t, sum(b.m) as m \
         from (select value as k, repeat(chr(65 + value % 26), {ROW_BYTES}) as t from range(0, {rows})) a \
         join (select value % {rows} as k, value as m from range(0, {rows} * 2)) b on a.k = b.k"
    );
    let keys = rows * (rows - 1) / 2;
    let (n, k, t, m) = (2 * rows, 2 * keys, 2 * rows * ROW_BYTES, rows * (2 * rows - 1));
    let log = joined(trial, &cluster, &sql, &format!("n,k,t,m\n{n},{k},{t},{m}"));
    let ran_out = log.matches(RAN_OUT).count();
    trial.happened(ran_out);
    let spills = log.contains("runs again with operators that spill: HashJoinInput");
    assert_eq!(spills, trial.is_faulty(), "{log}");
    trial.only_lost_ran_again(|_| false);
    trial.few_attempts(1);
    trial.nothing_is_left(&cluster);
}

/// A26: one key holds nine of ten rows of the build side, so that one task gets them all.
pub(super) fn skewed_key(trial: &mut Trial) {
    let cluster = trial.cluster(&[1, 1]);
    let rows = rows(trial, 4);
    let sql = format!(
        "select count(*) as n, sum(a.v) as v, sum(length(a.t)) as t, sum(b.m) as m \
         from (select case when value % 10 = 3 then value else 5 end as k, value as v, \
         repeat(chr(65 + value % 26), {ROW_BYTES}) as t from range(0, {rows})) a \
         join (select value as k, value as m from range(0, {rows} * 2)) b on a.k = b.k"
    );
    // The third of each ten has its own number for a partner, the others have 5.
    let tens = rows / 10;
    let m = 10 * (tens * (tens - 1) / 2) + 3 * tens + 9 * tens * 5;
    let expected = format!("n,v,t,m\n{rows},{},{},{m}", rows * (rows - 1) / 2, rows * ROW_BYTES);
    let log = joined(trial, &cluster, &sql, &expected);
    let ran_out = log.matches(RAN_OUT).count();
    assert_eq!(ran_out, usize::from(trial.is_faulty()), "the task of that key: {log}");
    trial.happened(ran_out);
    trial.only_lost_ran_again(|_| false);
    trial.few_attempts(1);
    trial.nothing_is_left(&cluster);
}

/// A join that holds some hundred MiB in each of two executors of a GiB.
const LARGE: &str = "select count(*) as n from \
                     (select value as k, repeat(chr(65 + value % 26), 4000) as t from range(0, 100000)) a \
                     join (select value as k, value as m from range(0, 200000)) b on a.k = b.k and length(a.t) < b.m + 9000";

/// A19: an executor's control group has less memory than its task wants. The kernel kills it, the driver says so, with limit and
/// peak, and another one does its task.
pub(super) fn killed_by_the_kernel(trial: &mut Trial) {
    let Some(group) = SmallGroup::make(GROUP_MIB) else { return trial.skips() };
    // It holds still until it is in the group.
    trial.failpoints("task.start=stop*1");
    let cluster = trial.cluster(&[1, 1]);
    let conf = ["--executor-cores", "1", "--conf", "spark.sql.shuffle.partitions=2"];
    let moved = ["--conf", "spark.sql.autoBroadcastJoinThreshold=-1"];
    let mut query = trial.start_sql(&cluster, LARGE, &[&conf[..], &moved].concat());
    if trial.is_faulty() {
        let victim = eventually("an executor holds still", || {
            assert!(!query.is_over(), "{}", query.log());
            trial.fired().into_iter().find(|fired| fired.get("deed") == "Stop")
        });
        group.take(victim.pid());
        thread::sleep(LOOKED_UP);
        signal(victim.pid(), Signal::CONT);
    }
    trial.ends_with(&mut query, "n\n100000");
    let victims: BTreeSet<_> = trial.must_have_fired(1..=1).iter().map(Fired::pid).collect();
    if trial.is_faulty() {
        let log = query.log();
        assert!(log.contains("Caught fatal signal 9: the kernel killed it, out of memory; it had "), "{log}");
        let limit = format!("at its peak (limit of its control group: {GROUP_MIB} MiB), and was granted 1024 MiB");
        assert!(log.contains(&limit), "{log}");
    }
    let fired = trial.fired();
    let ended: BTreeSet<_> = notes(&fired, "task.end").map(|end| end.get("task").to_owned()).collect();
    trial.only_lost_ran_again(|attempt| victims.contains(&attempt.pid()) && !ended.contains(attempt.get("task")));
    trial.nothing_is_left(&cluster);
}
