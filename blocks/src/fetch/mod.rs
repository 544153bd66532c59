//! Blocks in the order asked, the large ones in pieces: from files of this machine where they can be opened, else from whoever serves them.
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
mod spans;
mod stream;

use crate::{BlockId, machine::BlockWanted};
use channels::Channels;
use hearth_core::{ApplicationId, messages::task::BlockLocation};
use spans::Span;
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::runtime::Handle;

pub use error::FetchError;
pub use options::FetchOptions;
pub use stream::{BlockPiece, BlockStream};

/// One block that is wanted, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where.
    pub location: BlockLocation,
    /// Which.
    pub id: BlockId,
    /// Its bytes, as its writer committed them.
    pub size: u64,
    /// Which of them are wanted. Begins at a piece of the index: at a multiple of [`PIECE`](crate::limits::PIECE).
    pub range: Range<u64>,
}

impl Wanted {
    /// All of a block.
    pub const fn whole(location: BlockLocation, id: BlockId, size: u64) -> Self {
        Self { location, id, size, range: 0..size }
    }
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

    /// Whether blocks of this location are read from their files.
    pub fn reads_files_of(&self, location: &BlockLocation) -> bool {
        self.shared.options.reads_files_of(location)
    }

    /// What it did so far.
    pub fn counts(&self) -> FetchCounts {
        FetchCounts {
            local_bytes: self.shared.local.load(Ordering::Relaxed),
            remote_bytes: self.shared.remote.load(Ordering::Relaxed),
            broken_requests: self.shared.broken.load(Ordering::Relaxed),
        }
    }

    /// The blocks in the order wanted, verified, in one piece each or, when they are large, in several. After an error the
    /// stream is over. Nothing is asked for before the first poll, nor more than may be in flight while nobody polls; a
    /// consumer may take its time.
    pub fn fetch(&self, application: &ApplicationId, wanted: Vec<Wanted>) -> BlockStream {
        stream::fetch(self.shared.clone(), application.clone(), wanted.into())
    }
}

impl Shared {
    /// What the planner needs to know of a span of a block.
    fn plan(&self, wanted: &Wanted, span: &Span) -> BlockWanted {
        let location = &wanted.location;
        BlockWanted {
            size: span.len,
            file: self.options.reads_files_of(location),
            address: (location.address.port != 0).then(|| location.address.clone()),
        }
    }
}
