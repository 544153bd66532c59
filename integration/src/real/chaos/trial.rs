//! One run of a row.

use super::{
    super::{
        ClusterOptions, Daemon, Process, TestCluster, eventually,
        proxy::{Did, Proxy},
    },
    ledger::{self, Fired},
};
use hearth_core::failpoint;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Counts all pairs of orders of a customer: a second of work in six stages, with two shuffles, and an answer that is known.
pub(super) const QUERY: &str = "select count(*) as n, sum(a.o_orderkey) as s from tpch.sf0_1.lineitem l, tpch.sf0_1.orders a, \
                                tpch.sf0_1.orders b where l.l_orderkey = a.o_orderkey and a.o_custkey = b.o_custkey";
/// It, with joins that move both sides, however small, on executors of one core.
pub(super) const QUERY_ARGS: [&str; 8] =
    ["--format", "csv", "--executor-cores", "1", "-e", QUERY, "--conf", "spark.sql.autoBroadcastJoinThreshold=-1"];
/// The answer, by DuckDB over the same tables.
pub(super) const ANSWER: &str = include_str!("../../../fixtures/faults/slow.csv");

/// How soon after the end nothing may be left.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// What a run was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// How often the fault happened.
    pub fired: usize,
    /// From the query's start to its end.
    pub time: Duration,
    /// Tasks that were started once more.
    pub run_again: usize,
    /// Tasks that the fault took.
    pub lost: Option<usize>,
}

/// One run of a row, with its fault or without.
#[derive(Debug)]
pub struct Trial {
    is_faulty: bool,
    /// Where failpoints write down that they fired.
    ledger: tempfile::TempDir,
    faults: String,
    options: ClusterOptions,
    begun: Option<Instant>,
    measured: Measured,
}

impl Trial {
    /// A run that is still to come.
    pub fn new(is_faulty: bool) -> Self {
        Self {
            is_faulty,
            ledger: tempfile::tempdir().expect("a temporary directory"),
            faults: String::new(),
            options: ClusterOptions::default(),
            begun: None,
            measured: Measured::default(),
        }
    }

    /// Whether the fault is to happen.
    pub const fn is_faulty(&self) -> bool {
        self.is_faulty
    }

    /// What it was like.
    pub const fn measured(&self) -> Measured {
        self.measured
    }

    /// Lets these failpoints fire in what is started from now on.
    pub(super) fn failpoints(&mut self, faults: &str) {
        if self.is_faulty {
            self.faults = format!("{};{faults}", self.faults);
        }
    }

    /// Makes places slow, with the fault and without: so that there is a time in which it can happen.
    pub(super) fn slowly(&mut self, places: &str) {
        self.faults = format!("{};{places}", self.faults);
    }

    /// How the cluster that starts next is unlike others.
    pub(super) const fn options(&mut self) -> &mut ClusterOptions {
        &mut self.options
    }

    /// Starts a cluster with a worker of so many cores each.
    pub(super) fn cluster(&mut self, cores: &[u32]) -> TestCluster {
        let plan = format!("dir={};task.start=note;task.end=note{}", self.ledger.path().display(), self.faults);
        let mut options = self.options.clone();
        options.env.push((failpoint::VARIABLE, plan));
        TestCluster::start_with(cores, options)
    }

    /// Starts [`QUERY`] in many small tasks.
    pub(super) fn start(&mut self, cluster: &TestCluster, more: &[&str]) -> Daemon {
        let args = [&QUERY_ARGS[..], &["--conf", "spark.sql.shuffle.partitions=4"], more].concat();
        self.begun = Some(Instant::now());
        cluster.start_sql("faulty", &args)
    }

    /// Waits for the answer of [`QUERY`].
    #[track_caller]
    pub(super) fn ends_right(&mut self, query: &mut Daemon) {
        let status = self.ends(query);
        assert!(status.success(), "{}", query.log());
        assert_eq!(query.output().trim(), ANSWER.trim(), "{}", query.log());
    }

    /// Waits for an error that says all of these; gives the last line.
    #[track_caller]
    pub(super) fn ends_wrong(&mut self, query: &mut Daemon, words: &[&str]) -> String {
        let status = self.ends(query);
        assert_eq!(status.code(), Some(1), "{}", query.log());
        assert_eq!(query.output(), "", "a query that fails prints no data");
        let log = query.log();
        let last = log.trim_end().lines().last().unwrap_or_default().to_owned();
        for word in words {
            assert!(last.contains(word), "{word:?} is missing in: {last}\n{log}");
        }
        last
    }

    /// Something starts that is no process.
    #[cfg(feature = "sql")]
    pub(super) fn begins(&mut self) {
        self.begun = Some(Instant::now());
    }

    /// It is over.
    #[cfg(feature = "sql")]
    pub(super) fn ended(&mut self) {
        self.measured.time = self.begun.take().expect("it was started").elapsed();
    }

    /// Starts another statement.
    pub(super) fn start_sql(&mut self, cluster: &TestCluster, sql: &str, format: &str, more: &[&str]) -> Daemon {
        self.begun = Some(Instant::now());
        cluster.start_sql("faulty", &[&["--format", format, "-e", sql], more].concat())
    }

