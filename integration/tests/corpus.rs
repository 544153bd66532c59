//! Every query of the corpus gives the rows that plain DataFusion gives: in one process, and on two executors with 1, 2 and 7
//! partitions.
//!
//! `HEARTH_CORPUS` chooses: `joins` is a file, `joins:12` the query at that line of it, `joins:mark` the one of that name;
//! several are separated by commas. `HEARTH_CORPUS_MODE` chooses one mode. What names nothing fails.

use futures::future::join;
use hearth::Conf;
use hearth_integration::{
    corpus::{Answers, Corpus, Data, Selected},
    engine::Engine,
    real::TestCluster,
};
use std::path::Path;

/// A mode: its name, and its configuration beside where it runs.
type Mode = (&'static str, &'static [(&'static str, &'static str)]);

/// In this process. Each has its own threads.
const LOCAL: &[Mode] = &[
    ("local", &[("spark.master", "local[2]")]),
    ("local-stages", &[("spark.master", "local[2]"), ("hearth.sql.fuse", "never")]),
];

/// On two one-core workers. Small batches bring out what holds only inside one. The tables are small, so without being told
/// to, nothing would be sorted by ranges and hardly a join would have both sides shuffled.
const CLUSTER: &[Mode] = &[
    ("cluster-1", &[("spark.sql.shuffle.partitions", "1")]),
    ("cluster-2", &[("spark.sql.shuffle.partitions", "2")]),
    (
        "cluster-7",
        &[
            ("spark.sql.shuffle.partitions", "7"),
            ("hearth.sql.batchSize", "16"),
            ("hearth.sql.rangeSort", "always"),
            ("spark.sql.autoBroadcastJoinThreshold", "-1"),
        ],
    ),
];

/// The mode that sorts by ranges and shuffles joins, and how many queries must do so there: without its settings none do the
/// one, and some 220 have an exchange by hash.
const SHUFFLING: &str = "cluster-7";
const MIN_RANGED: usize = 150;
const MIN_HASHED: usize = 260;

/// Partitions of plain DataFusion: several, so that its own parallel plans are what is compared with.
const REFERENCE_PARTITIONS: usize = 3;

/// Queries that must run in tasks beside one another in a mode of several partitions: with fewer the mode proves nothing.
const MIN_SPREAD: usize = 200;

fn corpus() -> Corpus {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpus");
    Corpus::read(&dir).unwrap_or_else(|wrong| panic!("{wrong}"))
}

#[test]
fn the_corpus_is_broad_and_its_exceptions_name_what_exists() {
    let corpus = corpus();
    assert!(corpus.queries() >= 500, "only {} queries", corpus.queries());
    let modes: Vec<_> = LOCAL.iter().chain(CLUSTER).map(|mode| mode.0).collect();
    assert_eq!(corpus.exceptions.unknown(&corpus.names(), &modes), [""; 0]);
}

