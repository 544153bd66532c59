//! `hearth sql` on a terminal: a shell.
//!
//! ```text
//!            ┌──────────── prompt ─────────────┐
//! readline ──┤ .command ──> commands           ├──> prompt …
//!            └ statements ──> run ── Ctrl-C ──> cancelled
//! ```
//!
//! States, and what Ctrl-C is in each:
//! - at the prompt the terminal is raw and it is a key: it clears what was typed; twice on an empty line it leaves;
//! - while a query runs it is SIGINT: the first cancels the query, whose rows so far are shown; a second one leaves;
//! - in the pager it is the pager's, which ends the query when it is quit.
//!
//! What holds: an error never ends the shell; an application that is over (its master forgot it, or ended it) is replaced
//! before the next statement, with the tables, views and settings of this session; what looks like a secret is not kept.
//!
//! `integration/tests/shell/main.rs` drives a real session on a pseudo terminal: read it first.

mod candidates;
mod commands;
mod file;
mod helper;
mod history;
mod keywords;
mod mentions;
mod pager;
mod paint;
mod report;
mod run;
mod screen;
mod status;

use super::{
    Failure, logging, output,
    signals::{Asked, Stop},
    source::Source,
    sql::connect_failure,
};
use file::{File, OpenFile};
use hearth::{ApplicationState, Context};
use hearth_core::conf::Conf;
use hearth_plan::format::Format;
use helper::ShellHelper;
use history::History;
use pager::Paging;
use rustyline::{CompletionType, Config, Editor, ExternalPrinter, error::ReadlineError, history::FileHistory};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::Instant,
};
use tokio::{runtime::Runtime, sync::Mutex};

/// What a shell is told before it starts.
#[derive(Debug)]
pub(super) struct Options {
    /// How rows are printed, until `.format` says otherwise.
    pub(super) format: Format,
    /// How they are printed on the terminal, once they do not go to a file any more.
    pub(super) screen: Format,
    /// Where they go, until `.output` says otherwise.
    pub(super) output: Option<PathBuf>,
    /// A directory of tables.
    pub(super) tables: Option<PathBuf>,
    /// Whether what is typed is kept.
    pub(super) history: bool,
    /// Whether stages are printed.
    pub(super) verbose: bool,
}

/// What goes on after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Prompt,
    Leave,
    /// Without waiting for anything.
    LeaveAtOnce(Asked),
}

/// The application, until somebody ends it: the shell, or a signal that comes while it waits for a key.
type Shared = Arc<Mutex<Option<Context>>>;

type Line = Editor<ShellHelper, FileHistory>;

/// A running shell.
struct Shell {
    runtime: Runtime,
    context: Shared,
    conf: Conf,
    editor: Line,
    /// Prints above the prompt; nobody where the terminal cannot.
    above: Option<Sender<String>>,
    history: History,
    paging: Paging,
    format: Format,
    timing: bool,
    verbose: bool,
    /// The file of `.output`.
    file: File,
    /// The terminal's format, while there is a file.
    screen: Format,
    /// The application is over; the next statement needs another.
    lost: bool,
    begun: Instant,
    statements: u64,
}

const PROMPT: &str = "hearth> ";

/// Runs a shell until it is left.
pub(super) fn run(conf: Conf, options: Options) -> Result<(), Failure> {
    let file = File::default();
    if let Some(path) = &options.output {
        file.replace(OpenFile::open(path)?);
    }
    let runtime = super::runtime(2)?;
    let context = runtime.block_on(connect(conf.clone(), &options))?;
    let empty = Arc::new(AtomicBool::new(true));
    let helper = ShellHelper::new(context.planner(), runtime.handle().clone(), Arc::clone(&empty));
    let mut editor = Editor::with_config(editing()?).map_err(|e| Failure::failed(format!("the terminal: {e}")))?;
    editor.set_helper(Some(helper));
    let history = History::open(options.history, &mut editor);
    let above = printer(&mut editor);
    let mut shell = Shell {
        runtime,
        context: Arc::new(Mutex::new(Some(context))),
        conf,
        editor,
        above,
        history,
        paging: Paging::from_env(),
        format: options.format,
        timing: true,
        verbose: options.verbose,
        file,
        screen: options.screen,
        lost: false,
        begun: Instant::now(),
        statements: 0,
    };
    output::remark(&format!(
        "Hearth {} on {}. A statement ends with ;  .help says more.",
        env!("CARGO_PKG_VERSION"),
        shell.master()
    ));
    let at_prompt = screen::leave_on_signal(&shell.runtime, &shell.context, &shell.file)?;
    let end = shell.prompts(&empty, &at_prompt);
    shell.leave(end)
}

