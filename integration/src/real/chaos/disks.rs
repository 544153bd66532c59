//! Disks and wires that are full, broken, or give back other bytes; outputs that two attempts want to be theirs.

use super::{
    executors::REMOTE,
    trial::{Trial, files},
};
use std::{fs, path::Path};

/// A17: no space for a map output, once. The task fails by its type, leaves nothing half-written, and runs again.
pub(super) fn no_space(trial: &mut Trial) {
    disk(trial, "nospace", "No space left on device");
}

/// A17: the disk gives an error, once.
pub(super) fn broken_disk(trial: &mut Trial) {
    disk(trial, "io", "Input/output error");
}

fn disk(trial: &mut Trial, deed: &str, says: &str) {
    trial.failpoints(&format!("disk.write[path~/shuffle/]={deed}*2"));
    trial.slowly("task.start[stage=5]=sleep(300)");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[]);
    if trial.is_faulty() {
        super::super::eventually("the result is awaited", || {
            trial.fired().iter().any(|fired| fired.get("stage") == "5").then_some(())
        });
        let half: Vec<_> =
            files(cluster.dir()).into_iter().filter(|file| file.extension().is_some_and(|e| e == "tmp")).collect();
        assert!(half.is_empty(), "half-written files stay: {half:?}");
    }
    trial.ends_right(&mut query);
    let fired = trial.must_have_fired(2..=2);
    if trial.is_faulty() {
        assert!(query.log().contains(says), "{says:?} is missing in {}", query.log());
    }
    // What failed is what was lost.
    trial.lost(fired.len());
    trial.only_lost_ran_again();
    trial.nothing_is_left(&cluster);
}

/// A27: a bit of a map output is another on its disk. It is never decoded: the map runs again.
pub(super) fn damaged_on_disk(trial: &mut Trial) {
    trial.failpoints("output.damage[output~shuffle_2_]=flip*1");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &REMOTE);
    trial.ends_right(&mut query);
    trial.must_have_fired(1..=1);
    if trial.is_faulty() {
        let log = query.log();
        assert!(log.contains("damaged on its disk"), "the diagnosis is missing: {log}");
    }
    trial.lost(1);
    trial.few_attempts(2);
    trial.nothing_is_left(&cluster);
}

/// The same, read from the file.
pub(super) fn damaged_on_own_disk(trial: &mut Trial) {
    trial.failpoints("output.damage[output~shuffle_2_]=flip*1");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[]);
    trial.ends_right(&mut query);
    trial.must_have_fired(1..=1);
    if trial.is_faulty() {
        let log = query.log();
        assert!(log.contains("damaged on its disk"), "the diagnosis is missing: {log}");
    }
    trial.lost(1);
    trial.few_attempts(2);
    trial.nothing_is_left(&cluster);
}

/// A27: a bit is another one on its way, where the server's is right. The block is fetched again, and nothing else happens.
pub(super) fn damaged_on_wire(trial: &mut Trial) {
    trial.failpoints("fetch.bytes=flip*1");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &REMOTE);
    trial.ends_right(&mut query);
    let fired = trial.must_have_fired(1..=1);
    trial.lost(0);
    trial.only_lost_ran_again();
    for reader in fired {
        let log = fs::read_to_string(Path::new(reader.get("dir")).join("stderr")).unwrap_or_default();
        assert!(log.contains("damaged on the wire"), "the diagnosis is missing: {log}");
    }
    trial.nothing_is_left(&cluster);
}

/// A6: an output of random rows is damaged, when others have read their part of it. Made again it has other rows; rows of both
/// would be too many or too few.
pub(super) fn other_rows(trial: &mut Trial) {
    trial.failpoints("output.damage[output~shuffle_0_]=flip*1");
    let cluster = trial.cluster(&[1, 1]);
    let keys = "select cast(random() * 100000 as bigint) as k from tpch.sf0_1.lineitem";
    let sql = format!("select sum(n) as n from (select k, count(*) as n from ({keys}) group by k)");
    let conf = ["--executor-cores", "1", "--conf", "spark.sql.shuffle.partitions=8"];
    let mut query = trial.start_sql(&cluster, &sql, "csv", &conf);
    let status = trial.ends(&mut query);
    assert!(status.success(), "{}", query.log());
    // As TPC-H has them at scale 0.1.
    assert_eq!(query.output(), "n\n600572", "{}", query.log());
    trial.must_have_fired(1..=1);
    if trial.is_faulty() {
        let log = query.log();
        assert!(log.contains("made again it has other rows"), "nothing was rolled back: {log}");
    }
    trial.lost(1);
    trial.nothing_is_left(&cluster);
}

/// A22: an attempt has staged its files, and dies before anybody hears of it.
pub(super) fn killed_when_staged(trial: &mut Trial) {
    written_twice(trial, "commit.staged=kill*1");
}

/// A22: an attempt has ended, and its answer is lost with its executor.
pub(super) fn killed_when_answered(trial: &mut Trial) {
    written_twice(trial, "task.end[stage=1]=kill*1");
}

/// One set of files a partition, and every row once.
fn written_twice(trial: &mut Trial, faults: &str) {
    trial.failpoints(faults);
    let cluster = trial.cluster(&[1, 1]);
    let out = cluster.dir().join("out");
    let copy =
        format!("copy (select * from tpch.sf0_01.orders distribute by 4) to '{}' stored as parquet", out.display());
    let mut query = trial.start_sql(&cluster, &copy, "csv", &["--executor-cores", "1"]);
    let status = trial.ends(&mut query);
    assert!(status.success(), "{}", query.log());
    trial.must_have_fired(1..=1);
    // Its attempt; the other ran on.
    trial.lost(1);
    trial.only_lost_ran_again();
    trial.nothing_is_left(&cluster);
    let count = format!("select count(*), count(distinct o_orderkey), sum(o_orderkey) from '{}'", out.display());
    let rows = cluster.sql(&["--format", "csv", "-e", &count]).ok();
    // As TPC-H has them at scale 0.01; the sum by DuckDB.
    assert_eq!(rows.lines().last(), Some("15000,15000,449872500"), "{rows}");
    let partition = |name: &String| name.split('-').nth(1).filter(|_| name.ends_with(".parquet")).map(str::to_owned);
    let (parts, others): (Vec<_>, Vec<_>) = names(&out).into_iter().partition(|name| partition(name).is_some());
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
