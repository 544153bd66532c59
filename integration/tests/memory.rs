//! More rows than memory, on real processes: operators spill, and what cannot be spilled runs again with what can.
//!
//! Expected rows come from arithmetic. Each test shows that memory was too little: a task ran out of it, or spilled.

use hearth_integration::real::{ClusterOptions, Daemon, SmallDisk, TestCluster, eventually, signal};
use rustix::process::Signal;
use std::{fs, path::PathBuf, thread, time::Duration};

/// Memory of an executor in MiB: below this, its pool stays as large as it is.
const MEMORY_MIB: u64 = 128;
/// Bytes of a row of the build side, in Arrow: a text, and the view and the key beside it.
const ROW_BYTES: u64 = 4000;

/// What was tested of a query that ended well.
fn log_of(mut query: Daemon, rows: &str) -> String {
    assert!(query.wait().success(), "{}", query.log());
    assert_eq!(query.output().trim(), rows, "{}", query.log());
    query.log()
}

fn start(cluster: &TestCluster, name: &str, sql: &str) -> Daemon {
    let memory = format!("{MEMORY_MIB}m");
    let conf = [
        "spark.sql.autoBroadcastJoinThreshold=-1",
        // One task an executor.
        "spark.sql.shuffle.partitions=2",
    ];
    let mut args = vec!["--format", "csv", "--executor-cores", "1", "--executor-memory", &memory];
    conf.iter().for_each(|pair| args.extend(["--conf", pair]));
    args.extend(["-e", sql]);
    cluster.start_sql(name, &args)
}

/// Issue 4's: the build side of each of the two tasks is four times the memory of its executor.
#[test]
fn a_join_whose_build_side_is_four_times_the_memory() {
    let cluster = TestCluster::start(&[1, 1]);
    let rows = 2 * 4 * (MEMORY_MIB << 20) / ROW_BYTES;
    let sql = format!(
        "select count(*) as n, sum(a.k) as k, sum(length(a.t)) as t, sum(b.m) as m \
         from (select value as k, repeat(chr(65 + value % 26), {ROW_BYTES}) as t from range(0, {rows})) a \
         join (select value % {rows} as k, value as m from range(0, {rows} * 2)) b on a.k = b.k"
    );
    let query = start(&cluster, "join", &sql);
    let keys = rows * (rows - 1) / 2;
    let (n, k, t, m) = (2 * rows, 2 * keys, 2 * rows * ROW_BYTES, rows * (2 * rows - 1));
    let log = log_of(query, &format!("n,k,t,m\n{n},{k},{t},{m}"));
    assert!(log.contains("ran out of memory on executor"), "{log}");
    assert!(log.contains("runs again with operators that spill: HashJoinInput"), "{log}");
    assert!(!log.contains("failure 1 of"), "nothing else failed: {log}");
    cluster.await_idle();
}

/// Fault A26: one key holds nine of ten rows of the build side, so that one task gets them all.
#[test]
fn one_key_holds_nine_rows_of_ten() {
    let cluster = TestCluster::start(&[1, 1]);
    let rows = 4 * (MEMORY_MIB << 20) / ROW_BYTES / 10 * 10;
    let sql = format!(
        "select count(*) as n, sum(a.v) as v, sum(length(a.t)) as t, sum(b.m) as m \
         from (select case when value % 10 = 3 then value else 5 end as k, value as v, \
         repeat(chr(65 + value % 26), {ROW_BYTES}) as t from range(0, {rows})) a \
         join (select value as k, value as m from range(0, {rows} * 2)) b on a.k = b.k"
    );
    let query = start(&cluster, "skew", &sql);
    // The third of each ten has its own number for a partner, the others have 5.
    let tens = rows / 10;
    let m = 10 * (tens * (tens - 1) / 2) + 3 * tens + 9 * tens * 5;
    let log = log_of(query, &format!("n,v,t,m\n{rows},{},{},{m}", rows * (rows - 1) / 2, rows * ROW_BYTES));
    let ran_out = log.matches("ran out of memory on executor").count();
    assert_eq!(ran_out, 1, "the task of that key: {log}");
    cluster.await_idle();
}

/// A control group of little memory, for as long as this lives.
struct SmallGroup(PathBuf);

