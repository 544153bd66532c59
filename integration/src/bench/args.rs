//! What a user says.
#![allow(rustdoc::broken_intra_doc_links, reason = "help texts speak of local[N]")]

use crate::peers::Peer;
use hearth_core::conf::{
    master_url::MasterUrl,
    size::{self, Unit},
};
use std::{path::PathBuf, str::FromStr, time::Duration};

/// Run TPC-H on Hearth, on plain DataFusion and on other engines, alternating, on the same Parquet files, and compare rows and
/// times.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bench tpch --scale 1 --master local[2]\n  bench tpch --scale 1 --cluster 2x1 --peers spark,duckdb --out figures\n  bench tpch --scale 0.1 --check\n  bench tpch --scale 1 --cluster 2x1 --profile 21\n\nDocumentation: docs/benchmarks.md"
)]
pub(crate) struct Tpch {
    /// TPC-H's scale factor: 1 is about 1 GB of raw data.
    #[arg(long, value_name = "N", value_parser = scale)]
    pub(crate) scale: f64,
    /// Where Hearth runs: local[N], local-cluster[WORKERS,CORES,MEMORY_MIB], or hearth://HOST:PORT of a running cluster. May be
    /// repeated. Default, unless --cluster is given: local[2].
    #[arg(long = "master", value_name = "URL", value_parser = master)]
    pub(crate) masters: Vec<MasterUrl>,
    /// Start a master and WORKERS workers of CORES cores each, as real processes, and run there. May be repeated.
    #[arg(long = "cluster", value_name = "WORKERSxCORES")]
    pub(crate) clusters: Vec<Shape>,
    /// Beside each --cluster, measure two more in which the executors of the first worker run for only PERCENT % of the time:
    /// without and with spark.speculation.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=99), requires = "clusters")]
    pub(crate) slow_worker: Option<u32>,
    /// Beside each --master and --cluster, measure another build there: the directory of its `hearth` and `bench`.
    #[arg(long, value_name = "DIR", value_parser = build, conflicts_with = "check")]
    pub(crate) before: Option<PathBuf>,
    /// Memory of one executor, of a worker that is started, and of each of a peer's.
    #[arg(long, value_name = "SIZE", default_value = "3g", value_parser = memory_mib)]
    pub(crate) executor_memory: u64,
    /// Timed runs of each query, after one that is not timed.
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,
    /// Passes over all queries before anything is timed, for engines that compile what runs often.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100), conflicts_with_all = ["check", "profile"])]
    pub(crate) warm: u32,
    /// Only these queries.
    #[arg(long, value_name = "1,3,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=22))]
    pub(crate) queries: Vec<u32>,
    /// Other engines to measure; installed from PyPI into a cache on first use.
    #[arg(long, value_name = "NAMES", value_enum, value_delimiter = ',')]
    pub(crate) peers: Vec<Peer>,
    /// Write tpch.json and tpch.svg into this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Compare rows only: one run, no times. Default masters: local[2], local-cluster[2,1,…] and --cluster 2x1; without
    /// --peers the rows are compared with those of plain DataFusion.
    #[arg(long, conflicts_with_all = ["profile", "runs", "out"])]
    pub(crate) check: bool,
    /// Print where the time of this query goes, on each master and on plain DataFusion.
    #[arg(long, value_name = "QUERY", value_parser = clap::value_parser!(u32).range(1..=22), conflicts_with_all = ["queries", "peers", "runs", "out"])]
    pub(crate) profile: Option<u32>,
    /// A setting of Hearth, such as spark.sql.shuffle.partitions=4; not one that the run sets itself. May be repeated.
    #[arg(long = "conf", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) conf: Vec<(String, String)>,
    /// Seconds after which a query is given up, and its engine ended.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

/// Workers and the cores of each, as in `2x1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) workers: u32,
    pub(crate) cores: u32,
}

/// A worker that is made slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slow {
    /// Of how much of the time its executors run.
    pub(crate) percent: u32,
    /// Whether slow tasks get copies.
    pub(crate) speculation: bool,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A process each, and a thread each: what one machine can pretend to be.
        let number = |part: &str| part.parse::<u32>().ok().filter(|n| (1..=64).contains(n));
        let shape = text.split_once('x').and_then(|(workers, cores)| Some((number(workers)?, number(cores)?)));
        let (workers, cores) = shape.ok_or(format!("{text:?} is not WORKERSxCORES, each from 1 to 64, such as 2x1"))?;
        Ok(Self { workers, cores })
    }
}

fn scale(text: &str) -> Result<f64, String> {
    // The bounds of the generator: below the first, tables are empty; the second is the largest that TPC-H defines.
    let scale = text.parse().ok().filter(|scale| (0.001..=100_000.0).contains(scale));
    scale.ok_or(format!("{text:?} is not a scale factor between 0.001 and 100000"))
}

fn build(text: &str) -> Result<PathBuf, String> {
    let dir = std::path::absolute(text).map_err(|e| e.to_string())?;
    match ["hearth", "bench"].into_iter().find(|name| !dir.join(name).is_file()) {
        Some(name) => Err(format!("there is no {name} in it; a build leaves both in target/release")),
        None => Ok(dir),
    }
}

fn master(text: &str) -> Result<MasterUrl, String> {
    text.parse().map_err(|e| format!("{e}"))
}

fn memory_mib(text: &str) -> Result<u64, String> {
    let mib = size::parse(text, Unit::MiB).map_err(|e| e.to_string())? >> 20;
    // Less than that holds no executor of anybody.
    if mib < 64 { Err(format!("{text:?} is less than 64m")) } else { Ok(mib) }
}

/// What the run sets, and says of itself, and how else to ask for it.
const OWN: [(&str, &str); 6] = [
    ("spark.master", "give --master or --cluster"),
    ("spark.app.name", "it is always bench"),
    ("spark.local.dir", "set TMPDIR"),
    ("spark.executor.memory", "give --executor-memory"),
    ("spark.executor.cores", "--master and --cluster say how many cores there are"),
    ("spark.cores.max", "--master and --cluster say how many cores there are"),
];

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => (key.trim(), value.trim()),
        _ => return Err(format!("{text:?} is not KEY=VALUE")),
    };
    match OWN.iter().find(|own| own.0 == key) {
        Some((_, instead)) => Err(format!("{key} is set by the run, whose table tells it; {instead}")),
        None => Ok((key.to_owned(), value.to_owned())),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    seconds.map(Duration::from_secs).ok_or(format!("{text:?} is not a number of seconds between 1 and 86400"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_two_counts() {
        assert_eq!("2x1".parse(), Ok(Shape { workers: 2, cores: 1 }));
        for bad in ["", "2", "x", "0x1", "2x0", "2x1x1", "65x1", "-1x1"] {
            bad.parse::<Shape>().unwrap_err();
        }
    }

    #[test]
    fn what_the_table_claims_cannot_be_set_otherwise() {
        assert_eq!(pair("a.b = c=d"), Ok(("a.b".into(), "c=d".into())));
        for text in ["spark.master=local[8]", " spark.executor.memory = 9g", "spark.cores.max=1"] {
            assert!(pair(text).unwrap_err().contains("is set by the run"), "{text}");
        }
        pair("novalue").unwrap_err();
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(scale("0.01"), Ok(0.01));
        assert_eq!(memory_mib("3g"), Ok(3072));
        assert_eq!(seconds("5"), Ok(Duration::from_secs(5)));
        for bad in ["0", "-1", "x", "1e9", "NaN", ""] {
            assert!(scale(bad).is_err() && seconds(bad).is_err(), "{bad}");
        }
        assert!(memory_mib("1m").is_err());
    }
}
