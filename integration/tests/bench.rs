//! The benchmark as its users run it: real processes, on little data.

use hearth_integration::real::{Process, eventually, signal};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs `bench tpch` with a cache of its own.
fn bench(cache: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(["tpch", "--scale", "0.01"]).args(args).env("XDG_CACHE_HOME", cache);
    command.output().expect("the benchmark starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn times_are_measured_and_rows_compared() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let args =
        ["--queries", "1,6", "--runs", "2", "--master", "local[2]", "--cluster", "2x1", "--executor-memory", "1g"];
    let more = ["--warm", "1", "--conf", "spark.sql.shuffle.partitions=3", "--out", &out.to_string_lossy()];
    let run = bench(dir.path(), &[&args[..], &more].concat());
    assert!(run.status.success(), "{}\n{}", text(&run.stdout), text(&run.stderr));
    let table = text(&run.stdout);
    assert!(table.contains("hearth 2x1 over datafusion:"), "{table}");
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("tpch.json")).unwrap()).unwrap();
    assert_eq!(report["good"], true);
    assert_eq!((&report["warm"], &report["conf"]), (&1.into(), &json!({"spark.sql.shuffle.partitions": "3"})));
    assert!(table.contains("after 1 untimed pass over all queries"), "{table}");
    assert!(table.contains("Hearth with spark.sql.shuffle.partitions=3"), "{table}");
    let engines: Vec<_> = report["engines"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(engines, ["datafusion", "hearth local[2]", "hearth 2x1"]);
    for engine in report["engines"].as_array().unwrap() {
        assert!(engine["peak_memory_mib"].as_u64().unwrap() > 10, "{engine}");
    }
    // The daemons and the executors count as well as the driver.
    let processes: Vec<_> = report["engines"][2]["peak_memory_of"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["kind"].as_str().unwrap())
        .collect();
    assert_eq!(processes, ["blocks", "driver", "executor", "master", "worker"]);
    for query in report["queries"].as_array().unwrap() {
        for outcome in query["engines"].as_array().unwrap() {
            assert_eq!(outcome["seconds"].as_array().unwrap().len(), 2, "{outcome}");
            // One run more than those that are timed, less the one that the references are taken from.
            let reference = u64::from(outcome["engine"] == "datafusion");
            assert_eq!(outcome["outputs_right"], 3 - reference, "{outcome}");
        }
    }
    let picture = std::fs::read_to_string(out.join("tpch.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("hearth 2x1"), "{picture}");
}

#[test]
fn rows_are_checked_in_three_modes() {
    let dir = tempfile::tempdir().unwrap();
    let run = bench(dir.path(), &["--check", "--queries", "6,12", "--executor-memory", "1g"]);
    let table = text(&run.stdout);
    assert!(run.status.success(), "{table}\n{}", text(&run.stderr));
    assert!(table.contains("Hearth: 6 of 6 right"), "{table}");
}

#[test]
fn a_profile_says_where_the_time_goes() {
    let dir = tempfile::tempdir().unwrap();
    let run = bench(dir.path(), &["--profile", "3", "--master", "local[2]"]);
    let table = text(&run.stdout);
    assert!(run.status.success(), "{table}\n{}", text(&run.stderr));
    for part in ["planning and submitting", "\n  stage ", "q03"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn a_query_that_hearth_cannot_answer_fails_the_run() {
    let dir = tempfile::tempdir().unwrap();
    // No batch of rows fits into a result of a byte.
    let run = bench(
        dir.path(),
        &["--check", "--queries", "1", "--master", "local[2]", "--conf", "spark.driver.maxResultSize=1"],
    );
    assert_eq!(run.status.code(), Some(1), "{}", text(&run.stderr));
    assert!(text(&run.stdout).contains("hearth local[2] failed on q01"), "{}", text(&run.stdout));
}

/// However a run ends, its cluster ends with it.
#[test]
fn nothing_is_left_of_a_run_that_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    for (asked, code) in [(Signal::HUP, Some(129)), (Signal::TERM, Some(143)), (Signal::KILL, None)] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(["tpch", "--scale", "0.01", "--cluster", "1x1", "--executor-memory", "1g", "--runs", "1000"])
            .env("XDG_CACHE_HOME", dir.path())
            .env("TMPDIR", dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the benchmark starts");
        eventually("an executor runs", || {
            Process::below(dir.path()).iter().any(|p| p.command.contains(" executor")).then_some(())
        });
        signal(run.id(), asked);
        assert_eq!(run.wait().unwrap().code(), code);
        eventually("nothing of its cluster is left", || Process::below(dir.path()).is_empty().then_some(()));
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let different = bench(dir.path(), &["--master", "local[2]", "--master", "local[1]"]);
    assert_eq!(different.status.code(), Some(1));
    assert!(
        text(&different.stderr).contains("local[1] has 1 cores and hearth local[2] has 2"),
        "{}",
        text(&different.stderr)
    );
    let otherwise = bench(dir.path(), &["--master", "local[2]", "--conf", "spark.master=local[8]"]);
    assert_eq!(otherwise.status.code(), Some(2));
    assert!(text(&otherwise.stderr).contains("spark.master is set by the run"), "{}", text(&otherwise.stderr));
    let nobody = bench(dir.path(), &["--master", "hearth://127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("no master answers"), "{}", text(&nobody.stderr));
}
