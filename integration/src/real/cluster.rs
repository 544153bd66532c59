//! A master and workers, as an operator would start them.

use super::{Daemon, Process, Run, eventually, hearth, run};
use hearth_core::{
    WorkerState,
    messages::status::{ApplicationView, ClusterView, WorkerView},
};
use rustix::process::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What makes block services and executors log each request for blocks.
const LOG_BLOCKS: &str = "info,hearth_blocks=debug";

/// A cluster of real processes. Dropping it ends them and asserts that nothing is left.
#[derive(Debug)]
pub struct TestCluster {
    /// The master.
    pub master: Daemon,
    /// The workers.
    pub workers: Vec<Daemon>,
    /// The master's URL.
    pub url: String,
    /// The master's HTTP address.
    pub webui: String,
    options: ClusterOptions,
    dir: tempfile::TempDir,
}

/// How a cluster is unlike others.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    /// What the workers and their children log, when not as usual.
    pub log: Option<&'static str>,
    /// What every process finds in its environment, the drivers too.
    pub env: Vec<(&'static str, String)>,
    /// More arguments of the workers, in their order.
    pub workers: Vec<Vec<String>>,
    /// More arguments of the master.
    pub master: Vec<String>,
}

impl TestCluster {
    /// Starts a master and one worker for each of `cores`, each with 2 GiB to give.
    pub fn start(cores: &[u32]) -> Self {
        Self::start_with(cores, ClusterOptions::default())
    }

    /// The same; block services and executors log each request for blocks, which [`Traffic`](super::Traffic) reads.
    pub fn start_logging_blocks(cores: &[u32]) -> Self {
        Self::start_with(cores, ClusterOptions { log: Some(LOG_BLOCKS), ..ClusterOptions::default() })
    }

