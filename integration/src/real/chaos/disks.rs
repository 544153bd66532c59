//! Disks that are full, broken, or give back other bytes.

use super::{
    super::eventually,
    executors::REMOTE,
    ledger::{Fired, notes},
    left::files,
    trial::Trial,
    wires::DAMAGED,
};
use std::{collections::BTreeMap, fs, path::Path};

/// A17: no space for a map output, twice. The task fails by its type, leaves nothing half-written, and runs again elsewhere.
pub(super) fn no_space(trial: &mut Trial) {
    disk(trial, "nospace", "No space left on device");
}

/// A17: the disk gives an error, twice.
pub(super) fn broken_disk(trial: &mut Trial) {
    disk(trial, "io", "Input/output error");
}

fn disk(trial: &mut Trial, deed: &str, says: &str) {
    trial.failpoints(&format!("disk.write[path~/shuffle/]={deed}*2"));
    trial.slowly("task.start[stage=5]=sleep(300)");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[]);
    if trial.is_faulty() {
        eventually("the result is awaited", || {
            trial.fired().iter().any(|fired| fired.get("stage") == "5").then_some(())
        });
        let half: Vec<_> =
            files(cluster.dir()).into_iter().filter(|file| file.extension().is_some_and(|e| e == "tmp")).collect();
        assert!(half.is_empty(), "half-written files stay: {half:?}");
    }
    trial.ends_right(&mut query);
    trial.must_have_fired(2..=2);
    if trial.is_faulty() {
        assert!(query.log().contains(says), "{says:?} is missing in {}", query.log());
    }
    goes_elsewhere(&trial.fired());
    trial.only_lost_ran_again(|_| false);
    trial.nothing_is_left(&cluster);
}

/// A task that could not write takes the other machine's disk next.
fn goes_elsewhere(all: &[Fired]) {
    let mut tried: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for start in notes(all, "task.start") {
        tried.entry((start.get("stage"), start.get("partition"))).or_default().push(start.worker());
    }
    for (task, workers) in tried.iter().filter(|(_, workers)| workers.len() == 2) {
        assert_ne!(workers[0], workers[1], "{task:?} went to the machine where it could not write");
    }
}

/// A27: a bit of a map output is another on its disk. It is never decoded: the map runs again.
pub(super) fn damaged_on_disk(trial: &mut Trial) {
    damaged(trial, &REMOTE);
}

/// The same, read from the file.
pub(super) fn damaged_on_own_disk(trial: &mut Trial) {
    damaged(trial, &[]);
}

fn damaged(trial: &mut Trial, conf: &[&str]) {
    trial.failpoints("output.damage[output~shuffle_2_]=flip*1");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, conf);
    trial.ends_right(&mut query);
    let fired = trial.must_have_fired(1..=1);
    if trial.is_faulty() {
        let log = query.log();
        assert!(log.contains("damaged on its disk"), "the diagnosis is missing: {log}");
    }
    trial.only_lost_ran_again(|attempt| wrote_one(&fired, attempt));
    trial.few_attempts(2);
    trial.nothing_is_left(&cluster);
}

/// Whether an attempt wrote an output at which something fired.
fn wrote_one(fired: &[Fired], attempt: &Fired) -> bool {
    // shuffle_SHUFFLE_PARTITION_TASK
    fired.iter().any(|fired| fired.get("output").rsplit('_').next() == Some(attempt.get("task")))
}

/// A27: a bit is another one in the reader, where the server's is right. The block is fetched again, and nothing else happens.
pub(super) fn damaged_on_arrival(trial: &mut Trial) {
    trial.failpoints("fetch.bytes=flip*1");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &REMOTE);
    trial.ends_right(&mut query);
    for reader in trial.must_have_fired(1..=1) {
        let log = fs::read_to_string(Path::new(reader.get("dir")).join("stderr")).unwrap_or_default();
        assert!(log.contains(DAMAGED), "the diagnosis is missing: {log}");
    }
    trial.only_lost_ran_again(|_| false);
    trial.few_attempts(1);
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
    let mut query = trial.start_sql(&cluster, &sql, &conf);
    // As TPC-H has them at scale 0.1.
    trial.ends_with(&mut query, "n\n600572");
    let fired = trial.must_have_fired(1..=1);
    if trial.is_faulty() {
        let log = query.log();
        assert!(log.contains("made again it has other rows"), "nothing was rolled back: {log}");
    }
    // Of the stage that makes random rows one task; all that read from it begins anew.
    trial.only_lost_ran_again(|attempt| attempt.get("stage") != "0" || wrote_one(&fired, attempt));
    trial.few_attempts(3);
    trial.nothing_is_left(&cluster);
}