impl SmallGroup {
    /// Nothing where this process may not make one: it is not root, or is confined itself.
    fn make(mib: u64) -> Option<Self> {
        let name = format!("hearth-test-{}", std::process::id());
        let first = PathBuf::from("/sys/fs/cgroup/memory");
        let (group, limit) = match first.is_dir() {
            true => (Self(first.join(name)), "memory.limit_in_bytes"),
            false => (Self(PathBuf::from("/sys/fs/cgroup").join(name)), "memory.max"),
        };
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(limit), (mib << 20).to_string()).ok()?;
        // Where there is swap, the kernel would take that first.
        let _ = fs::write(group.0.join("memory.swap.max"), "0");
        let _ = fs::write(group.0.join("memory.swappiness"), "0");
        Some(group)
    }

    fn take(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for SmallGroup {
    fn drop(&mut self) {
        // Of the dead nobody is left in it.
        let _ = fs::remove_dir(&self.0);
    }
}

/// A join that holds some hundred MiB in each of two executors of a GiB.
const LARGE: &str = "select count(*) as n from \
                     (select value as k, repeat(chr(65 + value % 26), 4000) as t from range(0, 100000)) a \
                     join (select value as k, value as m from range(0, 200000)) b on a.k = b.k and length(a.t) < b.m + 9000";

fn start_large(cluster: &TestCluster) -> Daemon {
    let conf = ["--conf", "spark.sql.autoBroadcastJoinThreshold=-1", "--conf", "spark.sql.shuffle.partitions=2"];
    let args = [&["--format", "csv", "--executor-cores", "1", "-e", LARGE][..], &conf].concat();
    let query = cluster.start_sql("large", &args);
    let executors = cluster.workers.len();
    cluster.await_application("large", |a| a.executors.len() == executors);
    query
}

/// Fault A19: needs control groups, or skips.
#[test]
fn the_kernel_kills_an_executor_for_memory() {
    let Some(group) = SmallGroup::make(48) else { return };
    let cluster = TestCluster::start(&[1, 1]);
    let query = start_large(&cluster);
    let victim = cluster.executors().remove(0);
    // Its worker looks up the group of a child every half second: it must do so once before the end.
    signal(victim.pid, Signal::STOP);
    group.take(victim.pid);
    thread::sleep(Duration::from_millis(1200));
    signal(victim.pid, Signal::CONT);
    let log = log_of(query, "n\n100000");
    assert!(log.contains("Caught fatal signal 9: the kernel killed it, out of memory; it had "), "{log}");
    assert!(log.contains("at its peak (limit of its control group: 48 MiB), and was granted 1024 MiB"), "{log}");
    cluster.await_idle();
}

#[test]
fn an_executor_that_somebody_kills_did_not_want_memory() {
    let cluster = TestCluster::start(&[1, 1]);
    let query = start_large(&cluster);
    let victim = eventually("an executor runs", || cluster.executors().into_iter().next());
    signal(victim.pid, Signal::KILL);
    let log = log_of(query, "n\n100000");
    assert!(log.contains("signal 9: not by Hearth, nor by the kernel for want of memory; it had "), "{log}");
    cluster.await_idle();
}

/// Fault A17: one of two disks is full at once. Needs root, or skips.
#[test]
fn a_disk_of_several_that_is_full_is_left_out() {
    // Declared before the cluster: unmounted after it.
    let dir = tempfile::tempdir().unwrap();
    let disks = ["full", "other"].map(|name| dir.path().join(name));
    disks.iter().for_each(|disk| fs::create_dir(disk).unwrap());
    let Some(_disk) = SmallDisk::mount(&disks[0], 1) else { return };
    let dirs = disks.each_ref().map(|disk| disk.to_str().unwrap()).join(",");
    let env = vec![("SPARK_LOCAL_DIRS", dirs)];
    let cluster = TestCluster::start_with(&[1], ClusterOptions { env, ..ClusterOptions::default() });
    let query = start_large(&cluster);
    let log = log_of(query, "n\n100000");
    assert!(log.contains("No space left on device") && log.contains("failure 1 of 4"), "{log}");
    assert!(!log.contains("failure 2 of 4"), "{log}");
    cluster.await_idle();
    for disk in &disks {
        let application = fs::read_dir(disk).unwrap().flatten().flat_map(|of_worker| fs::read_dir(of_worker.path()));
        assert_eq!(application.flatten().count(), 0, "nothing is left of the application in {disk:?}");
    }
}
