//! Children as processes of this machine.

use super::{
    seat::{ChildSeat, Kill, Launcher},
    work_dir::BLOCK_SERVICE,
};
use crate::machine::Child;
use hearth_core::{
    bootstrap::{BlocksBootstrap, ExecutorBootstrap},
    conf::{Conf, keys},
};
use hearth_launch::{KernelKill, Launch, LaunchError, LogFile, MemoryEnd, Outcome, Profile, Running};
use serde_json::to_vec;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::timeout;

/// How long a block service may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);
/// How long one whose output has ended may take to end itself, so that its own exit code can be told.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// What a block service says before its address.
const LISTENING: &str = "listening on ";

/// How processes are started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessOptions {
    /// The program: it has the commands `executor` and `blocks`.
    pub program: PathBuf,
    /// Bytes after which a log begins a new part.
    pub log_max_size: u64,
    /// Older parts of a log that are kept.
    pub log_retained: u32,
}

impl ProcessOptions {
    /// Processes of this program, as the configuration wants their logs.
    pub fn from_conf(program: PathBuf, conf: &Conf) -> Self {
        Self {
            program,
            log_max_size: conf.get(&keys::EXECUTOR_LOGS_MAX_SIZE),
            log_retained: conf.get(&keys::EXECUTOR_LOGS_MAX_RETAINED_FILES),
        }
    }
}

/// Starts children as processes.
#[derive(Debug)]
pub struct ProcessLauncher {
    options: ProcessOptions,
}

impl ProcessLauncher {
    /// A launcher of such processes.
    pub const fn new(options: ProcessOptions) -> Self {
        Self { options }
    }

    /// A child that runs in `dir` and writes its logs there. Its bootstrap goes through its standard input: arguments and
    /// environment are for everybody to read.
    fn launch(&self, args: Vec<OsString>, dir: &Path, bootstrap: Vec<u8>) -> Launch {
        let log = |name: &str| LogFile {
            path: dir.join(name),
            max_size: self.options.log_max_size,
            retained: self.options.log_retained,
        };
        Launch {
            program: self.options.program.clone(),
            args,
            env: hearth_core::failpoint::handed_on(),
            cwd: dir.to_owned(),
            first_line: Some(bootstrap),
            stdout: log("stdout"),
            stderr: log("stderr"),
            profile: Profile::Plain,
        }
    }
}

impl Launcher for ProcessLauncher {
    fn start_executor(&self, bootstrap: ExecutorBootstrap, seat: ChildSeat) {
        let line = match to_vec(&bootstrap) {
            Ok(line) => line,
            Err(error) => return refuse(seat, format!("its bootstrap cannot be written: {error}")),
        };
        // The ids are for people who look at a list of processes.
        let args = ["executor".to_owned(), bootstrap.application.to_string(), bootstrap.executor.to_string()];
        let mut launch = self.launch(args.map(Into::into).to_vec(), &bootstrap.work_dir, line);
        // What libraries write to a temporary directory goes when the scratch goes.
        launch.env.push(("TMPDIR".into(), bootstrap.work_dir.join("tmp").into()));
        tokio::spawn(watch(launch, Some(bootstrap.resources.memory_mib), seat));
    }

    fn start_block_service(&self, bootstrap: BlocksBootstrap, seat: ChildSeat) {
        let dir = bootstrap.work_dir.join(BLOCK_SERVICE);
        let line = match to_vec(&bootstrap) {
            Ok(line) => line,
            Err(error) => return refuse(seat, format!("its bootstrap cannot be written: {error}")),
        };
        let launch = self.launch(vec!["blocks".into()], &dir, line);
        tokio::spawn(async move {
            match tokio::fs::create_dir_all(&dir).await {
                Ok(()) => watch(launch, None, seat).await,
                Err(error) => seat.failed(format!("its directory {dir:?} cannot be made: {error}")).await,
            }
        });
    }
}

fn refuse(seat: ChildSeat, message: String) {
    tokio::spawn(seat.failed(message));
}

/// Starts a child, which was granted so many MiB, and stays with it until it is over.
async fn watch(launch: Launch, granted_mib: Option<u64>, mut seat: ChildSeat) {
    let mut running = match launch.start() {
        Ok(running) => running,
        Err(error) => return seat.failed(error.to_string()).await,
    };
    let port = match seat.child() {
        Child::Executor(..) => 0,
        Child::BlockService => {
            let port = tokio::select! {
                port = listening(&mut running) => port,
                // The machine kills only what has started: this is the end of the worker.
                _ = seat.kill_asked() => Err("the worker is gone".to_owned()),
            };
            match port {
                Ok(port) => port,
                Err(message) => return seat.failed(message).await,
            }
        }
    };
    seat.started(running.pid(), port).await;
    let outcome = until_over(&mut running, &mut seat).await;
    let cause = cause_of(&outcome, granted_mib);
    seat.ended(outcome.exit_code, cause, outcome.tail).await;
}

