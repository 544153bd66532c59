//! Blocks from files of this machine: blocking code.

use super::{Shared, Wanted, report::Reporter, spans::Span};
use crate::{OutputReader, ReadError};
use bytes::Bytes;
use std::{path::Path, sync::atomic::Ordering};

/// Reads spans and reports each.
pub(super) fn read(shared: &Shared, wanted: &[Wanted], spans: &[(usize, Span)], reporter: Reporter) {
    // The output read last: spans of one output often follow each other.
    let mut output: Option<(&Wanted, OutputReader)> = None;
    for (place, span) in spans {
        if !reporter.is_wanted() {
            break;
        }
        let read = read_span(&wanted[span.block], span, &mut output);
        if let Ok(bytes) = &read {
            shared.local.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        reporter.block(*place, read.map_err(Into::into));
    }
    reporter.end(None);
}

fn read_span<'a>(
    wanted: &'a Wanted,
    span: &Span,
    output: &mut Option<(&'a Wanted, OutputReader)>,
) -> Result<Bytes, ReadError> {
    let same = |of: &Wanted| of.id.output == wanted.id.output && of.location.directory == wanted.location.directory;
    let reader = match output.take().filter(|(of, _)| same(of)) {
        Some((_, reader)) => reader,
        None => OutputReader::open(Path::new(&wanted.location.directory), &wanted.id.output)?,
    };
    let read = reader.read_span(wanted.id.reduce, wanted.size, span.range());
    *output = Some((wanted, reader));
    read
}
