//! A child that runs.

use crate::{
    Launch, LaunchError, LogFile, MemoryEnd, Outcome,
    copy::Copy,
    memory::{self, MemoryWatch, System},
    rotate::RotatingLog,
};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::{
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin},
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::{interval, timeout},
};

/// How long the pipes may stay open once the group is dead: only a process that left the group can hold them.
const DRAIN: Duration = Duration::from_secs(2);

/// A child that runs, or is over and not yet asked how. Dropping it kills its process group.
#[derive(Debug)]
pub struct Running {
    program: PathBuf,
    pid: u32,
    /// The group to signal; nothing once the child is reaped and its number may belong to somebody else.
    group: Option<Pid>,
    child: Child,
    /// Dropped with this, which ends the child's standard input.
    _lifeline: oneshot::Sender<()>,
    stdout: Copy,
    stderr: Copy,
    first_line: Option<oneshot::Receiver<String>>,
    started: Instant,
    memory: MemoryWatch,
    asked: AtomicBool,
    /// Its status and how long it lived, once it is reaped.
    ended: Option<(io::Result<ExitStatus>, Duration, MemoryEnd)>,
}

impl Running {
    pub(crate) fn start(launch: Launch) -> Result<Self, LaunchError> {
        let program = launch.program.clone();
        if !launch.cwd.is_dir() {
            // The system would say no more than "not found", and readers would look for the program.
            return Err(LaunchError::WorkingDirectory { program, cwd: launch.cwd });
        }
        let open = |log: &LogFile| {
            RotatingLog::open(log.clone()).map_err(|source| LaunchError::Log {
                program: program.clone(),
                path: log.path.clone(),
                source,
            })
        };
        let (stdout_log, stderr_log) = (open(&launch.stdout)?, open(&launch.stderr)?);
        let mut command = launch.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawn_error = |source| LaunchError::Spawn { program: program.clone(), source };
        let mut child = command.spawn().map_err(spawn_error)?;
        let started = Instant::now();
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let (Some(group), Some(stdin), Some(stdout), Some(stderr)) =
            (pid, child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("a child that was just started with three pipes has a pid and three pipes");
        };
        let (stdout, first_line) = Copy::start(stdout, stdout_log);
        let (stderr, _) = Copy::start(stderr, stderr_log);
        let (lifeline, released) = oneshot::channel();
        tokio::spawn(hold(stdin, launch.first_line, released));
        Ok(Self {
            program,
            pid: group.as_raw_pid().unsigned_abs(),
            group: Some(group),
            child,
            _lifeline: lifeline,
            stdout,
            stderr,
            first_line: Some(first_line),
            started,
            memory: MemoryWatch::new(System::default(), group.as_raw_pid().unsigned_abs()),
            asked: AtomicBool::new(false),
            ended: None,
        })
    }

    /// Its process id, and the number of its group.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the first line of its standard output; gives it once.
    pub async fn ready_line(&mut self, within: Duration) -> Result<String, LaunchError> {
        let ended = || LaunchError::EndedUnready { program: self.program.clone() };
        let Some(first_line) = &mut self.first_line else { return Err(ended()) };
        let line = match timeout(within, first_line).await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(_)) => Err(ended()),
            Err(_) => return Err(LaunchError::NotReady { program: self.program.clone(), within }),
        };
        self.first_line = None;
        line
    }

    /// Asks the process group to end (SIGTERM), or ends it (SIGKILL). Does nothing once the child is over.
    pub fn kill(&self, hard: bool) {
        if self.group.is_some() {
            self.asked.store(true, Ordering::Relaxed);
        }
        self.signal(hard);
    }

    fn signal(&self, hard: bool) {
        if let Some(group) = self.group {
            // The one failure is that nobody is left in it.
            let _ = kill_process_group(group, if hard { Signal::KILL } else { Signal::TERM });
        }
    }

    /// Waits for the end, kills what is left of the group, and takes the rest of the output. Cancel safe.
    pub async fn outcome(&mut self) -> Outcome {
        if self.ended.is_none() {
            if let Some(pid) = self.group {
                match until_dead(pid, &mut self.memory).await {
                    // Dead, but not reaped: the group's number is still the child's.
                    Ok(()) => self.signal(true),
                    Err(error) => {
                        tracing::warn!(pid = self.pid, %error, "a child's end can only be awaited; its group may outlive it");
                    }
                }
            }
            let status = self.child.wait().await;
            self.group = None;
            self.ended = Some((status, self.started.elapsed(), self.memory.end()));
        }
        let drained = timeout(DRAIN, async {
            self.stdout.finish().await;
            self.stderr.finish().await;
        });
        if drained.await.is_err() {
            tracing::warn!(pid = self.pid, "a process that left its group still holds the output of a child");
        }
        let Some((status, wall, memory)) = &self.ended else { unreachable!("set above") };
        let status = match status {
            Ok(status) => Ok(*status),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        let asked = self.asked.load(Ordering::Relaxed);
        Outcome::new(status, *wall, self.stderr.tail(), asked, memory.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill(true);
    }
}

/// Waits until a child is dead, and leaves it unreaped. Until then it looks after its memory.
async fn until_dead(pid: Pid, memory: &mut MemoryWatch) -> io::Result<()> {
    let mut changes = signal(SignalKind::child())?;
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let mut looks = interval(memory::INTERVAL);
    while waitid(WaitId::Pid(pid), look)?.is_none() {
        tokio::select! {
            _ = changes.recv() => {}
            _ = looks.tick() => memory.look(),
        }
    }
    Ok(())
}

/// Writes the first line, then holds the pipe; both until its owner is gone.
async fn hold(mut stdin: ChildStdin, first_line: Option<Vec<u8>>, released: oneshot::Receiver<()>) {
    let hold = async {
        if let Some(mut line) = first_line {
            line.push(b'\n');
            if let Err(error) = stdin.write_all(&line).await {
                // How the child ended will be told by its outcome.
                tracing::debug!(%error, "a child did not read its first line");
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        () = hold => {}
        _ = released => {}
    }
}