#[test]
fn every_query_gives_the_rows_of_plain_datafusion_in_every_mode() {
    let corpus = corpus();
    let selected = Selected::parse(&std::env::var("HEARTH_CORPUS").unwrap_or_default());
    assert_eq!(selected.unknown(&corpus), [""; 0], "HEARTH_CORPUS names what is not there");
    let only = std::env::var("HEARTH_CORPUS_MODE").unwrap_or_default();
    let (local, cluster) = chosen(&only);
    // Dev builds use much stack, and plain DataFusion plans on these threads.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(4).thread_stack_size(16 << 20).enable_all().build().unwrap();
    let two_workers = (!cluster.is_empty()).then(|| TestCluster::start(&[1, 1]));
    let url = two_workers.as_ref().map(|cluster| cluster.url.clone()).unwrap_or_default();
    let wrong = runtime.block_on(async {
        let data = Data::make(&corpus.tables).await.unwrap();
        let reference = Engine::in_process(REFERENCE_PARTITIONS);
        let expected = corpus.run(&reference, &data, &selected).await.unwrap();
        let mut wrong = corpus.wrong_in_itself(&expected);
        if !wrong.is_empty() {
            return wrong;
        }
        let run = Run { corpus: &corpus, data: &data, selected: &selected, expected: &expected };
        // Both at once: while one waits for messages, the other computes.
        let (local, cluster) = join(run.all(&local, ""), run.all(&cluster, &url)).await;
        wrong.extend(local.into_iter().chain(cluster));
        wrong
    });
    drop(two_workers);
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The modes of this name, in this process and on a cluster; all without a name.
fn chosen(only: &str) -> (Vec<&'static Mode>, Vec<&'static Mode>) {
    let of = |modes: &'static [Mode]| modes.iter().filter(|m| only.is_empty() || m.0 == only).collect::<Vec<_>>();
    let (local, cluster) = (of(LOCAL), of(CLUSTER));
    let names: Vec<_> = LOCAL.iter().chain(CLUSTER).map(|mode| mode.0).collect();
    assert!(!local.is_empty() || !cluster.is_empty(), "there is no mode {only:?}; there are {names:?}");
    (local, cluster)
}

#[test]
fn a_filter_that_names_nothing_is_noticed() {
    let unknown = |filter: &str| Selected::parse(filter).unknown(&corpus());
    assert_eq!(unknown("joins, joins:9999,jions,numbers:half,numbers:hlaf"), ["joins:9999", "jions", "numbers:hlaf"]);
    assert_eq!(unknown(""), [""; 0]);
    assert_eq!(chosen("cluster-2").1.len(), 1);
    std::panic::catch_unwind(|| chosen("clutser-2")).unwrap_err();
}

struct Run<'a> {
    corpus: &'a Corpus,
    data: &'a Data,
    selected: &'a Selected,
    expected: &'a Answers<'a>,
}

impl Run<'_> {
    /// One mode after the other; what is wrong.
    async fn all(&self, modes: &[&Mode], url: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for mode in modes {
            wrong.extend(self.one(mode, url).await);
        }
        wrong
    }

    async fn one(&self, (name, settings): &Mode, url: &str) -> Vec<String> {
        let mut conf = Conf::new();
        conf.set("spark.app.name", &format!("corpus-{name}")).unwrap();
        if !url.is_empty() {
            conf.set("spark.master", url).unwrap();
        }
        for (key, value) in *settings {
            conf.set(key, value).unwrap();
        }
        let engine = Engine::connect(conf).await.unwrap();
        let begun = std::time::Instant::now();
        let came = self.corpus.run(&engine, self.data, self.selected).await.unwrap();
        engine.stop().await;
        let tally = self.corpus.tally(name, self.expected, &came);
        say(&format!(
            "{name}: {} right, {} failed as expected, {} exceptions, {} wrong; {} of several stages, {} of several tasks, {} by hash, {} by \
             ranges; {:.0?}",
            tally.right,
            tally.errors,
            tally.excepted,
            tally.wrong.len(),
            came.staged,
            came.spread,
            came.hashed,
            came.ranged,
            begun.elapsed(),
        ));
        let mut wrong = tally.wrong;
        let one_task = ["cluster-1", "local"].contains(name);
        if self.selected.is_all() && !one_task && came.spread < MIN_SPREAD {
            wrong.push(format!("{name}: only {} queries had several tasks in a stage", came.spread));
        }
        let (hashed, ranged) = (came.hashed, came.ranged);
        if self.selected.is_all() && *name == SHUFFLING && (hashed < MIN_HASHED || ranged < MIN_RANGED) {
            wrong.push(format!("{name}: only {hashed} queries had exchanges by hash, and {ranged} by ranges"));
        }
        wrong
    }
}

/// For people who look at the test's output (`--nocapture`).
fn say(line: &str) {
    #[expect(clippy::print_stderr, reason = "the summary of a mode is what a reader of the run wants to see")]
    {
        eprintln!("{line}");
    }
}
