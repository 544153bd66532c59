//! Which directory holds an application's blocks.

use hearth_core::ApplicationId;
use std::path::PathBuf;

/// Where a service finds files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Those of every application on a machine: `<work_dir>/<application>/shuffle`.
    Worker {
        /// The worker's directory.
        work_dir: PathBuf,
    },
    /// Those of one application, in one directory.
    Application {
        /// Which.
        application: ApplicationId,
        /// Where.
        directory: PathBuf,
    },
}

impl Layout {
    /// The directory of an application's blocks; none when it is not served here. An id is one plain path component by its
    /// type, so the directory lies beneath the root.
    pub fn directory(&self, application: &ApplicationId) -> Option<PathBuf> {
        match self {
            Self::Worker { work_dir } => Some(work_dir.join(application.as_str()).join("shuffle")),
            Self::Application { application: own, directory } => (own == application).then(|| directory.clone()),
        }
    }
}