    /// Waits for the end, whatever it is.
    pub(super) fn ends(&mut self, query: &mut Daemon) -> std::process::ExitStatus {
        let status = query.wait();
        self.measured.time = self.begun.take().expect("it was started").elapsed();
        status
    }

    /// What fired so far.
    pub(super) fn fired(&self) -> Vec<Fired> {
        ledger::read(self.ledger.path())
    }

    /// How often each partition of each stage was started.
    pub(super) fn starts(&self) -> BTreeMap<(u32, u32), usize> {
        ledger::starts(&self.fired())
    }

    /// Notes proof of the fault that is none of a failpoint's.
    pub(super) const fn happened(&mut self, times: usize) {
        self.measured.fired += times;
    }

    /// Asserts that a wire did what it should, and notes it.
    #[track_caller]
    pub(super) fn happened_on(&mut self, wire: &Proxy, what: impl Fn(Did) -> usize) {
        let did = wire.did();
        assert!(!self.is_faulty || what(did) > 0, "nothing happened on the wire: {did:?}");
        self.happened(what(did));
    }

    /// Counts what ran again.
    pub(super) fn counted(&mut self) {
        self.measured.run_again = ledger::run_again(&self.fired());
    }

    /// What the fault took that no ledger can know.
    pub(super) const fn lost(&mut self, tasks: usize) {
        self.measured.lost = Some(tasks);
    }

    /// The fault took these processes, with all that they had begun and written.
    pub(super) fn took(&mut self, pids: Vec<u32>) {
        self.measured.lost = Some(ledger::written_by(&self.fired(), &pids.into_iter().collect()));
    }

    /// Asserts that no stage had more attempts than this.
    #[track_caller]
    pub(super) fn few_attempts(&mut self, most: u32) {
        self.counted();
        let attempts = ledger::attempts(&self.fired());
        assert!(attempts <= most, "{attempts} attempts of a stage: {:#?}", self.fired());
    }

    /// Asserts that the failpoints fired, and counts what the processes that they fired in had lost. When they are to fire,
    /// so many times.
    #[track_caller]
    pub(super) fn must_have_fired(&mut self, times: RangeInclusive<usize>) -> Vec<Fired> {
        let all = self.fired();
        let faults = ledger::faults(&all);
        if self.is_faulty {
            assert!(times.contains(&faults.len()), "{} instead of {times:?}: {faults:?}", faults.len());
        }
        self.measured.fired += faults.len();
        let pids: BTreeSet<_> = faults.iter().map(Fired::pid).collect();
        self.measured.lost = Some(ledger::lost_with(&all, &pids));
        self.measured.run_again = ledger::run_again(&all);
        faults
    }

    /// Asserts that only what was lost ran again.
    #[track_caller]
    pub(super) fn only_lost_ran_again(&self) {
        let Measured { run_again, lost, .. } = self.measured;
        assert!(Some(run_again) <= lost, "{run_again} tasks ran again, and {lost:?} were lost: {:#?}", self.fired());
    }

    /// Asserts that nothing of any application is left, soon: no executor, no core, no shuffle or temporary file.
    #[track_caller]
    pub(super) fn nothing_is_left(&self, cluster: &TestCluster) {
        let begun = Instant::now();
        let left = || {
            let mut left: Vec<_> = cluster.executors().into_iter().map(|p| p.command).collect();
            left.extend(files(cluster.dir()).iter().map(|file| file.display().to_string()));
            let used = cluster.status().workers.iter().map(|worker| worker.used.cores).sum::<u32>();
            left.extend((used > 0).then(|| format!("{used} cores in use")));
            left
        };
        eventually("a look at what is left", || {
            let left = left();
            let late = begun.elapsed() > LEFT_BEHIND;
            assert!(left.is_empty() || !late, "left {LEFT_BEHIND:?} after the end: {left:#?}");
            left.is_empty().then_some(())
        });
    }

    /// The executors, once there are so many that have a task.
    pub(super) fn await_busy(&self, cluster: &TestCluster, executors: usize) -> Vec<Process> {
        eventually("executors have tasks", || {
            let busy: BTreeSet<_> = self.fired().iter().map(Fired::pid).collect();
            let living: Vec<_> = cluster.executors().into_iter().filter(|p| busy.contains(&p.pid)).collect();
            (living.len() >= executors).then_some(living)
        })
    }
}

/// Map outputs, whole and half-written, and what operators spilled.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if ["/shuffle/", "/blocks/", "/tmp/"].iter().any(|part| under(dir, &path).contains(part)) {
            found.push(path);
        }
    }
    found
}

/// Test directories may themselves lie below a `tmp`.
fn under(dir: &Path, path: &Path) -> String {
    let root = dir.ancestors().find(|dir| dir.parent() == Some(&std::env::temp_dir())).unwrap_or(dir);
    format!("/{}", path.strip_prefix(root).unwrap_or(path).display())
}
