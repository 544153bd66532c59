//! A program on a pseudo terminal, and what a person would see there.

use hearth_integration::real::PATIENCE;
use rexpect::process::{PtyProcess, Signal, WaitStatus};
use rustix::termios::{Winsize, tcsetwinsize};
use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    process::Command,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// A session on a pseudo terminal.
pub(crate) struct Terminal {
    process: PtyProcess,
    keys: File,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
}

/// High enough that nothing of a test scrolls away, and that no result is long enough for a pager.
const ROWS: u16 = 400;
const COLUMNS: u16 = 120;

impl Terminal {
    /// Starts a program.
    pub(crate) fn start(command: Command) -> Self {
        Self::start_sized(command, ROWS)
    }

    /// Starts a program on a screen of so many rows.
    pub(crate) fn start_sized(command: Command, rows: u16) -> Self {
        let mut process = PtyProcess::new(command).expect("a pseudo terminal");
        process.set_kill_timeout(Some(10_000));
        let keys = process.get_file_handle().expect("its other end");
        let size = Winsize { ws_row: rows, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&keys, size).expect("a size");
        let mut reader = process.get_file_handle().expect("its other end");
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The terminal breaks when nobody has it open any more.
            while let Ok(n) = reader.read(&mut buffer) {
                if n == 0 || sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { process, keys, output, screen: vt100::Parser::new(at_least_one(rows), at_least_one(COLUMNS), 0) }
    }

    /// Types keys.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal is open");
    }

    /// Types a line, and waits until the next prompt stands there.
    pub(crate) fn line(&mut self, line: &str) -> String {
        let prompts = self.prompts();
        let before = self.text().len();
        self.keys(line);
        self.keys("\r");
        self.until(&format!("a prompt after {line:?}"), |text| count_prompts(text) > prompts && ends_with_prompt(text));
        self.text().get(before..).unwrap_or_default().to_owned()
    }

    /// What is on the screen.
    pub(crate) fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// How many prompts are on the screen.
    pub(crate) fn prompts(&self) -> usize {
        count_prompts(&self.text())
    }

    /// Waits until the screen is as expected.
    pub(crate) fn until(&mut self, what: &str, expected: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !expected(&self.text()) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            assert!(!left.is_zero(), "this never came: {what}; the screen:\n{}", self.text());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.show(&bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the session ended before this came: {what}; the screen:\n{}", self.text())
                }
            }
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        // The line editor asks where the cursor is before it draws a prompt; a terminal answers.
        for _ in 0..bytes.windows(4).filter(|w| w == b"\x1b[6n").count() {
            let (row, column) = self.screen.screen().cursor_position();
            self.keys(&format!("\x1b[{};{}R", row + 1, column + 1));
        }
    }

    /// Waits for a prompt, as only there a key is a key and no signal.
    pub(crate) fn prompt(&mut self) {
        self.until("a prompt", ends_with_prompt);
    }

    /// Leaves from the prompt; gives the exit code.
    pub(crate) fn leave(mut self, keys: &str) -> i32 {
        self.prompt();
        self.keys(keys);
        self.end()
    }

    /// Waits until the program has ended by itself; gives its exit code.
    pub(crate) fn end(mut self) -> i32 {
        let begun = Instant::now();
        loop {
            while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(20)) {
                self.show(&bytes);
            }
            match self.process.status() {
                Some(WaitStatus::Exited(_, code)) => return code,
                Some(WaitStatus::StillAlive) => {}
                other => panic!("the program ended so: {other:?}; the screen:\n{}", self.text()),
            }
            assert!(begun.elapsed() < PATIENCE, "it did not end; the screen:\n{}", self.text());
        }
    }

    /// The process id is the application's driver.
    pub(crate) fn signal_term(&mut self) {
        self.process.signal(Signal::SIGTERM).expect("it lives");
    }
}

fn at_least_one(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).expect("a screen has rows and columns")
}

fn count_prompts(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("hearth>")).count()
}

fn ends_with_prompt(text: &str) -> bool {
    text.trim_end().lines().last().is_some_and(|line| line.trim_end() == "hearth>")
}
