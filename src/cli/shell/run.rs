//! Statements, run one after the other.

use super::{
    super::{
        rows::{self, Trouble},
        signals::Stop,
    },
    Next, Shell, output, report,
};
use crate::cli::target::Target;
use hearth::{Context, QueryRun};
use hearth_plan::Statement;
use std::time::Instant;
use tokio::sync::oneshot;

/// How a statement ended.
enum End {
    Done,
    /// It, and those after it, are not to run.
    Stop,
    LeaveAtOnce,
}

impl Shell {
    /// Runs the statements of a text, until one fails.
    pub(super) fn run_text(&mut self, text: &str) -> Next {
        let shared = std::sync::Arc::clone(&self.context);
        let Ok(mut context) = shared.try_lock_owned() else { return Next::Leave };
        let Some(context) = context.as_mut() else { return Next::Leave };
        let statements = match context.statements(text) {
            Ok(statements) => statements,
            Err(error) => {
                output::remark(&report::with_line(&error.to_string(), text));
                return Next::Prompt;
            }
        };
        for statement in &statements {
            match self.statement(context, statement, text) {
                End::Done => {}
                End::Stop => break,
                End::LeaveAtOnce => return Next::LeaveAtOnce,
            }
        }
        Next::Prompt
    }

    fn statement(&mut self, context: &mut Context, statement: &Statement, text: &str) -> End {
        let begun = Instant::now();
        self.statements += 1;
        let handle = self.runtime.handle().clone();
        let mut rows = 0;
        let ran = handle.block_on(self.run(context, statement, &mut rows));
        let seconds = begun.elapsed().as_secs_f64();
        match ran {
            Ok(Some(query)) => {
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
            Ok(None) => End::LeaveAtOnce,
            Err(Trouble::Cancelled) => {
                output::remark(&format!("cancelled after {} and {seconds:.3} s", count(rows, "row")));
                End::Stop
            }
            Err(Trouble::Output(message)) => {
                output::remark(&format!("error: {message}"));
                End::Stop
            }
            Err(Trouble::Query(error)) => {
                output::remark(&report::with_line(&error.to_string(), text));
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

    /// Runs a statement; nothing when the user does not wait for its end.
    async fn run(
        &mut self,
        context: &mut Context,
        statement: &Statement,
        rows: &mut u64,
    ) -> Result<Option<QueryRun>, Trouble> {
        let mut stop = Stop::listen().map_err(|failure| Trouble::Output(failure.message))?;
        if self.lost {
            tokio::select! {
                done = context.reconnect() => done.map_err(Trouble::Query)?,
                _ = stop.next() => return Err(Trouble::Cancelled),
            }
            self.lost = false;
            output::remark("connected again");
        }
        let mut query = tokio::select! {
            query = context.run(statement) => query.map_err(Trouble::Query)?,
            _ = stop.next() => return Err(Trouble::Cancelled),
        };
        let has_rows = !query.schema().fields().is_empty();
        if self.format.is_binary() && has_rows {
            let full = match &self.target {
                None => Some(format!("{} is nothing for a terminal; say .output FILE first", self.format)),
                Some((_, 0)) => None,
                Some(_) => {
                    Some(format!("a {} file has room for one result; say .output FILE for another", self.format))
                }
            };
            if let Some(message) = full {
                return Err(Trouble::Output(message));
            }
        }
        let format = self.format;
        let mut screen = None;
        let target = match &mut self.target {
            Some((target, results)) => {
                *results += u32::from(has_rows);
                target
            }
            None => screen.insert(match self.paging.target() {
                Some(target) => target,
                None => Target::open(None).map_err(|failure| Trouble::Output(failure.message))?,
            }),
        };
        let done = until_interrupted(&mut query, format, target, rows, &mut stop).await;
        if let Some(screen) = screen {
            // Shows what was held back, and waits until the pager is quit.
            screen.finish().map_err(|failure| Trouble::Output(failure.message))?;
        }
        match done {
            Some(done) => done.map(|()| Some(query)),
            None => Ok(None),
        }
    }
}

/// Writes the rows. The first SIGINT cancels the query; nothing once there is another, or SIGTERM.
async fn until_interrupted(
    query: &mut QueryRun,
    format: hearth_plan::format::Format,
    target: &mut Target,
    rows: &mut u64,
    stop: &mut Stop,
) -> Option<Result<(), Trouble>> {
    let (cancel, cancelled) = oneshot::channel::<()>();
    let interrupted = async move {
        if cancelled.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let write = rows::write(query, format, target, rows, interrupted);
    tokio::pin!(write);
    let mut cancel = Some(cancel);
    loop {
        tokio::select! {
            done = &mut write => return Some(done),
            signal = stop.next() => match (signal, cancel.take()) {
                ("SIGINT", Some(cancel)) => {
                    output::remark("cancelling; Ctrl-C again leaves at once");
                    // If nobody listens, it is over.
                    let _ = cancel.send(());
                }
                _ => return None,
            },
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
