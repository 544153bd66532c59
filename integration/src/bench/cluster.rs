//! A master and workers as an operator would start them, for the time of a run.

use crate::{
    args::{Shape, Slow},
    brake::Brake,
    failure::{Doing, Failure},
    guard,
    process::Process,
};
use std::{fs, path::Path, time::Duration};
use tokio::process::Command;

/// How long a daemon may take to say that it is ready.
const READY: Duration = Duration::from_secs(30);

/// Daemons on free loopback ports.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The master's URL.
    pub(crate) url: String,
    master: Process,
    /// What makes its first worker slow; goes before that.
    brake: Option<Brake>,
    workers: Vec<Process>,
    /// Ends them when this process cannot; goes last.
    guard: Process,
}

impl Cluster {
    /// Starts them in a directory.
    pub(crate) async fn start(
        hearth: &Path,
        shape: Shape,
        slow: Option<Slow>,
        memory_mib: u64,
        dir: &Path,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(dir).doing(dir.display())?;
        let start = |name: &str, args: &[&str]| {
            let mut command = Command::new(hearth);
            command.args(args);
            Process::start(command, &dir.join(format!("{name}.log")))
        };
        let mut command = Command::new(std::env::current_exe().doing("this program's own path")?);
        command.arg("guard");
        let mut guard = Process::start(command, &dir.join("guard.log"))?;
        let state = dir.join("state");
        let mut master =
            start("master", &["master", "--port", "0", "--webui-port", "0", "--state-dir", &state.to_string_lossy()])?;
        guard.say(&master.pid().to_string()).await?;
        let url = master.line_after("master ", READY).await.doing("the master")?;
        let mut workers = Vec::new();
        for place in 0..shape.workers {
            let name = format!("worker-{place}");
            let (cores, memory, work) = (shape.cores.to_string(), format!("{memory_mib}m"), dir.join(&name));
            let args = ["worker", &url, "--cores", &cores, "--memory", &memory, "--work-dir", &work.to_string_lossy()];
            let mut worker = start(&name, &args)?;
            guard.say(&worker.pid().to_string()).await?;
            worker.line_after("registered", READY).await.doing(&name)?;
            workers.push(worker);
        }
        let brake = slow.zip(workers.first()).map(|(slow, worker)| Brake::new(worker.pid(), slow.percent));
        Ok(Self { url, master, workers, brake, guard })
    }

    /// The ids of its daemons.
    pub(crate) fn pids(&self) -> Vec<i32> {
        self.workers.iter().chain([&self.master]).map(Process::pid).collect()
    }

    /// Ends the workers, so that they can say goodbye, then the master.
    pub(crate) async fn stop(mut self) {
        drop(self.brake);
        for worker in self.workers {
            worker.terminate().await;
        }
        self.master.terminate().await;
        // Nobody is left who would have to be ended.
        let _ = self.guard.say(guard::OVER).await;
        self.guard.end().await;
    }
}
