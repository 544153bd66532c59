//! TPC-H on every kind of cluster, against answers of an engine that is not DataFusion (see `fixtures/tpch`).

use hearth_integration::{
    compare::{Answer, assert_same},
    real::{TestCluster, run},
};
use std::path::{Path, PathBuf};

/// The queries of the first comparison: scans, aggregates, joins, sorts, limits.
const QUERIES: &[u32] = &[1, 3, 5, 6, 10, 12];
const SCALE: &str = "sf0_1";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tpch")
}

/// A query's text on the built-in catalog.
fn text(query: u32) -> String {
    let path = fixtures().join(format!("queries/q{query:02}.sql"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn check(query: u32, mode: &str, sql: impl Fn(&[&str]) -> String) {
    let conf = format!("datafusion.catalog.default_schema={SCALE}");
    let text = format!("set datafusion.catalog.default_catalog = tpch; set {conf}; {}", text(query));
    let out = sql(&["--format", "csv", "-e", &text]);
    let answer = fixtures().join(format!("answers/{SCALE}/q{query:02}.csv"));
    assert_same(&format!("q{query} on {mode}"), &Answer::read(&answer), &out);
}

#[test]
fn on_one_process() {
    for &query in QUERIES {
        check(query, "local[2]", |args| run(&[&["sql", "--master", "local[2]"], args].concat()).ok());
    }
}

#[test]
fn on_a_cluster_of_its_own() {
    for &query in QUERIES {
        let master = "local-cluster[2,1,2048]";
        check(query, master, |args| run(&[&["sql", "--master", master], args].concat()).ok());
    }
}

#[test]
fn on_a_master_with_two_workers() {
    let cluster = TestCluster::start(&[1, 1]);
    for &query in QUERIES {
        check(query, "two workers", |args| cluster.sql(args).ok());
    }
    cluster.await_idle();
}
