//! Processes killed in a running query: it ends right or with one clear error, and nothing is left running.
//!
//! The faults of the table are in [`table`]; here are a master that stays away, interrupts, and disks that are really full. Each
//! test shows that its fault happened: the process it killed was alive in the middle of the query.

mod table;

use hearth_integration::real::{
    Daemon, SmallDisk, TestCluster,
    chaos::{ANSWER, QUERY, QUERY_ARGS, files},
    eventually, run,
};
use rustix::process::Signal;
use std::path::{Path, PathBuf};

/// Its joins move both sides, however small.
const MOVED: [&str; 2] = ["--conf", "spark.sql.autoBroadcastJoinThreshold=-1"];

/// A query that runs on both workers right now.
fn running(cluster: &TestCluster) -> Daemon {
    let query = cluster.start_sql("slow", &QUERY_ARGS);
    let workers = cluster.workers.len();
    cluster.await_application("slow", |a| a.executors.len() == workers);
    let is_output = |path: &PathBuf| path.extension().is_some_and(|e| e == "index");
    eventually("map outputs are being written", || files(cluster.dir()).iter().any(is_output).then_some(()));
    query
}

/// What lies in directories of map outputs, whole and half-written.
fn left_in_shuffle(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|path| path.to_string_lossy().contains("/shuffle/")).collect()
}

#[track_caller]
fn ends_right(query: &mut Daemon) {
    let status = query.wait();
    assert!(status.success(), "{}", query.log());
    assert_eq!(query.output().trim(), ANSWER.trim());
}

#[test]
fn the_master_is_killed_for_good() {
    let mut cluster = TestCluster::start(&[1, 1]);
    let mut query = running(&cluster);
    cluster.kill_master();
    assert!(!query.is_over(), "the query was over before the fault: {}", query.log());
    ends_right(&mut query);
    eventually("its executors are gone", || cluster.executors().is_empty().then_some(()));
}

#[test]
fn the_client_is_interrupted() {
    let cluster = TestCluster::start(&[1, 1]);
    let mut query = running(&cluster);
    query.signal(Signal::INT);
    assert_eq!(query.wait().code(), Some(130), "{}", query.log());
    assert_eq!(query.output(), "");
    cluster.await_idle();
    let app = cluster.await_application("slow", |a| a.state.is_final());
    assert_eq!(app.state, hearth_core::ApplicationState::Killed, "{}", app.message);
}

/// Needs root, or skips; and fails where root may not mount, unless HEARTH_SKIP_MOUNT_TESTS=1 says so.
#[test]
fn a_disk_is_full() {
    // Declared before the cluster: unmounted after it.
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(dir.path(), 2) else { return };
    let mut cluster = TestCluster::start(&[]);
    cluster.add_worker_in(1, &dir.path().join("work"));
    // Nothing is kept free, so that it does get full.
    let reserve = ["--conf", "hearth.disk.reserve=0"];
    let partitions = [&reserve[..], &["--conf", "spark.sql.shuffle.partitions=4", "-e", QUERY]].concat();
    let err = cluster.sql(&[&MOVED[..], &partitions].concat()).failed(1);
    let last = err.trim_end().lines().last().unwrap_or_default();
    for word in ["No space left on device", "/shuffle/shuffle_", "4 times", "spark.task.maxFailures"] {
        assert!(last.contains(word), "{word:?} is missing in: {err}");
    }
    cluster.await_idle();
    let left = left_in_shuffle(dir.path());
    assert!(left.is_empty(), "half-written files: {left:?}");
    // The disk has room again: the same worker goes on.
    cluster.sql(&["-e", "select count(*) from tpch.sf0_01.lineitem group by l_orderkey limit 1"]).ok();
}

/// Needs root, or skips; see [`a_disk_is_full`].
#[test]
fn the_disk_of_the_output_file_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(dir.path(), 1) else { return };
    let out = dir.path().join("rows.csv");
    let path = out.to_str().unwrap();
    let sql = ["sql", "--master", "local[1]", "--format", "csv", "-o", path, "-e"];
    // Some 7 MB of text.
    let err = run(&[&sql[..], &["select * from tpch.sf0_01.lineitem"]].concat()).failed(1);
    let last = err.trim_end().lines().last().unwrap_or_default();
    for word in [path, "No space left on device"] {
        assert!(last.contains(word), "{word:?} is missing in: {err}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing half-written stays");
    // What fits is written.
    assert_eq!(run(&[&sql[..], &["select 1 as a"]].concat()).ok(), "");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "a\n1\n");
}
