//! What the tasks of a write know of it.

use prost::Message;

/// What the tasks of a write know of it. Tags are never used again for another meaning.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Spec {
    /// The write's name, which no other has. Part of the names of its files.
    #[prost(string, tag = "1")]
    pub(crate) write: String,
    #[prost(oneof = "StagingPlace", tags = "2, 6")]
    pub(crate) staging: Option<StagingPlace>,
    /// What the names of its files end with, the dot included.
    #[prost(string, tag = "3")]
    pub(crate) suffix: String,
    /// The columns whose values are folders.
    #[prost(string, repeated, tag = "4")]
    pub(crate) partition_by: Vec<String>,
    /// The name of the only file, when one was asked for.
    #[prost(string, optional, tag = "5")]
    pub(crate) file: Option<String>,
}

/// Where the write's attempts leave their files.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum StagingPlace {
    /// In a folder made for them.
    #[prost(string, tag = "2")]
    Folder(String),
    /// In uploads to the folder of an object store that has this URL.
    #[prost(string, tag = "6")]
    Objects(String),
}

impl Spec {
    /// What the file of a partition is called, in whichever folder it lies.
    pub(crate) fn name(&self, partition: usize) -> String {
        match &self.file {
            Some(name) => name.clone(),
            None => format!("part-{partition:05}-{}{}", self.write, self.suffix),
        }
    }
}
