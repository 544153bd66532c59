//! Writes on real processes: whoever dies while files are written, the folder has all rows once, or nothing that a reader
//! sees.
//!
//! Each test shows that its fault happened while a task was writing: its staging folder was there.

use hearth_integration::real::{Daemon, Process, Run, SmallDisk, TestCluster, eventually, run, signal};
use rustix::process::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Rows of lineitem at scale 0.1, as TPC-H has them.
const ROWS: u64 = 600_572;

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

/// What lies in a directory, as paths below it.
fn all(dir: &Path) -> Vec<String> {
    walk(dir).iter().map(|p| p.strip_prefix(dir).unwrap().to_string_lossy().into_owned()).collect()
}

fn copy(to: &Path) -> String {
    format!("copy tpch.sf0_1.lineitem to '{}' stored as parquet", to.display())
}

/// A write that two tasks are in the middle of.
fn writing(cluster: &TestCluster, out: &Path) -> Daemon {
    let query = cluster.start_sql("write", &["--format", "csv", "--executor-cores", "1", "-e", &copy(out)]);
    let parent = out.parent().unwrap();
    let attempts = || walk(parent).iter().filter(|p| is_attempt(p)).count();
    eventually("two tasks write", || (attempts() >= 2).then_some(()));
    query
}

/// Whether this is the folder of a task that writes: `_temporary/<write>/<partition>-…`.
fn is_attempt(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.is_dir() && name.starts_with("0000") && path.to_string_lossy().contains("/_temporary/")
}

/// All rows are there, each once.
#[track_caller]
fn assert_whole(out: &Path) {
    assert!(out.join("_SUCCESS").exists(), "{:?}", all(out));
    assert!(out.join("_SUCCESS").metadata().unwrap().len() == 0);
    let parent = out.parent().unwrap();
    assert!(!all(parent).iter().any(|f| f.contains("_temporary")), "{:?}", all(parent));
    let sql = format!(
        "create external table t stored as parquet location '{}/'; \
         select count(*) as n, count(distinct l_orderkey * 10 + l_linenumber) as d from t",
        out.display()
    );
    let read = run(&["sql", "--master", "local[2]", "--format", "csv", "-e", &sql]).ok();
    assert_eq!(read.trim(), format!("n,d\n{ROWS},{ROWS}"));
}

#[track_caller]
fn kill(process: &Process, query: &mut Daemon) {
    assert!(!query.is_over(), "the write was over before the fault: {}", query.log());
    signal(process.pid, Signal::KILL);
    let gone = || fs::read_to_string(format!("/proc/{}/stat", process.pid)).map_or(true, |s| s.contains(") Z "));
    eventually("the killed process is gone", || gone().then_some(()));
    assert!(!query.is_over(), "the write was over before the fault: {}", query.log());
}

#[track_caller]
fn ends_right(query: &mut Daemon, out: &Path) {
    let status = query.wait();
    assert!(status.success(), "{}", query.log());
    assert_eq!(query.output().trim(), format!("count\n{ROWS}"));
    assert_whole(out);
}

#[test]
fn an_executor_is_killed_while_it_writes() {
    let cluster = TestCluster::start(&[1, 1]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut query = writing(&cluster, &out);
    let victim = cluster.executors().remove(0);
    kill(&victim, &mut query);
    ends_right(&mut query, &out);
    cluster.await_idle();
}

#[test]
fn a_worker_is_killed_while_its_executor_writes() {
    let mut cluster = TestCluster::start(&[1, 1]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut query = writing(&cluster, &out);
    assert!(!query.is_over(), "the write was over before the fault");
    cluster.workers[0].signal(Signal::KILL);
    cluster.workers[0].wait();
    assert!(!query.is_over(), "the write was over before the fault");
    ends_right(&mut query, &out);
}

#[test]
fn the_client_is_killed_while_it_writes() {
    let cluster = TestCluster::start(&[1, 1]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut query = writing(&cluster, &out);
    query.signal(Signal::KILL);
    query.wait();
    cluster.await_idle();
    // What is left is what readers skip; nobody was there to remove it.
    assert!(all(dir.path()).iter().all(|f| f.starts_with("_temporary")), "{:?}", all(dir.path()));
    // The same statement once more is as if nothing had been.
    assert_eq!(cluster.sql(&["--format", "csv", "-e", &copy(&out)]).ok().trim(), format!("count\n{ROWS}"));
    fs::remove_dir_all(dir.path().join("_temporary")).unwrap();
    assert_whole(&out);
}

#[test]
fn the_client_is_interrupted_while_it_writes() {
    let cluster = TestCluster::start(&[1, 1]);
    let dir = tempfile::tempdir().unwrap();
    let mut query = writing(&cluster, &dir.path().join("out"));
    query.signal(Signal::INT);
    assert_eq!(query.wait().code(), Some(130), "{}", query.log());
    assert_eq!(all(dir.path()), [""; 0]);
    cluster.await_idle();
}

#[test]
fn of_two_writers_of_one_folder_one_succeeds() {
    let cluster = TestCluster::start(&[1, 1]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let sql = copy(&out);
    let start = |name| cluster.start_sql(name, &["--total-executor-cores", "1", "-e", &sql]);
    let mut writers = [start("first"), start("second")];
    let writes = || fs::read_dir(dir.path().join("_temporary")).into_iter().flatten().count();
    eventually("both have begun", || (writes() == 2).then_some(()));
    let done = writers.each_mut().map(|w| w.wait().success());
    assert!(done[0] != done[1], "{done:?}\n{}\n{}", writers[0].log(), writers[1].log());
    let loser = &writers[usize::from(done[0])];
    assert!(loser.log().contains("the folder exists already and is not empty"), "{}", loser.log());
    assert_whole(&out);
}

/// Needs root, or skips; and fails where root may not mount, unless HEARTH_SKIP_MOUNT_TESTS=1 says so.
#[test]
fn the_disk_of_the_folder_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(dir.path(), 1) else { return };
    let out = dir.path().join("out");
    for stored in ["parquet", "csv"] {
        let sql = format!("copy tpch.sf0_1.orders to '{}' stored as {stored}", out.display());
        let failed: Run = run(&["sql", "--master", "local[2]", "-e", &sql]);
        let err = failed.failed(1);
        let last = err.trim_end().lines().last().unwrap_or_default();
        for word in ["No space left on device", out.parent().unwrap().to_str().unwrap(), "4 times"] {
            assert!(last.contains(word), "{stored}: {word:?} is missing in: {err}");
        }
        assert_eq!(all(dir.path()), [""; 0], "{stored}");
    }
    // What fits is written.
    let sql = format!("copy tpch.sf0_01.nation to '{}' stored as csv", out.display());
    assert_eq!(run(&["sql", "--master", "local[2]", "--format", "csv", "-e", &sql]).ok(), "count\n25\n");
}

#[test]
fn a_table_goes_with_its_application() {
    let cluster = TestCluster::start(&[1, 1]);
    let dir = tempfile::tempdir().unwrap();
    let local = format!("spark.local.dir={}", dir.path().display());
    let sql = "create table t as select l_orderkey as k, count(*) as n from tpch.sf0_01.lineitem group by l_orderkey; \
               insert into t values (-1, 7); select count(*) as keys, sum(n) as n from t";
    // 15,000 orders and 60,175 lines at scale 0.01.
    let out = cluster.sql(&["--format", "csv", "--conf", &local, "-e", sql]).ok();
    assert_eq!(out, "count\n15000\ncount\n1\nkeys,n\n15001,60182\n");
    assert_eq!(all(dir.path()), [""; 0]);
    cluster.await_idle();
}
