//! What a user gets wrong: one clear line, the right exit code, no data, nothing left behind.

use hearth_integration::real::{Daemon, TestCluster, hearth, run};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

/// One line that says all of `words`.
#[track_caller]
fn one_line(err: &str, words: &[&str]) {
    assert_eq!(err.trim_end().lines().count(), 1, "one line, not: {err}");
    for word in words {
        assert!(err.contains(word), "{word:?} is missing in: {err}");
    }
}

#[test]
fn bad_arguments_exit_with_2_and_name_the_flag() {
    let table: &[(&[&str], &[&str])] = &[
        (&["sql", "--nonsense", "-e", "select 1"], &["--nonsense"]),
        (&["sql", "--executor-memory", "1x", "-e", "select 1"], &["--executor-memory", "1x"]),
        (&["sql", "--executor-memory", "-5g", "-e", "select 1"], &["--executor-memory"]),
        (&["sql", "--executor-cores", "0", "-e", "select 1"], &["--executor-cores", "0"]),
        (&["sql", "--total-executor-cores", "many", "-e", "select 1"], &["--total-executor-cores", "many"]),
        (&["sql", "--master", "spork://x", "-e", "select 1"], &["--master", "spork://x"]),
        (&["sql", "--master", "local[0]", "-e", "select 1"], &["--master", "local[0]"]),
        (&["sql", "--master", "hearth://host:99999", "-e", "select 1"], &["--master", "99999"]),
        (&["sql", "--conf", "novalue", "-e", "select 1"], &["--conf", "novalue"]),
        (&["sql", "--conf", "hearth.shuffle.localread=no", "-e", "select 1"], &["hearth.shuffle.localRead"]),
        (&["sql", "--conf", "spark.task.maxFailures=often", "-e", "select 1"], &["spark.task.maxFailures", "often"]),
        (&["sql", "--format", "xml", "-e", "select 1"], &["--format", "xml"]),
        (&["sql"], &["-e", "-f"]),
        (&["sql", "-e", "select 1", "-f", "x.sql"], &["-e"]),
        (&["worker", "http://127.0.0.1:7077"], &["http://127.0.0.1:7077"]),
        (&["worker", "hearth://127.0.0.1:1", "--memory", "lots"], &["--memory", "lots"]),
        (&["worker", "hearth://127.0.0.1:1", "--label", "x"], &["--label", "x"]),
        (&["master", "--port", "70000"], &["--port", "70000"]),
        (&["master", "--host", "0.0.0.0"], &["--host", "0.0.0.0", "loopback"]),
        (&["worker", "hearth://127.0.0.1:1", "--host", "0.0.0.0"], &["--host", "0.0.0.0", "loopback"]),
        (&["frobnicate"], &["frobnicate"]),
    ];
    for (args, words) in table {
        one_line(&run(args).failed(2), words);
    }
}

#[test]
fn bad_sql_exits_with_1_and_says_where() {
    let table: &[(&str, &[&str])] = &[
        ("select * from nowhere", &["nowhere"]),
        ("select nocolumn from tpch.sf0_01.nation", &["nocolumn"]),
        ("select n_nam from tpch.sf0_01.nation", &["n_nam", "n_name"]),
        ("selec 1", &["selec", "Line: 1"]),
        ("select 1 from\n from x", &["Line: 2"]),
        ("select 1/0", &["zero"]),
        ("select cast('x' as int)", &["x"]),
        ("insert into t values (1)", &["not"]),
        ("", &["statement"]),
    ];
    for (sql, words) in table {
        let err = run(&["sql", "--master", "local[1]", "-e", sql]).failed(1);
        for word in *words {
            assert!(err.contains(word), "{sql}: {word:?} is missing in: {err}");
        }
        assert!(!err.contains("panicked"), "{err}");
    }
}

fn tables(dir: &Path, name: &str, content: &[u8]) -> String {
    let folder = dir.join(name.replace('.', "-"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), content).unwrap();
    folder.to_string_lossy().into_owned()
}

