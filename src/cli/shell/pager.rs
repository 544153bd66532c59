//! Results that are longer or wider than the screen.
//!
//! ```text
//! held ── it fits, and ends ──> printed
//!  └───── too long ──> paged ──┬── the pager is quit ──> the rest is dropped
//!                              └── the pager could not be run ──> printed, and no paging any more
//! ```

use super::{super::target::Target, output, screen};
use std::{
    env,
    io::{self, Write},
    mem,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use unicode_width::UnicodeWidthStr;

/// Leaves what fits on the screen, cuts what is too wide instead of folding it, and knows colours.
const DEFAULT: &str = "less -SRFX";

/// Bytes of a character of a screen, at most.
const CHARACTER_BYTES: usize = 4;

/// More bytes than a pipe takes that nobody reads: 64 KiB on most machines, 1 MiB where pages are large. Whoever has more
/// was there to read them.
const UNREAD_BYTES: usize = 1 << 20;

/// What the system's shell exits with when it cannot run a command, and when it does not find it.
const NOT_RUN: [i32; 2] = [126, 127];

/// What `.pager` says.
#[derive(Clone, Debug)]
pub(super) struct Paging {
    on: bool,
    /// A command for the system's shell.
    command: String,
    /// It could not be run.
    missing: Arc<AtomicBool>,
}

impl Paging {
    /// `$PAGER`, else `less`.
    pub(super) fn from_env() -> Self {
        let asked = env::var("PAGER").ok().filter(|command| !command.trim().is_empty());
        let smart = env::var("TERM").is_ok_and(|term| term != "dumb" && !term.is_empty());
        Self { on: smart, command: asked.unwrap_or_else(|| DEFAULT.into()), missing: Arc::default() }
    }

    /// The command, unless paging is off.
    pub(super) fn command(&self) -> Option<&str> {
        (self.on && !self.missing.load(Ordering::SeqCst)).then_some(&*self.command)
    }

    /// Turns paging on or off.
    pub(super) fn switch(&mut self, on: bool) {
        self.on = on;
        self.missing.store(false, Ordering::SeqCst);
    }

    /// Turns it on, with another command.
    pub(super) fn choose(&mut self, command: &str) {
        command.clone_into(&mut self.command);
        self.switch(true);
    }

    /// Where rows go that a person looks at.
    pub(super) fn target(&self) -> Option<Target> {
        let (rows, columns) = screen::size().filter(|_| self.command().is_some())?;
        let (reader_left, paged) = (Arc::default(), Arc::default());
        let pager = Pager {
            paging: self.clone(),
            rows: usize::from(rows).saturating_sub(1),
            columns: usize::from(columns),
            state: State::Held(Vec::new()),
            paged: Arc::clone(&paged),
            reader_left: Arc::clone(&reader_left),
        };
        Some(Target::pager(Box::new(pager), paged, reader_left))
    }
}

enum State {
    /// It may still fit on the screen.
    Held(Vec<u8>),
    /// The pager has it.
    Paged {
        child: Child,
        /// What it was given, until it is certain that somebody reads it.
        given: Option<Vec<u8>>,
    },
    /// There is no pager: it goes to the terminal.
    Printed,
}

/// Holds text back while it fits on the screen; starts the pager when it does not.
struct Pager {
    paging: Paging,
    rows: usize,
    columns: usize,
    state: State,
    paged: Arc<AtomicBool>,
    reader_left: Arc<AtomicBool>,
}

impl Pager {
    /// Whether what is held fits on the screen. Only asked while it is small: it is no longer held once it does not fit.
    fn fits(&self, held: &[u8]) -> bool {
        let text = String::from_utf8_lossy(held);
        text.lines().count() <= self.rows && text.lines().all(|line| line.width() <= self.columns)
    }

    /// Bytes that fill the screen, whatever they are: some results have no line that ends.
    const fn screenful(&self) -> usize {
        self.rows * self.columns * CHARACTER_BYTES
    }

    fn start(&mut self) -> io::Result<()> {
        // Through the system's shell, as PAGER may have arguments of its own.
        let command = &self.paging.command;
        let child = Command::new("sh").arg("-c").arg(command).stdin(Stdio::piped()).spawn()?;
        self.paged.store(true, Ordering::SeqCst);
        let State::Held(held) = mem::replace(&mut self.state, State::Paged { child, given: Some(Vec::new()) }) else {
            return Ok(());
        };
        self.feed(&held)
    }

    fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        let State::Paged { child, given } = &mut self.state else { return Ok(()) };
        let Some(stdin) = &mut child.stdin else { return Ok(()) };
        if let Some(given) = given {
            given.extend_from_slice(bytes);
        }
        match stdin.write_all(bytes) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => self.ended(),
            done => {
                if given.as_ref().is_some_and(|given| given.len() > UNREAD_BYTES) {
                    *given = None;
                }
                done
            }
        }
    }

    /// The pager reads no more, or is to read no more: waits for its end, and prints what it was given if it never ran.
    fn ended(&mut self) -> io::Result<()> {
        let State::Paged { child, given } = &mut self.state else { return Ok(()) };
        drop(child.stdin.take());
        let code = child.wait().ok().and_then(|status| status.code());
        self.paged.store(false, Ordering::SeqCst);
        match given.take() {
            Some(given) if code.is_some_and(|code| NOT_RUN.contains(&code)) => {
                self.paging.missing.store(true, Ordering::SeqCst);
                self.state = State::Printed;
                io::stdout().lock().write_all(&given)
            }
            _ => {
                self.reader_left.store(true, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Held(held) => {
                held.extend_from_slice(bytes);
                let held = mem::take(held);
                // Most writes are small: whether it fits is asked when a line ends.
                let is_long = held.len() > self.screenful() || bytes.contains(&b'\n') && !self.fits(&held);
                self.state = State::Held(held);
                if is_long {
                    self.start()?;
                }
            }
            State::Paged { .. } => self.feed(bytes)?,
            State::Printed => io::stdout().lock().write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing.
        match &self.state {
            State::Held(held) => drop(io::stdout().lock().write_all(held)),
            // Its end of input; then whoever reads takes their time.
            State::Paged { .. } => drop(self.ended()),
            State::Printed => {}
        }
        let _ = io::stdout().flush();
        if matches!(self.state, State::Printed) {
            // Below the rows, where it is seen.
            let command = &self.paging.command;
            output::remark(&format!(
                "the pager {command:?} cannot be run, so rows are printed as they are from now on; .pager COMMAND names another"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pager(command: &str) -> Pager {
        let paging = Paging { on: true, command: command.to_owned(), missing: Arc::default() };
        let (paged, reader_left) = (Arc::default(), Arc::default());
        Pager { paging, rows: 10, columns: 20, state: State::Held(Vec::new()), paged, reader_left }
    }

    #[test]
    fn a_result_of_one_line_is_not_held_without_end() {
        let mut pager = pager("cat >/dev/null");
        for _ in 0..pager.screenful() / 4 {
            pager.write_all(b"[1],").unwrap();
        }
        assert!(matches!(pager.state, State::Held(_)));
        pager.write_all(b"[1],").unwrap();
        assert!(matches!(pager.state, State::Paged { .. }));
    }

    #[test]
    fn a_pager_that_is_quit_wants_no_more() {
        let mut pager = pager("true");
        pager.write_all(&[b'\n'; 100]).unwrap();
        while !pager.reader_left.load(Ordering::SeqCst) {
            pager.write_all(b"more\n").unwrap();
        }
        assert!(pager.paging.command().is_some());
    }
}