    /// The same, unlike others.
    pub fn start_with(cores: &[u32], options: ClusterOptions) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut master = Self::start_master(dir.path(), "master", "0", &options);
        let url = master.await_line("master ");
        let webui = master.await_line("webui ");
        let mut cluster = Self { master, workers: Vec::new(), url, webui, options, dir };
        for &cores in cores {
            cluster.add_worker(cores);
        }
        cluster
    }

    fn start_master(dir: &Path, name: &str, port: &str, options: &ClusterOptions) -> Daemon {
        let mut command = hearth();
        command.args(["master", "--port", port, "--webui-port", "0", "--state-dir"]).arg(dir.join("state"));
        Daemon::spawn(name, command.args(&options.master).envs(options.env.iter().cloned()), dir)
    }

    /// Kills the master for good: with no time to say goodbye.
    pub fn kill_master(&mut self) {
        self.master.signal(Signal::KILL);
        self.master.wait();
    }

    /// Starts a master where the killed one was, and waits until all workers are with it.
    pub fn start_master_again(&mut self) {
        let port = self.url.rsplit(':').next().expect("a URL ends with a port").to_owned();
        self.master = Self::start_master(self.dir.path(), "master-again", &port, &self.options);
        self.webui = self.master.await_line("webui ");
        eventually("the workers are back by themselves", || {
            let alive = self.status().workers.iter().filter(|w| w.state == WorkerState::Alive).count();
            (alive == self.workers.len()).then_some(())
        });
    }

    /// Starts one more worker and waits until it is registered.
    pub fn add_worker(&mut self, cores: u32) {
        let work = self.work_dir(self.workers.len());
        self.add_worker_in(cores, &work);
    }

    /// Starts one more worker in a directory and waits until it is registered.
    pub fn add_worker_in(&mut self, cores: u32, work: &Path) {
        let place = self.workers.len();
        let worker = self.start_worker(place, &format!("worker-{place}"), cores, work);
        self.workers.push(worker);
    }

    /// Starts a worker where one was that is over, and waits until it is registered.
    pub fn start_worker_again(&mut self, place: usize, cores: u32) {
        let work = self.work_dir(place);
        self.workers[place] = self.start_worker(place, &format!("worker-{place}-again"), cores, &work);
    }

    fn start_worker(&self, place: usize, name: &str, cores: u32, work: &Path) -> Daemon {
        let ClusterOptions { log, env, workers, .. } = &self.options;
        let mut command = hearth();
        command.args(["worker", &self.url, "--cores", &cores.to_string(), "--memory", "2g", "--work-dir"]).arg(work);
        command.args(workers.get(place).into_iter().flatten());
        command.envs(log.map(|filter| ("RUST_LOG", filter))).envs(env.iter().cloned());
        let mut worker = Daemon::spawn(name, &mut command, self.dir.path());
        worker.await_line("registered");
        worker
    }

    /// The directory that everything of this cluster lies in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A worker's directory.
    pub fn work_dir(&self, worker: usize) -> PathBuf {
        self.dir.path().join(format!("worker-{worker}"))
    }

    /// Runs `hearth sql` on this cluster to its end.
    pub fn sql(&self, args: &[&str]) -> Run {
        run(&[&["sql", "--master", &self.url], args].concat())
    }

    /// Starts `hearth sql` on this cluster.
    pub fn start_sql(&self, name: &str, args: &[&str]) -> Daemon {
        let scratch = self.driver_scratch();
        fs::create_dir_all(&scratch).expect("a directory for the drivers");
        let mut command = hearth();
        command.args(["sql", "--master", &self.url, "--name", name]).args(args).env("TMPDIR", scratch);
        Daemon::spawn(name, command.envs(self.options.env.iter().cloned()), self.dir.path())
    }

    /// Where the drivers that were [started](Self::start_sql) keep temporary files.
    pub fn driver_scratch(&self) -> PathBuf {
        self.dir.path().join("drivers")
    }

    /// What the master has.
    pub fn status(&self) -> ClusterView {
        let json = run(&["status", "--master", &self.url, "--json"]).ok();
        serde_json::from_str(&json).expect("the status is JSON")
    }

    /// What the master has of a worker.
    pub fn worker(&self, place: usize) -> WorkerView {
        let id =
            fs::read_to_string(self.work_dir(place).join("worker-id")).expect("a worker that registered has an id");
        let found = self.status().workers.into_iter().find(|worker| worker.id.as_str() == id.trim());
        found.unwrap_or_else(|| panic!("the master does not know worker {id}"))
    }

    /// Waits until an application of this name is as `wanted`.
    pub fn await_application(&self, name: &str, wanted: impl Fn(&ApplicationView) -> bool) -> ApplicationView {
        eventually(&format!("application {name} is as wanted"), || {
            let view = self.status();
            view.active.into_iter().chain(view.completed).find(|a| a.name == name && wanted(a))
        })
    }

    /// The living executors.
    pub fn executors(&self) -> Vec<Process> {
        self.children("executor")
    }

    /// The living block services.
    pub fn block_services(&self) -> Vec<Process> {
        self.children("blocks")
    }

    /// The block service of one worker.
    pub fn block_service(&self, worker: usize) -> Process {
        let mut found = Process::below(&self.work_dir(worker)).into_iter().filter(|p| p.command.contains(" blocks"));
        found.next().expect("a worker that is registered has a block service")
    }

    fn children(&self, command: &str) -> Vec<Process> {
        let word = format!(" {command}");
        Process::below(self.dir()).into_iter().filter(|p| p.command.contains(&word)).collect()
    }

    /// Waits until no executor lives and every core is free.
    pub fn await_idle(&self) {
        eventually("all executors are gone and all cores are free", || {
            let idle = self.executors().is_empty() && self.status().workers.iter().all(|w| w.used.cores == 0);
            idle.then_some(())
        });
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        for daemon in self.workers.iter_mut().rev().chain([&mut self.master]) {
            // The id of one that is over may be another process's by now.
            if !daemon.is_over() {
                daemon.signal(Signal::TERM);
            }
        }
        if std::thread::panicking() {
            return;
        }
        for daemon in self.workers.iter_mut().rev().chain([&mut self.master]) {
            daemon.wait();
        }
        eventually("nothing of the cluster is left running", || {
            Process::below(self.dir.path()).is_empty().then_some(())
        });
    }
}
