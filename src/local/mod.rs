//! Local modes: clusters that live and die with one command.
//!
//! | mode | master | worker | executors | links |
//! |---|---|---|---|---|
//! | `local[N]` | in process | one, in process | one of N cores, in process | channels |
//! | `local-cluster[W,C,M]` | in process, listening | W, in process | real processes | gRPC on loopback |
//!
//! Machines and shells are those of a real cluster; nothing else here is special. All files lie in one temporary
//! directory, which goes with the cluster.

mod cluster;
mod dial;
mod launcher;
mod threads;

pub(crate) use cluster::ClusterOfOurOwn;
pub(crate) use threads::Threads;

use crate::Error;
use hearth_core::conf::{Conf, keys};
use hearth_worker::shell::WorkerHandle;
use std::path::PathBuf;

/// The directories that shuffle files and scratch are spread over, where there are several.
fn spread(conf: &Conf) -> Vec<PathBuf> {
    let dirs = conf.get(&keys::LOCAL_DIR);
    if dirs.len() > 1 { dirs } else { Vec::new() }
}

/// Waits until a worker of ours is registered with a master of ours.
async fn registered(worker: &mut WorkerHandle) -> Result<(), Error> {
    let mut registered = worker.registered();
    tokio::select! {
        Ok(_) = registered.wait_for(|times| *times > 0) => Ok(()),
        code = worker.wait() => Err(Error::NoWorker(code)),
    }
}
