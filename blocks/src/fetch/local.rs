//! Blocks from files of this machine: blocking code.

use super::{Shared, Wanted, report::Reporter};
use crate::{OutputReader, ReadError};
use bytes::Bytes;
use std::{path::Path, sync::atomic::Ordering};

/// Reads blocks and reports each.
pub(super) fn read(shared: &Shared, wanted: &[Wanted], blocks: &[usize], reporter: Reporter) {
    // The output read last: blocks of one output often follow each other.
    let mut output: Option<(&Wanted, OutputReader)> = None;
    for i in blocks {
        if !reporter.is_wanted() {
            break;
        }
        let read = read_block(&wanted[*i], &mut output);
        if let Ok(bytes) = &read {
            shared.local.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        reporter.block(*i, read.map_err(Into::into));
    }
    reporter.end(None);
}

fn read_block<'a>(wanted: &'a Wanted, output: &mut Option<(&'a Wanted, OutputReader)>) -> Result<Bytes, ReadError> {
    let same = |of: &Wanted| of.id.output == wanted.id.output && of.location.directory == wanted.location.directory;
    let reader = match output.take().filter(|(of, _)| same(of)) {
        Some((_, reader)) => reader,
        None => OutputReader::open(Path::new(&wanted.location.directory), &wanted.id.output)?,
    };
    let read = reader.read_sized(wanted.id.reduce, wanted.size);
    *output = Some((wanted, reader));
    read
}
