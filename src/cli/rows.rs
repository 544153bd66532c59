//! A query's rows, written as they come.

use super::{
    progress::Bars,
    signals::Asked,
    target::{Stream, Target, apart},
};
use hearth::{Error, QueryRun};
use hearth_plan::format::{Format, Writer};
use std::{
    future::Future,
    io::Write,
    sync::{Arc, atomic::Ordering},
};

/// Why the rows are not all written.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The query failed.
    Query(Error),
    /// They cannot be written.
    Output(String),
    /// It was interrupted; the rows that had come are written.
    Cancelled,
    /// A signal asks to end everything, now.
    Ended(Asked),
}

/// What was written of a result.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Rows that came.
    pub(super) rows: u64,
    /// Whether anything of it is in the target.
    pub(super) begun: bool,
}

/// Writes the rows of a query, counting them in `written`. Once `interrupted` is ready, the query is cancelled, and what has
/// come until then is written to its end, so that a table has its frame and an array its bracket. A reader who stops stops
/// this too, but blocks nobody: dropping it ends the query.
pub(super) async fn write(
    query: &mut QueryRun,
    format: Format,
    target: &Target,
    written: &mut Written,
    interrupted: impl Future<Output = ()>,
) -> Result<(), Trouble> {
    let bars = Bars::show(query.progress());
    let schema = query.schema();
    let (name, reader_left) = (target.name(), target.reader_left());
    let output = |e: &dyn std::fmt::Display| Trouble::Output(format!("{name}: {e}"));
    // A statement such as SET or CREATE VIEW has no columns: it prints nothing.
    let prints = !schema.fields().is_empty();
    // A query that fails before its first row prints nothing either, no header.
    let mut writer: Option<Writer<Stream>> = None;
    let begin = |begun: Option<Writer<Stream>>| {
        let (schema, stream) = (Arc::clone(&schema), target.stream.clone());
        move || begun.map_or_else(|| Writer::new(format, schema, stream), Ok)
    };
    tokio::pin!(interrupted);
    let mut cancelled = false;
    let end = loop {
        let next = tokio::select! {
            biased;
            () = &mut interrupted, if !cancelled => {
                cancelled = true;
                query.cancel("interrupted").await;
                continue;
            }
            next = query.next() => next,
        };
        match next {
            Some(Ok(batch)) => {
                written.rows += batch.num_rows() as u64;
                if !prints {
                    continue;
                }
                if target.takes_screen() {
                    // Bars and rows would share a terminal.
                    bars.finish();
                }
                written.begun = true;
                let begin = begin(writer.take());
                let wrote = apart(move || {
                    let mut writer = begin()?;
                    writer.write(&batch).map(|()| writer)
                });
                writer = Some(wrote.await.map_err(|e| output(&e))?);
                if reader_left.load(Ordering::Relaxed) {
                    // Nobody wants the rest: whoever drops the query cancels it.
                    break Ok(());
                }
            }
            Some(Err(_)) if cancelled => break Err(Trouble::Cancelled),
            Some(Err(error)) => break Err(Trouble::Query(error.into())),
            None => break Ok(()),
        }
    };
    bars.finish();
    // After a failure there is no whole table to finish, only a half one to abandon.
    let finishes = match &end {
        Ok(()) => prints,
        Err(Trouble::Cancelled) => writer.is_some(),
        Err(_) => false,
    };
    if finishes {
        written.begun = true;
        let begin = begin(writer);
        apart(move || begin()?.finish().map(drop)).await.map_err(|e| output(&e))?;
    }
    end
}

/// Writes out what was held back, without its target being finished.
pub(super) async fn flush(target: &Target) {
    let mut stream = target.stream.clone();
    // There is another failure to tell.
    let _ = apart(move || stream.flush()).await;
}
