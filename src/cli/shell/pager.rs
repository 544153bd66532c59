//! Results that are longer or wider than the screen.

use super::{super::target::Target, screen};
use std::{
    env,
    io::{self, Write},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use unicode_width::UnicodeWidthStr;

/// Leaves what fits on the screen, cuts what is too wide instead of folding it, and knows colours.
const DEFAULT: &str = "less -SRFX";

/// What `.pager` says.
#[derive(Clone, Debug)]
pub(super) struct Paging {
    pub(super) on: bool,
    /// A command for the system's shell.
    pub(super) command: String,
}

impl Paging {
    /// `$PAGER`, else `less`.
    pub(super) fn from_env() -> Self {
        let asked = env::var("PAGER").ok().filter(|command| !command.trim().is_empty());
        let smart = env::var("TERM").is_ok_and(|term| term != "dumb" && !term.is_empty());
        Self { on: smart, command: asked.unwrap_or_else(|| DEFAULT.into()) }
    }

    /// Where rows go that a person looks at.
    pub(super) fn target(&self) -> Option<Target> {
        let (rows, columns) = screen::size().filter(|_| self.on)?;
        let reader_left = Arc::new(AtomicBool::new(false));
        let pager = Pager {
            command: self.command.clone(),
            rows: usize::from(rows).saturating_sub(1),
            columns: usize::from(columns),
            held: Vec::new(),
            child: None,
            reader_left: Arc::clone(&reader_left),
        };
        Some(Target::pager(Box::new(pager), reader_left))
    }
}

/// Holds text back while it fits on the screen; starts the pager when it does not.
struct Pager {
    command: String,
    rows: usize,
    columns: usize,
    held: Vec<u8>,
    child: Option<Child>,
    reader_left: Arc<AtomicBool>,
}

impl Pager {
    /// Whether what is held fits on the screen. Only asked while it is small: it is no longer held once it does not fit.
    fn fits(&self) -> bool {
        let text = String::from_utf8_lossy(&self.held);
        text.lines().count() <= self.rows && text.lines().all(|line| line.width() <= self.columns)
    }

    fn start(&mut self) -> io::Result<()> {
        // Through the system's shell, as PAGER may have arguments of its own.
        let child = Command::new("sh").arg("-c").arg(&self.command).stdin(Stdio::piped()).spawn()?;
        self.child = Some(child);
        let held = std::mem::take(&mut self.held);
        self.feed(&held)
    }

    fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(stdin) = self.child.as_mut().and_then(|child| child.stdin.as_mut()) else { return Ok(()) };
        match stdin.write_all(bytes) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_left.store(true, Ordering::Relaxed);
                Ok(())
            }
            done => done,
        }
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.child.is_some() {
            self.feed(bytes)?;
            return Ok(bytes.len());
        }
        self.held.extend_from_slice(bytes);
        // Most writes are small: whether it fits is asked when a line ends.
        if bytes.contains(&b'\n') && !self.fits() {
            self.start()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        match &mut self.child {
            Some(child) => {
                // Its end of input; then whoever reads takes their time.
                drop(child.stdin.take());
                let _ = child.wait();
            }
            None => {
                // A terminal that is gone shows nothing.
                let _ = io::stdout().lock().write_all(&self.held);
                let _ = io::stdout().flush();
            }
        }
    }
}
