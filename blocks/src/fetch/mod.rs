//! Blocks in the order asked: from files of this machine where they can be opened, else from whoever serves them.
//!
//! ```text
//!   consumer ──polls──> Stream ──Event──> Planner ──Effect──> one task a request, on the I/O runtime
//!                         ^                                        │ reads files, or asks a server;
//!                         └───────── reports, blocks ──────────────┘ verifies checksums
//! ```
//!
//! Invariants:
//! - What to ask for, and when, is decided by [`machine::Planner`](crate::machine::Planner) alone.
//! - A request's task reads its answer to the end without waiting for the consumer, so a slow consumer never holds up a
//!   connection that others share; the planner asks for no more than may be held.
//! - Every request reports its end exactly once, even if its task panics.
//! - Dropping the stream ends its requests.

mod assembly;
mod channels;
mod error;
mod local;
mod options;
mod remote;
mod report;
mod stream;

use crate::{BlockId, machine::BlockWanted};
use channels::Channels;
use hearth_core::{
    ApplicationId,
    messages::{task::BlockLocation, worker::Address},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::runtime::Handle;

pub use error::FetchError;
pub use options::FetchOptions;
pub use stream::BlockStream;

/// One block that is wanted, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where.
    pub location: BlockLocation,
    /// Which.
    pub id: BlockId,
    /// Its bytes, as its writer committed them.
    pub size: u64,
}

/// Fetches blocks. One for a process: clones share their connections.
#[derive(Clone, Debug)]
pub struct Fetcher {
    shared: Arc<Shared>,
}

/// What the requests of all fetches share.
#[derive(Debug)]
struct Shared {
    options: FetchOptions,
    io: Handle,
    channels: Channels,
    broken: AtomicU64,
    local: AtomicU64,
    remote: AtomicU64,
}

/// What a fetcher did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchCounts {
    /// Bytes read from files of this machine.
    pub local_bytes: u64,
    /// Bytes that came over the network.
    pub remote_bytes: u64,
    /// Requests that broke; most were tried again.
    pub broken_requests: u64,
}

impl Fetcher {
    /// A fetcher whose requests run on the current runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(options: FetchOptions) -> Self {
        Self::on(options, Handle::current())
    }

    /// A fetcher whose requests run on `io`: not the runtime on which tasks compute, where a connection would wait
    /// behind them. Its streams may be polled on any.
    pub fn on(options: FetchOptions, io: Handle) -> Self {
        let channels = Channels::default();
        let (broken, local, remote) = Default::default();
        Self { shared: Arc::new(Shared { options, io, channels, broken, local, remote }) }
    }

    /// What it did so far.
    pub fn counts(&self) -> FetchCounts {
        FetchCounts {
            local_bytes: self.shared.local.load(Ordering::Relaxed),
            remote_bytes: self.shared.remote.load(Ordering::Relaxed),
            broken_requests: self.shared.broken.load(Ordering::Relaxed),
        }
    }

    /// The blocks in the order wanted, each with its place in the list, verified. After an error the stream is over.
    /// Nothing is asked for before the first poll.
    pub fn fetch(&self, application: &ApplicationId, wanted: Vec<Wanted>) -> BlockStream {
        stream::fetch(self.shared.clone(), application.clone(), wanted.into())
    }
}

impl Shared {
    /// What the planner needs to know of a block.
    fn plan(&self, wanted: &Wanted) -> BlockWanted {
        let location = &wanted.location;
        let served = location.address.port != 0;
        let host = &location.address.host;
        let here = *host == self.options.host || Address::is_loopback(host) && Address::is_loopback(&self.options.host);
        let file = !served || self.options.local_read && here;
        BlockWanted {
            size: wanted.size,
            // A relative path would be looked for in this process's own directory.
            file: file && Path::new(&location.directory).is_absolute(),
            address: served.then(|| location.address.clone()),
        }
    }
}
