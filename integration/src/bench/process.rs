//! A child process with a group of its own, so that whatever it starts can be ended with it.

use crate::failure::{Doing, Failure};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// How long a process may take to end by itself once its input has ended: workers say goodbye to their master, executors end.
const GOODBYE: Duration = Duration::from_secs(30);
/// How long it may take after it was asked to end, before it is killed.
const TERMINATION: Duration = Duration::from_secs(5);
/// Lines of a log that explain a failure.
const LOG_LINES: usize = 20;

/// A running process. Its standard input is its lifeline; dropping it ends it and its group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: i32,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Process {
    /// Starts it. What it writes to standard error goes to a file.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self, Failure> {
        let errors = File::create(log).doing(log.display())?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).process_group(0);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().doing(&program)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let (Some(pid), Some(stdout)) = (pid, child.stdout.take()) else {
            return Err(Failure::new(format!("{program} ended at once")));
        };
        let input = child.stdin.take();
        Ok(Self { child, pid, input, output: BufReader::new(stdout).lines(), log: log.to_owned() })
    }

    /// Its id.
    pub(crate) const fn pid(&self) -> i32 {
        self.pid
    }

    /// Writes a line to its standard input.
    pub(crate) async fn say(&mut self, line: &str) -> Result<(), Failure> {
        let Some(input) = &mut self.input else { return Err(Failure::new("its input is closed")) };
        let line = format!("{line}\n");
        input.write_all(line.as_bytes()).await.map_err(|e| self.explained(&e.to_string()))
    }

    /// The next line of its standard output.
    pub(crate) async fn line(&mut self, patience: Duration) -> Result<String, Failure> {
        let why = match timeout(patience, self.output.next_line()).await {
            Ok(Ok(Some(line))) => return Ok(line),
            Ok(Ok(None)) => "it ended".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it did not answer within {} s", patience.as_secs()),
        };
        Err(self.explained(&why))
    }

    /// What follows `prefix` in the first line that starts with it.
    pub(crate) async fn line_after(&mut self, prefix: &str, patience: Duration) -> Result<String, Failure> {
        let until = Instant::now() + patience;
        loop {
            let line = self.line(until.saturating_duration_since(Instant::now())).await?;
            if let Some(rest) = line.strip_prefix(prefix) {
                return Ok(rest.trim().to_owned());
            }
        }
    }

    /// A failure, with the end of the log.
    fn explained(&self, why: &str) -> Failure {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        match last.is_empty() {
            true => Failure::new(why),
            false => Failure::new(format!("{why}; the end of its log:\n    {}", last.join("\n    "))),
        }
    }

    /// Lets it end: first by itself, as its input does, then by request, then by force.
    pub(crate) async fn end(mut self) {
        drop(self.input.take());
        let _ = timeout(GOODBYE, self.child.wait()).await;
        // The rest is done by dropping it.
    }

    /// Ends it on request, and waits for that. For a daemon, which does not look at its input.
    pub(crate) async fn terminate(mut self) {
        self.signal(Signal::TERM);
        let _ = timeout(GOODBYE, self.child.wait()).await;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.pid) {
            // Nobody may be left in it.
            let _ = kill_process_group(group, signal);
        }
    }

    fn is_over(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        if !self.is_over() {
            self.signal(Signal::TERM);
            let until = Instant::now() + TERMINATION;
            while !self.is_over() && Instant::now() < until {
                thread::sleep(Duration::from_millis(20));
            }
        }
        // What it started and left behind, and itself if it did not listen.
        self.signal(Signal::KILL);
        let _ = self.child.try_wait();
    }
}
