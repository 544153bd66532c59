//! What a worker tells a child process it starts.
//!
//! The child reads one line of JSON from its standard input. The pipe then stays open as its lifeline: when it ends, the
//! worker is gone and the child exits. Nothing of this stands in argv or in the environment, where others could read it.

use crate::{ApplicationId, ExecutorId, Resources, WorkerId, messages::worker::Address};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// For `hearth executor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorBootstrap {
    /// Its application.
    pub application: ApplicationId,
    /// Its id.
    pub executor: ExecutorId,
    /// Its worker.
    pub worker: WorkerId,
    /// The name of its machine, as readers elsewhere reach it; servers of its own bind here.
    pub host: String,
    /// What it may use.
    pub resources: Resources,
    /// The driver's TaskLink: `http://host:port`.
    pub driver_url: String,
    /// The machine's block service, which serves `shuffle_dir`.
    pub block_service: Address,
    /// Where the application's map outputs go on this machine: `work/<app>/shuffle`.
    pub shuffle_dir: PathBuf,
    /// The executor's own directory: `work/<app>/<executor>`; it spills to `tmp` below it.
    pub work_dir: PathBuf,
    /// Directories on other disks that take the place of these two for outputs and spills; none as a rule.
    pub local_dirs: Vec<LocalDir>,
    /// The application's configuration.
    pub conf: BTreeMap<String, String>,
}

/// Where an executor puts outputs and spills on one of several disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalDir {
    /// The application's map outputs: `<root>/<app>/shuffle`.
    pub shuffle: PathBuf,
    /// The executor's own: `<root>/<app>/<executor>`.
    pub work: PathBuf,
}

/// For `hearth blocks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlocksBootstrap {
    /// The worker's directory.
    pub work_dir: PathBuf,
    /// It serves `<root>/<app>/shuffle` of each of these: the worker's directory, or those on several disks.
    pub roots: Vec<PathBuf>,
    /// Where to listen.
    pub host: String,
    /// The port; 0 takes a free one. The child writes the address it took as the first line of its standard output.
    pub port: u16,
}
