//! Files of every format: by path, pattern and statement, and with columns that differ.

use crate::harness::{avro, local, query, refused, session, session_over, sorted};
use datafusion::prelude::SessionContext;
use std::{fs, path::Path, process::Command};

/// Lets DataFusion by itself write files.
async fn write(dir: &Path, files: &[(&str, &str, &str)]) {
    let context = SessionContext::new();
    for (file, kind, sql) in files {
        let path = dir.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let sql = format!("copy ({sql}) to '{}' stored as {kind}", path.display());
        context.sql(&sql).await.unwrap().collect().await.unwrap();
    }
}

fn text(dir: &Path, file: &str, content: &str) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn every_format_is_read_by_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let rows = "select i as id, 'n' || i as name from unnest(range(0, 20)) as t(i)";
    write(
        dir.path(),
        &[("a.parquet", "parquet", rows), ("a.arrow", "arrow", rows), ("a.csv", "csv", rows), ("a.json", "json", rows)],
    )
    .await;
    arrow_stream(&dir.path().join("s.arrow"));
    fs::write(dir.path().join("a.avro"), avro(20)).unwrap();
    let at = |name: &str| format!("select sum(id), count(name), max(name) from '{}'", dir.path().join(name).display());
    for name in ["a.parquet", "a.arrow", "a.csv", "a.json", "s.arrow", "a.avro"] {
        assert_eq!(query(&session(3), &at(name)).await, ["190|20|n9"], "{name}");
    }
    for (program, ending) in [("gzip", "gz"), ("bzip2", "bz2"), ("xz", "xz"), ("zstd", "zst")] {
        for file in ["a.csv", "a.json"] {
            let done = Command::new(program).args(["-k", "-q"]).arg(dir.path().join(file)).status();
            if done.is_ok_and(|done| done.success()) {
                assert_eq!(
                    query(&session(2), &at(&format!("{file}.{ending}"))).await,
                    ["190|20|n9"],
                    "{file} {program}"
                );
            }
        }
    }
}

/// The same rows in Arrow's stream format.
fn arrow_stream(path: &Path) {
    use arrow::{
        array::{Int64Array, RecordBatch, StringArray},
        ipc::writer::StreamWriter,
    };
    let ids = Int64Array::from_iter_values(0..20);
    let names = StringArray::from_iter_values((0..20).map(|i| format!("n{i}")));
    let batch =
        RecordBatch::try_from_iter([("id", std::sync::Arc::new(ids) as _), ("name", std::sync::Arc::new(names) as _)]);
    let batch = batch.unwrap();
    let mut writer = StreamWriter::try_new(fs::File::create(path).unwrap(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
}

#[tokio::test]
async fn patterns_and_partitions_choose_files() {
    let dir = tempfile::tempdir().unwrap();
    for (month, rows) in [("2026-01", 1), ("2026-02", 2), ("2025-12", 4)] {
        text(dir.path(), &format!("{month}/x.csv"), &format!("v\n{}", "1\n".repeat(rows)));
        text(dir.path(), &format!("{month}/y.csv"), &format!("v\n{}", "1\n".repeat(rows * 10)));
        text(dir.path(), &format!("{month}/_tmp/x.csv"), "v\n1000\n");
    }
    for (year, month) in [(2025, 9), (2025, 10), (2026, 1)] {
        text(dir.path(), &format!("hive/year={year}/month={month}/d.csv"), &format!("v\n{year}\n"));
    }
    text(dir.path(), "hive/_SUCCESS", "");
    let session = session(2);
    let count = async |pattern: &str| {
        let rows = query(&session, &format!("select sum(v) from '{}'", dir.path().join(pattern).display())).await;
        rows[0].clone()
    };
    assert_eq!(count("2026-*/x*.csv").await, "3");
    assert_eq!(count("2026-0[12]/*.csv").await, "33");
    assert_eq!(count("2025-12/").await, "44");
    assert_eq!(count("**/x.csv").await, "7");
    assert_eq!(count("2025-1?/y.csv").await, "40");
    let hive = dir.path().join("hive").display().to_string();
    let by = format!("select year, month, v from '{hive}/' where month >= 9 order by year, month");
    assert_eq!(query(&session, &by).await, ["2025|9|2025", "2025|10|2025"]);
    assert_eq!(query(&session, &format!("select month from '{hive}' where year = 2026")).await, ["1"]);
    local(&session, &format!("create external table h stored as csv partitioned by (year, month) location '{hive}'"))
        .await;
    assert_eq!(query(&session, "select count(*) from h where year = '2025'").await, ["2"]);
    let tables = session_over(dir.path(), 2).await;
    assert_eq!(sorted(query(&tables, "select year from hive").await), ["2025", "2025", "2026"]);
}

#[tokio::test]
async fn columns_are_merged_where_they_fit() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[
            ("fit/1.parquet", "parquet", "select 1 as a, cast(2 as int) as b"),
            ("fit/2.parquet", "parquet", "select cast(3 as bigint) as b, 'x' as c"),
            ("not/1.parquet", "parquet", "select 1 as a"),
            ("not/2.parquet", "parquet", "select 'one' as a"),
        ],
    )
    .await;
    let session = session(2);
    let at = |name: &str| dir.path().join(name).display().to_string();
    let rows = query(&session, &format!("select a, b, c from '{}/'", at("fit"))).await;
    assert_eq!(sorted(rows), ["1|2|NULL", "NULL|3|x"]);
    let error = refused(&session, &format!("select * from '{}/'", at("not"))).await.to_string();
    for word in ["not/2.parquet: column a", "Utf8", "Int64", "not/1.parquet"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    text(dir.path(), "csv/1.csv", "a,b\n1,2\n");
    text(dir.path(), "csv/2.csv", "b,a\n1,2\n");
    let error = refused(&session, &format!("select * from '{}/'", at("csv"))).await.to_string();
    assert!(error.contains("csv/2.csv: column 1 is called b here and a in") && error.contains("csv/1.csv"), "{error}");
}

#[tokio::test]
async fn what_is_no_table_says_why() {
    let dir = tempfile::tempdir().unwrap();
    text(dir.path(), "mixed/a.csv", "a\n1\n");
    text(dir.path(), "mixed/b.json", "{\"a\": 1}\n");
    text(dir.path(), "none/a.txt", "hello");
    fs::create_dir(dir.path().join("empty")).unwrap();
    let session = session(2);
    let error = async |path: &str| refused(&session, &format!("select * from '{path}'")).await.to_string();
    let at = |name: &str| dir.path().join(name).display().to_string();
    assert!(error(&at("missing.csv")).await.contains("missing.csv: no such file"));
    assert!(error(&at("mixed/")).await.contains("have one extension"));
    assert!(error(&at("none/")).await.contains("a.txt has no ending that tells its format"));
    assert!(error(&at("empty/")).await.contains("no files; there should be some"));
    assert!(error(&at("mixed/a.csv/")).await.contains("is a file"));
    assert!(error("hdfs://host/x.parquet").await.contains("hdfs: is no scheme of a store"));
    assert!(error("https://host/x.csv?sig=1").await.contains("a URL with ? or #"));
    assert!(error("https://me:hunter2@host/x.csv").await.contains("credentials in a URL"));
    assert!(refused(&session, "select * from nope").await.to_string().contains("table 'nope' not found"));
}
