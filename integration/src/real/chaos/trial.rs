//! One run of a row.

use super::{
    super::{
        ClusterOptions, Daemon, Process, TestCluster, eventually,
        proxy::{Did, Proxy},
    },
    ledger::{self, Account, Fired},
    left,
};
use hearth_core::failpoint;
use std::{
    collections::BTreeSet,
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::{Duration, Instant},
};

/// Counts all pairs of orders of a customer: a second of work in six stages, with two shuffles, and an answer that is known.
pub const QUERY: &str = "select count(*) as n, sum(a.o_orderkey) as s from tpch.sf0_1.lineitem l, tpch.sf0_1.orders a, \
                                tpch.sf0_1.orders b where l.l_orderkey = a.o_orderkey and a.o_custkey = b.o_custkey";
/// It, with joins that move both sides, however small, on executors of one core.
pub const QUERY_ARGS: [&str; 8] =
    ["--format", "csv", "--executor-cores", "1", "-e", QUERY, "--conf", "spark.sql.autoBroadcastJoinThreshold=-1"];
/// The answer, by DuckDB over the same tables.
pub const ANSWER: &str = include_str!("../../../fixtures/faults/slow.csv");

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
    /// Attempts that the fault took, or whose outputs it took.
    pub lost: usize,
    /// Nothing was tried: this machine does not let the fault happen, and somebody said that it need not.
    pub is_skipped: bool,
}

/// One run of a row, with its fault or without.
#[derive(Debug)]
pub struct Trial {
    is_faulty: bool,
    /// How long a query may take, its fault and all.
    bound: Duration,
    /// Where failpoints write down that they fired.
    ledger: tempfile::TempDir,
    faults: String,
    options: ClusterOptions,
    /// Disks of the workers, beside their own directories.
    disks: Option<tempfile::TempDir>,
    begun: Option<Instant>,
    measured: Measured,
    /// What was asserted.
    is_accounted_for: bool,
    is_clean: bool,
}

impl Trial {
    /// A run that is still to come.
    pub(super) fn new(is_faulty: bool, bound: Duration) -> Self {
        // What drivers say of executors is information to them.
        let env = vec![("RUST_LOG", "info".to_owned())];
        Self {
            is_faulty,
            bound,
            ledger: tempfile::tempdir().expect("a temporary directory"),
            faults: String::new(),
            options: ClusterOptions { env, ..ClusterOptions::default() },
            disks: None,
            begun: None,
            measured: Measured::default(),
            is_accounted_for: false,
            is_clean: false,
        }
    }

    /// Whether the fault is to happen.
    pub(super) const fn is_faulty(&self) -> bool {
        self.is_faulty
    }

    /// The fault cannot happen here, and was said not to need to.
    pub(super) const fn skips(&mut self) {
        self.measured.is_skipped = true;
    }

    /// A run of the same without the fault.
    pub(super) fn without_fault(&self) -> Self {
        Self::new(false, self.bound)
    }

    /// What it was like, once it is over.
    ///
    /// # Panics
    /// When the row forgot to assert what every row promises.
    pub(super) fn proved(self) -> Measured {
        if self.measured.is_skipped {
            return self.measured;
        }
        assert!(self.is_faulty == (self.measured.fired > 0), "the fault happened {} times", self.measured.fired);
        assert!(self.is_accounted_for && self.is_clean, "a row asserts what ran again, and that nothing is left");
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

    /// Gives each worker these many disks.
    pub(super) fn give_disks(&mut self, count: usize) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let disks: Vec<_> = (0..count).map(|disk| dir.path().join(format!("disk-{disk}"))).collect();
        disks.iter().for_each(|disk| fs::create_dir(disk).expect("a disk"));
        let names: Vec<_> = disks.iter().map(|disk| disk.display().to_string()).collect();
        self.options.env.push(("SPARK_LOCAL_DIRS", names.join(",")));
        self.disks = Some(dir);
    }

