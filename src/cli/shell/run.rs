//! Statements, run one after the other.

use super::{
    super::{
        rows::{self, Trouble, Written},
        signals::{Asked, Stop},
        source::{Source, gives_rows},
        target::{Target, apart},
    },
    Next, Shell, output, report,
};
use hearth::{Context, QueryRun};
use hearth_plan::{Statement, format::Format};
use std::{sync::atomic::Ordering, time::Instant};
use tokio::sync::oneshot;

/// How a statement ended.
enum End {
    Done,
    /// It, and those after it, are not to run.
    Stop,
    LeaveAtOnce(Asked),
}

impl Shell {
    /// Runs the statements of a text, until one fails.
    pub(super) fn run_source(&mut self, source: &Source) -> Next {
        let shared = std::sync::Arc::clone(&self.context);
        let Ok(mut context) = shared.try_lock_owned() else { return Next::Leave };
        let Some(context) = context.as_mut() else { return Next::Leave };
        let statements = match context.statements(&source.text) {
            Ok(statements) => statements,
            Err(error) => {
                output::remark(&report::with_line(&source.named(&error), &source.text));
                return Next::Prompt;
            }
        };
        for (place, statement) in statements.iter().enumerate() {
            // What goes wrong, with the line of the text that it is about.
            let told = |message: &str| report::with_line(&source.locate(place, &statements, message), &source.text);
            match self.statement(context, statement, &told) {
                End::Done => {}
                End::Stop => break,
                End::LeaveAtOnce(signal) => return Next::LeaveAtOnce(signal),
            }
        }
        Next::Prompt
    }

    fn statement(&mut self, context: &mut Context, statement: &Statement, told: &dyn Fn(&str) -> String) -> End {
        let begun = Instant::now();
        self.statements += 1;
        let handle = self.runtime.handle().clone();
        let mut written = Written::default();
        let ran = handle.block_on(self.run(context, statement, &mut written));
        let rows = written.rows;
        let seconds = begun.elapsed().as_secs_f64();
        match ran {
            Ok(query) => {
                if self.verbose {
                    for stage in query.stages() {
                        output::remark(&format!("  {stage}"));
                    }
                }
                if self.timing {
                    output::remark(&summary(&query, rows, seconds));
                }
                End::Done
            }
            Err(Trouble::Ended(signal)) => End::LeaveAtOnce(signal),
            Err(Trouble::Cancelled) => {
                output::remark(&format!("cancelled after {} and {seconds:.3} s", count(rows, "row")));
                End::Stop
            }
            Err(Trouble::Output(message)) => {
                output::remark(&told(&message));
                End::Stop
            }
            Err(Trouble::Query(error)) => {
                output::remark(&told(&error.to_string()));
                if error.ends_application() {
                    self.lost = true;
                    output::remark(
                        "this application is over; the next statement starts another, with the same tables and settings",
                    );
                }
                End::Stop
            }
        }
    }

    /// Runs a statement.
    async fn run(
        &mut self,
        context: &mut Context,
        statement: &Statement,
        written: &mut Written,
    ) -> Result<QueryRun, Trouble> {
        let mut stop = Stop::listen().map_err(|failure| Trouble::Output(failure.message))?;
        if self.lost {
            tokio::select! {
                done = context.reconnect() => done.map_err(Trouble::Query)?,
                signal = stop.next() => return Err(given_up(signal)),
            }
            self.lost = false;
            output::remark("connected again");
        }
        let mut query = tokio::select! {
            query = context.run(statement) => query.map_err(Trouble::Query)?,
            signal = stop.next() => return Err(given_up(signal)),
        };
        // A count of rows that were written elsewhere does not take the only place of such a file.
        let counts = self.format.is_binary() && !gives_rows(statement);
        if self.format.is_binary() && !counts && !query.schema().fields().is_empty() {
            self.has_room()?;
        }
        if let Some(mut file) = if counts { None } else { self.file.take() } {
            let done = until_interrupted(&mut query, self.format, &file.target, written, &mut stop).await;
            file.results += u32::from(written.begun);
            match &done {
                // It goes, with the shell.
                Err(Trouble::Ended(_)) => {}
                Err(Trouble::Query(_) | Trouble::Output(_)) if written.begun => {
                    output::remark(&file.spoiled());
                    self.format = self.screen;
                }
                _ => drop(self.file.replace(file)),
            }
            return done.map(|()| query);
        }
        let screen = match self.paging.target() {
            Some(target) => target,
            None => Target::open(None).map_err(|failure| Trouble::Output(failure.message))?,
        };
        let format = if counts { Format::default() } else { self.format };
        let done = until_interrupted(&mut query, format, &screen, written, &mut stop).await;
        if matches!(done, Err(Trouble::Ended(_))) {
            return done.map(|()| query);
        }
        // Shows what was held back, and waits until the pager is quit, whose keys these are.
        let mut shown = std::pin::pin!(apart(move || screen.finish()));
        loop {
            tokio::select! {
                shown = &mut shown => break shown.map_err(|failure| Trouble::Output(failure.message))?,
                signal = stop.next() => if signal == Asked::Terminate { return Err(Trouble::Ended(signal)) },
            }
        }
        done.map(|()| query)
    }

    /// Whether a result of bytes for programs has somewhere to go.
    fn has_room(&self) -> Result<(), Trouble> {
        let format = self.format;
        match self.file.results() {
            Some(0) => Ok(()),
            None => Err(Trouble::Output(format!("{format} is nothing for a terminal; say .output FILE first"))),
            Some(_) => {
                let text = format!("a {format} file has room for one result; say .output FILE for another");
                Err(Trouble::Output(text))
            }
        }
    }
}

/// What a signal makes of a statement that has no rows yet.
const fn given_up(signal: Asked) -> Trouble {
    match signal {
        Asked::Interrupt => Trouble::Cancelled,
        Asked::Terminate => Trouble::Ended(signal),
    }
}

/// Writes the rows. The first SIGINT cancels the query; another, or SIGTERM, ends everything. While a pager shows the rows,
/// Ctrl-C is a key of its own.
async fn until_interrupted(
    query: &mut QueryRun,
    format: Format,
    target: &Target,
    written: &mut Written,
    stop: &mut Stop,
) -> Result<(), Trouble> {
    let (cancel, cancelled) = oneshot::channel::<()>();
    let interrupted = async move {
        if cancelled.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let paged = target.paged();
    let mut write = std::pin::pin!(rows::write(query, format, target, written, interrupted));
    let mut cancel = Some(cancel);
    loop {
        tokio::select! {
            done = &mut write => return done,
            signal = stop.next() => {
                if signal == Asked::Interrupt && paged.load(Ordering::SeqCst) {
                    continue;
                }
                match (signal, cancel.take()) {
                    (Asked::Interrupt, Some(cancel)) => {
                        output::remark("cancelling; Ctrl-C again leaves at once");
                        // If nobody listens, it is over.
                        let _ = cancel.send(());
                    }
                    _ => return Err(Trouble::Ended(signal)),
                }
            }
        }
    }
}

/// `3 rows in 0.120 s: 2 stages, 9 tasks`.
fn summary(query: &QueryRun, rows: u64, seconds: f64) -> String {
    let stages = query.stages();
    let tasks: u32 = stages.iter().map(|stage| stage.tasks).sum();
    let what = if query.schema().fields().is_empty() { "done".into() } else { count(rows, "row") };
    let place = match stages.len() {
        0 => "in the driver".into(),
        n => format!("{}, {}", count(n as u64, "stage"), count(u64::from(tasks), "task")),
    };
    format!("{what} in {seconds:.3} s: {place}")
}

pub(super) fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
