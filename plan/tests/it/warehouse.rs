//! Where tables are that stay.

use crate::{
    harness::{local, query, refused, write},
    writes::files,
};
use hearth_plan::{SessionOptions, SqlSession};
use std::path::Path;

fn session(warehouse: &Path) -> SqlSession {
    SqlSession::new(SessionOptions { warehouse: Some(warehouse.to_owned()), ..SessionOptions::default() }).unwrap()
}

#[tokio::test]
async fn tables_of_a_warehouse_stay() {
    let dir = tempfile::tempdir().unwrap();
    let warehouse = dir.path().join("warehouse");
    let first = session(&warehouse);
    assert_eq!(write(&first, "create table t as select 1 as a").await, Ok(1));
    drop(first);
    assert!(warehouse.join("t/_SUCCESS").exists());
    let second = session(&warehouse);
    let error = refused(&second, "create table t as select 2 as a").await.to_string();
    assert!(error.contains("not empty") && error.contains("warehouse/t"), "{error}");
    local(&second, &format!("create external table t stored as parquet location '{}/'", warehouse.join("t").display()))
        .await;
    assert_eq!(query(&second, "select a from t").await, ["1"]);
}

#[tokio::test]
async fn tables_of_two_schemas_have_folders_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let warehouse = dir.path().join("warehouse");
    let session = session(&warehouse);
    for create in ["create schema a", "create schema b", "create database c", "create schema c.a"] {
        local(&session, create).await;
    }
    let tables =
        [("t", "t"), ("a.t", "a.db/t"), ("b.t", "b.db/t"), ("c.a.t", "c.a.db/t"), ("public.u", "u"), ("a_db", "a_db")];
    for (place, (name, folder)) in tables.into_iter().enumerate() {
        assert_eq!(write(&session, &format!("create table {name} as select {place} as a")).await, Ok(1), "{name}");
        assert_eq!(query(&session, &format!("select a from {name}")).await, [place.to_string()]);
        assert!(warehouse.join(folder).join("_SUCCESS").exists(), "{:?}", files(&warehouse));
    }
    // Whichever schema is the one that need not be said.
    local(&session, "set datafusion.catalog.default_schema = 'a'").await;
    assert_eq!(write(&session, "create table v as select 7 as a").await, Ok(1));
    assert!(warehouse.join("a.db/v/_SUCCESS").exists(), "{:?}", files(&warehouse));
    local(&session, "drop schema a cascade").await;
    assert!(!warehouse.join("a.db/t").exists() && !warehouse.join("a.db/v").exists(), "{:?}", files(&warehouse));
    assert!(warehouse.join("b.db/t").exists() && warehouse.join("c.a.db/t").exists());
}
