//! TPC-H on every kind of cluster, against answers of an engine that is not DataFusion (see `fixtures/tpch`).

use hearth_integration::{
    compare::{Answer, assert_same},
    real::{TestCluster, run},
};
use std::path::{Path, PathBuf};

/// The queries of the first comparison: scans, aggregates, joins, sorts, limits.
const QUERIES: &[u32] = &[1, 3, 5, 6, 10, 12];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tpch")
}

/// Runs a query on the built-in catalog and compares its rows with the answer.
fn check(query: &str, scale: &str, mode: &str, sql: impl Fn(&[&str]) -> String) {
    let path = fixtures().join(format!("queries/{query}.sql"));
    let query_text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let text = format!(
        "set datafusion.catalog.default_catalog = tpch; set datafusion.catalog.default_schema = {scale}; {query_text}"
    );
    let out = sql(&["--format", "csv", "-e", &text]);
    let answer = fixtures().join(format!("answers/{scale}/{query}.csv"));
    assert_same(&format!("{query} at {scale} on {mode}"), &Answer::read(&answer), &out);
}

fn check_all(mode: &str, sql: impl Fn(&[&str]) -> String) {
    for query in QUERIES {
        check(&format!("q{query:02}"), "sf0_1", mode, &sql);
    }
}

fn local(master: &str, args: &[&str]) -> String {
    run(&[&["sql", "--master", master], args].concat()).ok()
}

#[test]
fn on_one_process() {
    check_all("local[2]", |args| local("local[2]", args));
}

#[test]
fn on_a_cluster_of_its_own() {
    check_all("local-cluster[2,1,2048]", |args| local("local-cluster[2,1,2048]", args));
}

#[test]
fn on_a_master_with_two_workers() {
    let cluster = TestCluster::start(&[1, 1]);
    check_all("two workers", |args| cluster.sql(args).ok());
    cluster.await_idle();
}

/// Wider, on little data: the other queries too, and a fingerprint of the tables themselves.
#[test]
fn all_queries_on_a_small_scale() {
    let all = (1..=22).map(|query| format!("q{query:02}")).chain(["tables".to_owned()]);
    for query in all {
        check(&query, "sf0_01", "local[2]", |args| local("local[2]", args));
    }
}
