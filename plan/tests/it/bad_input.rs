//! Files that are not what they should be.

use crate::harness::{session, write_tables};
use std::{fs, path::Path};

async fn error(dir: &Path) -> String {
    session(2).register_tables(dir).await.unwrap_err().to_string()
}

/// A directory with one file.
async fn error_of(name: &str, content: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), content).unwrap();
    let error = error(dir.path()).await;
    assert!(error.contains(name), "names the file: {error}");
    error
}

#[tokio::test]
async fn a_bad_file_is_named_with_what_was_expected() {
    assert!(error_of("t.parquet", b"").await.contains("the file is empty; expected a Parquet file"));
    assert!(error_of("t.parquet", b"a,b\n1,2\n").await.contains("not a Parquet file"));
    assert!(error_of("t.parquet", b"PAR1 and then nothing").await.contains("cut off"));
    assert!(error_of("t.parquet", b"PAR1\xff\xff\xff\x7fPAR1").await.contains("footer is said to be longer"));
    assert!(error_of("t.csv", b"").await.contains("expected CSV"));
    assert!(error_of("t.csv", b"PAR1....PAR1").await.contains("this is a Parquet file; expected CSV"));
    assert!(error_of("t.json", b"").await.contains("expected JSON"));
    assert!(error_of("t.json", b"a,b\n1,2\n").await.contains("expected JSON, one object a line"));
}

#[tokio::test]
async fn a_truncated_parquet_file_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path()).await;
    let whole = fs::read(dir.path().join("orders/part-1.parquet")).unwrap();
    fs::write(dir.path().join("orders/part-1.parquet"), &whole[..whole.len() / 2]).unwrap();
    let error = error(dir.path()).await;
    assert!(error.contains("part-1.parquet: the file is cut off"), "{error}");
}

#[tokio::test]
async fn a_bad_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(error(dir.path()).await.contains("no file in it ends with .parquet, .csv"));
    assert!(error(&dir.path().join("missing")).await.contains("missing: no such directory"));
    fs::write(dir.path().join("a.csv"), "x\n1\n").unwrap();
    assert!(error(&dir.path().join("a.csv")).await.contains("a.csv: not a directory"));
    fs::write(dir.path().join("a.json"), "{\"x\":1}\n").unwrap();
    assert!(error(dir.path()).await.contains("would be table a"));
    fs::remove_file(dir.path().join("a.json")).unwrap();
    fs::create_dir(dir.path().join("mixed")).unwrap();
    fs::write(dir.path().join("mixed/1.csv"), "x\n1\n").unwrap();
    fs::write(dir.path().join("mixed/2.json"), "{\"x\":1}\n").unwrap();
    assert!(error(dir.path()).await.contains("the files of one table have one extension"));
}

#[tokio::test]
async fn what_is_not_a_table_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [("a.csv", "x\n1\n"), ("notes.txt", "hello"), (".hidden.csv", ""), ("_SUCCESS", "")] {
        fs::write(dir.path().join(name), content).unwrap();
    }
    fs::create_dir(dir.path().join("empty")).unwrap();
    assert_eq!(session(2).register_tables(dir.path()).await.unwrap(), ["a"]);
}
