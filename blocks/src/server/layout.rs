//! Which directories hold an application's blocks.

use hearth_core::ApplicationId;
use std::path::PathBuf;

/// Where a service finds files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Those of every application on a machine: `<root>/<application>/shuffle`.
    Worker {
        /// The worker's directory, or those on several disks.
        roots: Vec<PathBuf>,
    },
    /// Those of one application.
    Application {
        /// Which.
        application: ApplicationId,
        /// Where: in one of these.
        directories: Vec<PathBuf>,
    },
}

impl Layout {
    /// The directories of an application's blocks; none when it is not served here. An id is one plain path component by its
    /// type, so each lies beneath its root.
    pub fn directories(&self, application: &ApplicationId) -> Vec<PathBuf> {
        match self {
            Self::Worker { roots } => {
                roots.iter().map(|root| root.join(application.as_str()).join("shuffle")).collect()
            }
            Self::Application { application: own, directories } if own == application => directories.clone(),
            Self::Application { .. } => Vec::new(),
        }
    }
}
