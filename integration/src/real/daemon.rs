//! One process that a test started.

use super::{PATIENCE, hearth, signal};
use rustix::process::Signal;
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::Instant,
};

/// A process whose standard output is read line by line and whose standard error is kept in a file.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
    log: PathBuf,
}

impl Daemon {
    /// Starts `hearth` with these arguments. Its log goes to `<dir>/<name>.log`.
    pub fn start(name: &str, args: &[&str], dir: &Path) -> Self {
        Self::spawn(name, hearth().args(args), dir)
    }

    /// Starts a command that is `hearth`.
    pub fn spawn(name: &str, command: &mut Command, dir: &Path) -> Self {
        let log = dir.join(format!("{name}.log"));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log file"))
            .current_dir(dir)
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("it is piped");
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { name: name.into(), child, lines, seen: Vec::new(), log }
    }

    /// Waits for a line that starts with `prefix`; gives what follows it.
    pub fn await_line(&mut self, prefix: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(line) = self.seen.iter().find_map(|l| l.strip_prefix(prefix)) {
                return line.trim().to_owned();
            }
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(line) => self.seen.push(line),
                Err(why) => {
                    panic!("{}: no line {prefix:?} ({why}); it said {:?}\n{}", self.name, self.seen, self.log())
                }
            }
        }
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it has written to standard output, once it is over.
    pub fn output(&mut self) -> String {
        self.seen.extend(self.lines.iter());
        self.seen.join("\n")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, what: Signal) {
        signal(self.pid(), what);
    }

    /// Whether it is over.
    pub fn is_over(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        super::eventually(&format!("the end of {}", self.name), || self.child.try_wait().ok().flatten())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.is_over() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "what a daemon said is what explains a failing test")]
            {
                eprintln!("--- {} said:\n{}", self.name, self.log());
            }
        }
    }
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its exit code; 128 and the signal's number when one killed it.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Run {
    /// Its output, when it succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }

    /// Its errors, when it failed with this code and printed no data.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        assert_eq!(self.out, "", "a command that fails prints no data");
        self.err
    }
}

/// Runs `hearth` with these arguments to its end.
pub fn run(args: &[&str]) -> Run {
    run_command(hearth().args(args))
}

/// Runs a command to its end.
pub fn run_command(command: &mut Command) -> Run {
    use std::os::unix::process::ExitStatusExt;
    let done = command.stdin(Stdio::null()).output().expect("the binary starts");
    Run {
        code: done.status.code().or_else(|| done.status.signal().map(|s| 128 + s)).unwrap_or(-1),
        out: String::from_utf8_lossy(&done.stdout).into_owned(),
        err: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}