#[test]
fn bad_files_are_named_with_what_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    let cases: Vec<(String, &str, &[&str])> = vec![
        (dir.path().join("missing").to_string_lossy().into_owned(), "select 1", &["missing"]),
        (tables(dir.path(), "empty.parquet", b""), "select * from empty", &["empty.parquet"]),
        (tables(dir.path(), "short.parquet", b"PAR1aPAR"), "select * from short", &["short.parquet"]),
        (tables(dir.path(), "text.parquet", b"this is not parquet at all"), "select * from text", &["text.parquet"]),
        (tables(dir.path(), "bad.json", b"{\"a\": 1}\n{\"a\": "), "select * from bad", &["bad.json"]),
        (tables(dir.path(), "wide.csv", b"a,b\n1,2\n3,4,5\n"), "select * from wide", &["wide.csv"]),
    ];
    for (folder, sql, words) in cases {
        let err = run(&["sql", "--master", "local[1]", "--tables", &folder, "-e", sql]).failed(1);
        for word in words {
            assert!(err.contains(word), "{folder}: {word:?} is missing in: {err}");
        }
        assert!(!err.contains("attempt"), "not retried: {err}");
    }
}

#[test]
fn no_master_at_the_address_is_one_clear_error() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("hearth://127.0.0.1:{port}");
    for args in [
        vec!["sql", "--master", &url, "-e", "select 1"],
        vec!["status", "--master", &url],
        vec!["explain", "app-1", "--master", &url],
    ] {
        let err = run(&args).failed(1);
        assert!(err.contains(&format!("127.0.0.1:{port}")), "{err}");
    }
}

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    one_line(&last_line(&run(&["master", "--port", &port, "--webui-port", "0"]).failed(1)), &[&port, "--port"]);
    one_line(&last_line(&run(&["master", "--port", "0", "--webui-port", &port]).failed(1)), &[&port, "--webui-port"]);
    let cluster = TestCluster::start(&[]);
    let work = cluster.dir().join("w");
    let args = ["worker", &cluster.url, "--port", &port, "--work-dir", work.to_str().unwrap()];
    let mut worker = Daemon::start("worker", &args, cluster.dir());
    assert_eq!(worker.wait().code(), Some(1));
    let log = worker.log();
    assert!(log.contains(&port) && log.contains("--port"), "{log}");
}

/// Daemons log before they fail; the failure is the last line.
fn last_line(err: &str) -> String {
    err.trim_end().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn an_output_file_appears_only_when_all_rows_are_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("rows.csv");
    let path = out.to_str().unwrap();
    let base = ["sql", "--master", "local[1]", "--format", "csv", "-o", path, "-e"];
    run(&[&base[..], &["select 1 as a union all select cast('x' as int)"]].concat()).failed(1);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing half-written stays");
    assert_eq!(run(&[&base[..], &["select 1 as a"]].concat()).ok(), "");
    assert_eq!(fs::read_to_string(&out).unwrap(), "a\n1\n");
}

#[test]
fn a_reader_that_goes_away_ends_the_query() {
    let sql = "select * from tpch.sf0_1.lineitem";
    let mut query = hearth()
        .args(["sql", "--master", "local[2]", "--conf", "spark.sql.shuffle.partitions=40", "--format", "ndjson"])
        .args(["--verbose", "-e", sql])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(query.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with('{'), "{first}");
    let done = query.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    // The table has 600,572 rows: it did not go on to the end.
    let rows = said.lines().find_map(|l| l.split_once(" rows in ")?.0.parse::<u64>().ok()).expect("it counts its rows");
    assert!(rows < 600_572, "{said}");
}

#[test]
fn questions_about_what_is_not_there_are_refused() {
    let cluster = TestCluster::start(&[1]);
    let err = run(&["explain", "app-20200101000000-0001", "--master", &cluster.url]).failed(1);
    one_line(&err, &["app-20200101000000-0001"]);
}

#[test]
fn a_parquet_file_has_one_result_and_no_counts() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("t.parquet").to_string_lossy().into_owned();
    let made = run(&[
        "sql",
        "--master",
        "local[1]",
        "-o",
        &out,
        "-e",
        "create table t as select 1 as a; select a, 2 as b from t",
    ]);
    assert_eq!(made.ok(), "");
    let read = format!("select * from '{out}'");
    assert_eq!(run(&["sql", "--master", "local[1]", "--format", "csv", "-e", &read]).ok(), "a,b\n1,2\n");
    fs::remove_file(&out).unwrap();
    // Refused before anything runs: there is no master at all.
    let nobody = ["sql", "--master", "hearth://127.0.0.1:9", "-o", &out, "-e"];
    let two = run(&[&nobody[..], &["select 1; select 2"]].concat()).failed(1);
    one_line(&two, &["statement 2 of 2", "room for the rows of one statement"]);
    let none = run(&[&nobody[..], &["create table t as select 1 as a"]].concat()).failed(1);
    one_line(&none, &["no statement gives rows"]);
    assert!(!Path::new(&out).exists());
}