/// Who killed a child that this worker did not tell to end, and what memory has to do with it. The kernel says neither.
fn cause_of(outcome: &Outcome, granted_mib: Option<u64>) -> Option<String> {
    const SIGKILL: i32 = 9;
    if outcome.asked || outcome.signal != Some(SIGKILL) {
        return None;
    }
    let MemoryEnd { peak_kib, limit_kib, machine_kib, kernel } = outcome.memory;
    let mib = |kib: u64| format!("{} MiB", kib >> 10);
    let had = peak_kib.map_or_else(String::new, |peak| format!("; it had {} at its peak", mib(peak)));
    let granted = granted_mib.map_or_else(String::new, |granted| format!(", and was granted {granted} MiB"));
    let who = match kernel {
        KernelKill::None => {
            return Some(format!("not by Hearth, nor by the kernel for want of memory{had}{granted}"));
        }
        KernelKill::Child => "the kernel killed it, out of memory",
        // Most likely it, but somebody else may have killed it at the same moment.
        KernelKill::InGroup => "the kernel killed a process of its control group just then, out of memory",
        KernelKill::OnMachine => "the kernel killed a process of this machine just then, out of memory",
    };
    let limit = match (limit_kib, machine_kib) {
        (Some(limit), _) => format!(" (limit of its control group: {})", mib(limit)),
        (None, Some(machine)) => format!(" (the machine has {})", mib(machine)),
        (None, None) => String::new(),
    };
    Some(format!(
        "{who}{had}{limit}{granted}; offer less with the worker's --memory, or give the tasks \
         fewer cores for their memory with --executor-cores"
    ))
}

async fn until_over(running: &mut Running, seat: &mut ChildSeat) -> Outcome {
    loop {
        let kill = tokio::select! {
            outcome = running.outcome() => return outcome,
            kill = seat.kill_asked() => kill,
        };
        running.kill(kill != Some(Kill::Soft));
        if kill.is_none() {
            return running.outcome().await;
        }
    }
}

/// Waits until a block service listens; gives its port. One that does not is over when this returns.
async fn listening(running: &mut Running) -> Result<u16, String> {
    let refused = match running.ready_line(LISTENS_WITHIN).await {
        Ok(line) => match port_of(&line) {
            Some(port) => return Ok(port),
            None => format!("it said {line:?} instead of where it listens"),
        },
        Err(LaunchError::EndedUnready { .. }) => {
            if timeout(ENDS_WITHIN, running.outcome()).await.is_err() {
                running.kill(true);
            }
            let outcome = running.outcome().await;
            return Err(match outcome.tail.trim() {
                "" => outcome.message,
                tail => format!("{}: {tail}", outcome.message),
            });
        }
        Err(error) => error.to_string(),
    };
    running.kill(true);
    running.outcome().await;
    Err(refused)
}

fn port_of(line: &str) -> Option<u16> {
    line.strip_prefix(LISTENING)?.rsplit_once(':')?.1.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(signal: i32, asked: bool, memory: MemoryEnd) -> Outcome {
        let message = String::new();
        let (exit_code, wall, tail) = (128 + signal, Duration::ZERO, String::new());
        Outcome { exit_code, signal: Some(signal), wall, message, tail, asked, memory }
    }

    #[test]
    fn a_killed_child_is_told_of_with_its_peak_and_the_limit() {
        let memory = MemoryEnd {
            peak_kib: Some(300 << 10),
            limit_kib: Some(256 << 10),
            machine_kib: Some(8192 << 10),
            kernel: KernelKill::Child,
        };
        let cause = |memory: &MemoryEnd| cause_of(&outcome(9, false, memory.clone()), Some(1024)).unwrap();
        let group = cause(&memory);
        let expected = "the kernel killed it, out of memory; it had 300 MiB at its peak (limit of its control group: 256 MiB), and \
                        was granted 1024 MiB; offer less";
        assert!(group.starts_with(expected), "{group}");
        let machine = cause(&MemoryEnd { limit_kib: None, ..memory.clone() });
        assert!(machine.contains("at its peak (the machine has 8192 MiB), and was granted"), "{machine}");
        for (kernel, who) in [(KernelKill::InGroup, "of its control group"), (KernelKill::OnMachine, "of this machine")]
        {
            let shared = cause(&MemoryEnd { kernel, ..memory.clone() });
            let expected =
                format!("the kernel killed a process {who} just then, out of memory; it had 300 MiB at its peak");
            assert!(shared.starts_with(&expected), "{shared}");
        }
        let other = cause(&MemoryEnd { kernel: KernelKill::None, ..memory.clone() });
        assert_eq!(
            other,
            "not by Hearth, nor by the kernel for want of memory; it had 300 MiB at its peak, and was granted 1024 MiB"
        );
        assert_eq!(cause_of(&outcome(9, true, memory.clone()), None), None, "the worker did it");
        assert_eq!(cause_of(&outcome(11, false, memory), None), None, "its own doing");
    }

    #[test]
    fn the_port_is_the_last_of_an_address() {
        assert_eq!(port_of("listening on 127.0.0.1:7078"), Some(7078));
        assert_eq!(port_of("listening on [::1]:80\r"), Some(80));
        for bad in ["", "listening on 127.0.0.1", "listening on 127.0.0.1:", "listening on x:70000", "at x:80"] {
            assert_eq!(port_of(bad), None, "{bad}");
        }
    }
}
