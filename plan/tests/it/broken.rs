//! Files whose bytes are wrong: an answer, or an error that names the file; never a panic, an abort, or memory without bound.

use crate::harness::{avro, env, graph, run, session};
use datafusion::prelude::SessionContext;
use hearth_core::messages::task::TaskFailure;
use hearth_plan::Planned;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a query over a file that may be broken says; nothing when it has an answer.
async fn trouble(path: &Path) -> Option<String> {
    let session = session(1);
    let planned = session.plan(&format!("select * from '{}'", path.display())).await;
    let graph = match planned {
        Ok(Planned::Query { graph, .. }) => graph,
        Ok(_) => panic!("a query over a file is for executors"),
        Err(error) => return Some(error.to_string()),
    };
    match run(&graph, &env()).await {
        Ok(_) => None,
        Err(TaskFailure::Query(message)) => Some(message),
        Err(other) => panic!("not the query's own: {other:?}"),
    }
}

/// Flips bits in a file, here and there, and cuts it off; asks for its rows each time.
async fn mutate(name: &str, whole: &[u8], steps: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let step = (whole.len() / steps).max(1);
    let mut refused = 0;
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for place in (0..whole.len()).step_by(step) {
        for flip in [0x01_u8, 0x80, 0xff] {
            let mut bytes = whole.to_vec();
            bytes[place] ^= flip;
            cases.push((format!("byte {place} by {flip:#x}"), bytes));
        }
        cases.push((format!("cut at {place}"), whole[..place].to_vec()));
    }
    for (case, bytes) in cases {
        fs::write(&path, &bytes).unwrap();
        if let Some(message) = trouble(&path).await {
            assert!(message.contains(name), "{case}: {message}");
            assert!(!message.contains("panicked"), "{case}: {message}");
            refused += 1;
        }
    }
    assert!(refused > steps / 4, "{name}: of what was broken, {refused} were refused");
}

async fn written(kind: &str, name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let sql = format!(
        "copy (select i as id, 'name ' || (i % 3) as name, i * 0.5 as half from unnest(range(0, 40)) as t(i)) to '{}' \
         stored as {kind}",
        path.display()
    );
    SessionContext::new().sql(&sql).await.unwrap().collect().await.unwrap();
    (dir, path)
}

#[tokio::test]
async fn broken_parquet() {
    let (_dir, path) = written("parquet", "t.parquet").await;
    mutate("t.parquet", &fs::read(path).unwrap(), 40).await;
}

#[tokio::test]
async fn broken_arrow() {
    let (_dir, path) = written("arrow", "t.arrow").await;
    mutate("t.arrow", &fs::read(path).unwrap(), 40).await;
}

#[tokio::test]
async fn broken_avro() {
    mutate("t.avro", &avro(40), 40).await;
}

#[tokio::test]
async fn broken_compressed_csv() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    fs::write(&path, (0..200).fold("a,b\n".to_owned(), |t, i| format!("{t}{i},x{}\n", i * 7919 % 101))).unwrap();
    assert!(std::process::Command::new("gzip").arg("-n").arg(&path).status().unwrap().success());
    mutate("t.csv.gz", &fs::read(dir.path().join("t.csv.gz")).unwrap(), 20).await;
}

#[tokio::test]
async fn wrong_rows_are_told_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let good: String = (0..2000).map(|i| format!("{i},1\n")).collect();
    for (bad, words) in [
        ("1,2,3\n", ["t.csv", "2 got 3", "line 2002"].as_slice()),
        ("x,2\n", &["t.csv", "x", "line 2001"]),
        ("99999999999999999999999,2\n", &["t.csv", "99999999999999999999999"]),
    ] {
        fs::write(&path, format!("a,b\n{good}{bad}")).unwrap();
        let message = trouble(&path).await.unwrap();
        assert!(words.iter().all(|word| message.contains(word)), "{bad}: {message}");
    }
    fs::write(&path, b"a,b\n1,\xff\xfe\n").unwrap();
    assert!(trouble(&path).await.unwrap().contains("t.csv"), "invalid UTF-8");
}

#[tokio::test]
async fn a_file_that_changes_after_planning_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    fs::write(&path, "a\n1\n").unwrap();
    let session = session(1);
    let (planned, _) = graph(&session, &format!("select * from '{}'", path.display())).await;
    fs::write(&path, "a\n1\n2\n").unwrap();
    let failure = run(&planned, &env()).await.unwrap_err();
    let TaskFailure::Query(message) = &failure else { panic!("{failure:?}") };
    assert!(message.contains("t.csv: the file changed after the query was planned: it had 4 bytes"), "{message}");
    fs::remove_file(&path).unwrap();
    let failure = run(&planned, &env()).await.unwrap_err();
    assert!(matches!(&failure, TaskFailure::Query(m) if m.contains("t.csv: no such file")), "{failure:?}");
}
