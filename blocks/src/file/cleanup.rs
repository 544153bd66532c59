//! Removing outputs that nobody needs any more.

use crate::OutputId;
use hearth_core::{ShuffleId, TaskId};
use std::{fs, io, path::Path};

/// Removes all files of these shuffles and results in `dir`, committed or not, and says how many. A directory that is not
/// there holds none. Goes on after an error, and then gives the first one.
pub fn remove_outputs(dir: &Path, shuffles: &[ShuffleId], results: &[TaskId]) -> io::Result<usize> {
    remove_where(dir, |name| {
        let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
        match stem.parse() {
            Ok(OutputId::Map { shuffle, .. } | OutputId::Replica { shuffle, .. }) => shuffles.contains(&shuffle),
            Ok(OutputId::Result { task }) => results.contains(&task),
            Err(_) => false,
        }
    })
}

fn remove_where(dir: &Path, unwanted: impl Fn(&str) -> bool) -> io::Result<usize> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(e),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().filter(|name| unwanted(name)) {
            names.push(name.to_owned());
        }
    }
    // An index goes before its data: no reader may find one without the other.
    names.sort_by_key(|name| !name.ends_with(".index"));
    let mut removed = 0;
    let mut first_error = None;
    for name in names {
        match fs::remove_file(dir.join(&name)) {
            Ok(()) => removed += 1,
            // A writer has just renamed or removed it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                first_error
                    .get_or_insert_with(|| io::Error::new(e.kind(), format!("{}: {e}", dir.join(&name).display())));
            }
        }
    }
    first_error.map_or(Ok(removed), Err)
}
