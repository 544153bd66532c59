//! Disks with outputs on them. Whoever reads finds there what is there at that time, and nothing else.

use super::{graph::Origin, graph::Output, node::NodeId};
use hearth_core::{ShuffleId, TaskId, messages::task::FetchCause};
use std::{collections::BTreeMap, rc::Rc};

/// The name of an output: whose driver's, and which.
pub(super) type Key = (NodeId, File);

/// What lies on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum File {
    /// What one attempt at a map partition wrote.
    Map(ShuffleId, u32, TaskId),
    /// The rows of a result that was too large for a message.
    Result(TaskId),
}

/// What a file holds.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Blocks(Rc<Output>),
    Row(u64, Rc<Vec<Origin>>),
    /// Not what was written.
    Damaged,
}

/// The outputs in one place.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: BTreeMap<Key, Content>,
}

impl Disk {
    pub(super) fn write(&mut self, key: Key, content: Content) {
        self.files.insert(key, content);
    }

    pub(super) fn blocks(&self, key: &Key) -> Result<&Rc<Output>, FetchCause> {
        match self.files.get(key) {
            Some(Content::Blocks(output)) => Ok(output),
            Some(Content::Damaged) => Err(FetchCause::CorruptOnDisk),
            Some(Content::Row(..)) | None => Err(FetchCause::NotFound),
        }
    }

    pub(super) fn row(&self, key: &Key) -> Result<(u64, Vec<Origin>), FetchCause> {
        match self.files.get(key) {
            Some(Content::Row(row, origins)) => Ok((*row, origins.to_vec())),
            Some(Content::Damaged) => Err(FetchCause::CorruptOnDisk),
            Some(Content::Blocks(_)) | None => Err(FetchCause::NotFound),
        }
    }

    /// Something becomes of one file that nobody wanted.
    pub(super) fn damage(&mut self, which: usize) {
        if let Some(content) = self.files.values_mut().nth(which) {
            *content = Content::Damaged;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Removes outputs of an application's driver.
    pub(super) fn remove(&mut self, of: NodeId, shuffles: &[ShuffleId], results: &[TaskId]) {
        self.files.retain(|(owner, file), _| {
            *owner != of
                || match file {
                    File::Map(shuffle, ..) => !shuffles.contains(shuffle),
                    File::Result(task) => !results.contains(task),
                }
        });
    }

    /// Removes all of an application's driver.
    pub(super) fn remove_all(&mut self, of: NodeId) {
        self.files.retain(|(owner, _), _| *owner != of);
    }

    pub(super) fn clear(&mut self) {
        self.files.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whose outputs are here.
    pub(super) fn owners(&self) -> impl Iterator<Item = NodeId> {
        self.files.keys().map(|(owner, _)| *owner)
    }
}