async fn connect(conf: Conf, options: &Options) -> Result<Context, Failure> {
    let mut stop = Stop::listen()?;
    let connect = async {
        let context = Context::connect(conf).await.map_err(connect_failure)?;
        if let Some(dir) = &options.tables {
            context.register_tables(dir).await.map_err(Failure::failed)?;
        }
        Ok(context)
    };
    tokio::select! {
        context = connect => context,
        signal = stop.next() => Err(Failure::ended_by(signal)),
    }
}

/// Prints lines above the prompt. A thread of its own waits for the editor to take them, so that nobody who logs does.
fn printer(editor: &mut Line) -> Option<Sender<String>> {
    let mut printer = editor.create_external_printer().ok()?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || lines.into_iter().try_for_each(|line| printer.print(line)));
    Some(sender)
}

fn editing() -> Result<Config, Failure> {
    let config = Config::builder()
        .max_history_size(history::MAX_ENTRIES)
        .and_then(|config| config.history_ignore_dups(true))
        .map_err(|e| Failure::failed(format!("the line editor: {e}")))?;
    Ok(config.completion_type(CompletionType::List).auto_add_history(false).build())
}

impl Shell {
    /// Reads lines until it is to be left.
    fn prompts(&mut self, empty: &AtomicBool, at_prompt: &AtomicBool) -> Next {
        let mut warned = false;
        loop {
            empty.store(true, Ordering::Relaxed);
            at_prompt.store(true, Ordering::SeqCst);
            logging::above_prompt(self.above.clone());
            let read = self.editor.readline(PROMPT);
            logging::above_prompt(None);
            at_prompt.store(false, Ordering::SeqCst);
            match read {
                Ok(line) => {
                    warned = false;
                    match self.take(line.trim()) {
                        Next::Prompt => {}
                        leave => return leave,
                    }
                }
                Err(ReadlineError::Interrupted) if !empty.load(Ordering::Relaxed) => warned = false,
                Err(ReadlineError::Interrupted) if warned => return Next::Leave,
                Err(ReadlineError::Interrupted) => {
                    warned = true;
                    output::remark("Ctrl-C again leaves, as .quit and Ctrl-D do");
                }
                // The window changed its size.
                Err(ReadlineError::Signal(_)) => {}
                Err(ReadlineError::Eof) => return Next::Leave,
                Err(error) => {
                    output::complain(&format!("the terminal: {error}"));
                    return Next::Leave;
                }
            }
        }
    }

    /// Does what one line, or several that were typed as one, says.
    fn take(&mut self, line: &str) -> Next {
        if line.is_empty() {
            return Next::Prompt;
        }
        self.history.keep(&mut self.editor, line);
        match commands::of_line(line) {
            Some(command) => self.command(&command),
            None => self.run_source(&Source::typed(line)),
        }
    }

    /// Ends the application.
    fn leave(self, how: Next) -> Result<(), Failure> {
        if let Next::LeaveAtOnce(signal) = how {
            // Executors end when they see that their driver is gone.
            self.runtime.shutdown_background();
            return Err(Failure::ended_by(signal));
        }
        let finished = self.file.take().map_or(Ok(()), OpenFile::close);
        let context = self.runtime.block_on(async { self.context.lock().await.take() });
        if let Some(context) = context {
            self.runtime.block_on(async {
                let mut stop = Stop::listen()?;
                tokio::select! {
                    () = context.stop(ApplicationState::Finished, "") => Ok(()),
                    signal = stop.next() => Err(Failure::ended_by(signal)),
                }
            })?;
        }
        finished
    }
}
