//! Outputs that two attempts want to be theirs.

use super::{
    super::{Daemon, TestCluster, eventually, signal},
    ledger::{Fired, notes},
    links::driver_wire,
    trial::Trial,
};
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A22: an attempt has staged its files, and dies before anybody hears of it.
pub(super) fn killed_when_staged(trial: &mut Trial) {
    written_twice(trial, "commit.staged=kill*1");
}

/// A22: an attempt has ended, and its answer is lost with its executor.
pub(super) fn killed_when_answered(trial: &mut Trial) {
    written_twice(trial, "task.end[stage=1]=kill*1");
}

fn written_twice(trial: &mut Trial, faults: &str) {
    trial.failpoints(faults);
    let cluster = trial.cluster(&[1, 1]);
    let (mut query, out) = start(trial, &cluster, &[]);
    trial.ends_with(&mut query, "count\n15000");
    trial.must_have_fired(1..=1);
    trial.only_lost_ran_again(|_| false);
    trial.nothing_is_left(&cluster);
    one_set(&cluster, &out);
}

/// A22: an attempt stops with its files staged, a copy of it stages its own and ends, and the first goes on while the job
/// still runs. Both say that they are done.
pub(super) fn two_alive(trial: &mut Trial) {
    trial.failpoints("commit.staged[partition=1]=stop*1");
    trial.slowly("commit.staged=note; task.start[stage=1,partition=3]=sleep(4000)");
    let cluster = trial.cluster(&[2, 2, 2]);
    // Nothing else takes a second.
    let conf = ["spark.speculation=true", "spark.speculation.quantile=0.5", "spark.speculation.minTaskRuntime=1s"];
    let args: Vec<_> = conf.iter().flat_map(|pair| ["--conf", pair]).collect();
    let (mut query, out) = start(trial, &cluster, &args);
    let of_write = |fired: &&Fired| fired.get("stage") == "1" && fired.get("partition") == "1";
    if trial.is_faulty() {
        let stopped = eventually("an attempt stops", || trial.fired().into_iter().find(|f| f.get("deed") == "Stop"));
        eventually("its copy ends", || {
            assert!(!query.is_over(), "{}", query.log());
            notes(&trial.fired(), "task.end").find(of_write).cloned()
        });
        signal(stopped.pid(), Signal::CONT);
        assert!(!query.is_over(), "{}", query.log());
    }
    trial.ends_with(&mut query, "count\n15000");
    let stopped: BTreeSet<_> = trial.must_have_fired(1..=1).iter().map(Fired::pid).collect();
    let fired = trial.fired();
    let staged: BTreeSet<_> =
        notes(&fired, "commit.staged").filter(|note| note.get("partition") == "1").map(Fired::pid).collect();
    assert!(staged.len() > stopped.len(), "each attempt staged its files: {fired:#?}");
    // The slow one may have a copy too.
    trial.only_lost_ran_again(|attempt| {
        attempt.get("stage") == "1" && (attempt.get("partition") == "3" || stopped.contains(&attempt.pid()))
    });
    trial.nothing_is_left(&cluster);
    one_set(&cluster, &out);
}

/// A22: whatever executors and driver say to each other they say twice, and their links break as soon as an attempt has
/// ended: who says again what may not have been heard gets the same answer.
pub(super) fn told_twice(trial: &mut Trial) {
    trial.failpoints("executor.say=duplicate; driver.say=duplicate");
    trial.slowly("task.start[stage=1]=sleep(300)");
    let (proxy, conf) = driver_wire();
    let cluster = trial.cluster(&[1, 1]);
    let (mut query, out) = start(trial, &cluster, &conf.each_ref().map(String::as_str));
    if trial.is_faulty() {
        for ended in 1..=2 {
            eventually("an attempt has ended", || {
                assert!(!query.is_over(), "{}", query.log());
                let fired = trial.fired();
                (notes(&fired, "task.end").filter(|end| end.get("stage") == "1").count() >= ended).then_some(())
            });
            proxy.cut();
        }
    }
    trial.ends_with(&mut query, "count\n15000");
    trial.must_have_fired(10..=1000);
    trial.happened_on(&proxy, |did| did.cut);
    trial.only_lost_ran_again(|_| false);
    trial.nothing_is_left(&cluster);
    one_set(&cluster, &out);
}

/// Starts a write in four tasks of stage 1; gives where to.
fn start(trial: &mut Trial, cluster: &TestCluster, more: &[&str]) -> (Daemon, PathBuf) {
    let out = cluster.dir().join("out");
    let copy =
        format!("copy (select * from tpch.sf0_01.orders distribute by 4) to '{}' stored as parquet", out.display());
    let query = trial.start_sql(cluster, &copy, &[&["--executor-cores", "1"][..], more].concat());
    (query, out)
}

/// One set of files a partition, and every row once.
fn one_set(cluster: &TestCluster, out: &Path) {
    let count = format!("select count(*), count(distinct o_orderkey), sum(o_orderkey) from '{}'", out.display());
    let rows = cluster.sql(&["--format", "csv", "-e", &count]).ok();
    // As TPC-H has them at scale 0.01; the sum by DuckDB.
    assert_eq!(rows.lines().last(), Some("15000,15000,449872500"), "{rows}");
    let partition = |name: &String| name.split('-').nth(1).filter(|_| name.ends_with(".parquet")).map(str::to_owned);
    let (parts, others): (Vec<_>, Vec<_>) = names(out).into_iter().partition(|name| partition(name).is_some());
    assert_eq!(others, ["_SUCCESS"], "nothing else is there");
    let partitions: Vec<_> = parts.iter().filter_map(partition).collect();
    assert_eq!(partitions, ["00000", "00001", "00002", "00003"], "one set of files a partition");
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the folder was written");
    let mut names: Vec<_> = entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