    /// The disks that workers were given.
    pub(super) fn disks(&self) -> Vec<PathBuf> {
        let disks = self.disks.iter().flat_map(|dir| fs::read_dir(dir.path()).expect("it is there"));
        disks.map(|disk| disk.expect("a disk").path()).collect()
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
        self.ends_with(query, ANSWER);
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

    /// What was started is over, and in time.
    #[track_caller]
    pub(super) fn ended(&mut self) {
        self.measured.time = self.begun.take().expect("it was started").elapsed();
        assert!(self.measured.time <= self.bound, "it took {:?}, more than {:?}", self.measured.time, self.bound);
    }

    /// Starts another statement.
    pub(super) fn start_sql(&mut self, cluster: &TestCluster, sql: &str, more: &[&str]) -> Daemon {
        self.begun = Some(Instant::now());
        cluster.start_sql("faulty", &[&["--format", "csv", "-e", sql], more].concat())
    }

    /// Waits for the end, whatever it is.
    #[track_caller]
    pub(super) fn ends(&mut self, query: &mut Daemon) -> ExitStatus {
        let status = query.wait();
        self.ended();
        status
    }

    /// Waits for these rows.
    #[track_caller]
    pub(super) fn ends_with(&mut self, query: &mut Daemon, rows: &str) {
        let status = self.ends(query);
        assert!(status.success(), "{}", query.log());
        assert_eq!(query.output().trim(), rows.trim(), "{}", query.log());
    }

    /// What fired so far.
    pub(super) fn fired(&self) -> Vec<Fired> {
        ledger::read(self.ledger.path())
    }

    /// What executors that had tasks wrote to their logs, all of it.
    pub(super) fn executors_said(&self) -> String {
        let fired = self.fired();
        let dirs: BTreeSet<_> = fired.iter().map(|fired| fired.get("dir")).collect();
        dirs.iter().map(|dir| fs::read_to_string(Path::new(dir).join("stderr")).unwrap_or_default()).collect()
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

    /// Asserts that no stage had more attempts than this.
    #[track_caller]
    pub(super) fn few_attempts(&self, most: u32) {
        let attempts = ledger::attempts(&self.fired());
        assert!(attempts <= most, "{attempts} attempts of a stage: {:#?}", self.fired());
    }

    /// Asserts that the failpoints fired, when they are to, so many times.
    #[track_caller]
    pub(super) fn must_have_fired(&mut self, times: RangeInclusive<usize>) -> Vec<Fired> {
        let faults = ledger::faults(&self.fired());
        if self.is_faulty {
            assert!(times.contains(&faults.len()), "{} instead of {times:?}: {faults:?}", faults.len());
        }
        self.happened(faults.len());
        faults
    }

    /// Asserts that nothing ran again but what was lost: attempts that failed or ended with their process, and those of which
    /// `is_gone` says that the fault took them, or their output.
    #[track_caller]
    pub(super) fn only_lost_ran_again(&mut self, is_gone: impl Fn(&Fired) -> bool) {
        let fired = self.fired();
        let Account { run_again, lost, groundless } = ledger::account(&fired, is_gone);
        assert!(groundless.is_empty(), "these ran again for nothing: {groundless:#?}\nall: {fired:#?}");
        (self.measured.run_again, self.measured.lost) = (run_again, lost);
        self.is_accounted_for = true;
    }

    /// Asserts that nothing of any application is left, soon.
    #[track_caller]
    pub(super) fn nothing_is_left(&mut self, cluster: &TestCluster) {
        let begun = Instant::now();
        let disks = self.disks();
        eventually("a look at what is left", || {
            // What is seen was there when the look began.
            let late = begun.elapsed() > LEFT_BEHIND;
            let left = left::of(cluster, &disks);
            assert!(left.is_empty() || !late, "left {LEFT_BEHIND:?} after the end: {left:#?}");
            left.is_empty().then_some(())
        });
        self.is_clean = true;
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

impl Drop for Trial {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "some faults are chosen by chance")]
            {
                eprintln!("--- its failpoints were {:?}", self.faults);
            }
        }
    }
}
