//! A query's rows, written as they come.

use super::{progress::Bars, target::Target};
use hearth::{Error, QueryRun};
use hearth_plan::format::{Format, Writer};
use std::{
    future::Future,
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
}

/// Writes the rows of a query, counting them in `rows`. Once `interrupted` is ready, the query is cancelled, and what has
/// come until then is written to its end, so that a table has its frame and an array its bracket.
pub(super) async fn write(
    query: &mut QueryRun,
    format: Format,
    target: &mut Target,
    rows: &mut u64,
    interrupted: impl Future<Output = ()>,
) -> Result<(), Trouble> {
    let bars = Bars::show(query.progress());
    let schema = query.schema();
    let (name, reader_left) = (target.name(), target.reader_left());
    let output = |e: &dyn std::fmt::Display| Trouble::Output(format!("{name}: {e}"));
    let takes_screen = target.takes_screen();
    // A statement such as SET or CREATE VIEW has no columns: it prints nothing.
    let mut unused = (!schema.fields().is_empty()).then_some(&mut target.stream);
    // A query that fails before its first row prints nothing either, no header.
    let mut writer = None;
    let mut begin = |writer: &mut Option<_>| -> Result<(), Trouble> {
        if let Some(stream) = unused.take() {
            *writer = Some(Writer::new(format, Arc::clone(&schema), stream).map_err(|e| output(&e))?);
        }
        Ok(())
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
                *rows += batch.num_rows() as u64;
                begin(&mut writer)?;
                let Some(writer) = &mut writer else { continue };
                if takes_screen {
                    bars.finish();
                }
                // Bars and rows share a terminal.
                bars.suspend(|| writer.write(&batch)).map_err(|e| output(&e))?;
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
    if end.is_ok() {
        begin(&mut writer)?;
    }
    // After a failure there is no whole table to finish, only a half one to abandon.
    if matches!(end, Ok(()) | Err(Trouble::Cancelled))
        && let Some(writer) = writer
    {
        writer.finish().map_err(|e| output(&e))?;
    }
    end
}
