//! The fetch planner: what to ask whom for, when, and what to do when it does not come.
//!
//! A reader wants a list of blocks, in order. The planner keeps a *window* on that list: the blocks after those taken
//! whose bytes fit `max_in_flight` together. (The fetcher lists a large block as several, one a span of it: here each is a
//! block of its own.) Blocks in the window are asked for, many in one request, from whoever has
//! them, and arrive in any order; they leave the window in the order of the list, when the consumer asks.
//!
//! ```text
//!            admitted                 in a request               whole, verified             consumer asked
//!  Waiting ───────────> Queued ──────────────────────> Asked ───────────────────> Arrived ──────────────────> Taken
//!     │                   ^                              │                           ^
//!     │                   └── file cannot be read,       │                           │
//!     │                       damaged on the wire (once) ┤                           │
//!     └── empty: nothing to ask for ─────────────────────│───────────────────────────┘
//!                                                        ├── request broke: the rest again after retry_wait
//!                                                        └── retries spent, not found, damaged on disk: Fail, the end
//! ```
//!
//! Invariants (asserted by the planner's [`check`](hearth_core::Machine::check)):
//! - The window is one run of the list, so the block the consumer waits for is always in it: no block behind it can
//!   hold the memory it needs. (Requests filled freely from one address could: they would pin blocks far behind.)
//! - The window holds at most `max_in_flight` bytes, or a single block that is larger.
//! - A block in the window is in exactly one place: a queue, a request, or arrived.
//! - Each request ends: the shell reports `RequestEnded` once for each, whatever happens. A block is asked for at most
//!   `2 * (max_retries + 1)` times of an address.
//! - Once failed or finished, every table is empty and late news changes nothing.
//!
//! Read `tests::blocks_of_one_address_are_asked_for_together` first.

mod planner;
mod request;
#[cfg(test)]
mod tests;
mod window;

pub use hearth_core::messages::task::FetchCause as FailureKind;

use hearth_core::messages::worker::Address;
use std::time::Duration;

pub use planner::Planner;

/// What bounds a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannerOptions {
    /// Bytes asked for or arrived, and not taken yet.
    pub max_in_flight: u64,
    /// Requests that may be under way to one address, or to the files of this machine.
    pub max_requests_per_address: usize,
    /// Blocks in one request.
    pub max_blocks_per_request: usize,
    /// Times that a broken request is tried again.
    pub max_retries: u32,
    /// How long to wait before that.
    pub retry_wait: Duration,
    /// The same for an address on loopback, where a server that is there answers at once.
    pub loopback_retry_wait: Duration,
}

impl Default for PlannerOptions {
    fn default() -> Self {
        Self {
            max_in_flight: 48 * 1024 * 1024,
            // Each is a fifth of what may be in flight at most: more would only wait.
            max_requests_per_address: 5,
            // What a server takes.
            max_blocks_per_request: crate::limits::MAX_BLOCKS,
            max_retries: 3,
            retry_wait: Duration::from_secs(5),
            loopback_retry_wait: Duration::from_millis(100),
        }
    }
}

/// One block that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockWanted {
    /// Its bytes.
    pub size: u64,
    /// Whether its file may be on this machine. Tried first.
    pub file: bool,
    /// Who serves it, if anybody does.
    pub address: Option<Address>,
}

/// One request, numbered by the planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Why a block, or a request, came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In what way.
    pub kind: FailureKind,
    /// For people.
    pub message: String,
}

/// What happened. Blocks go by their place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The consumer wants the next block.
    Asked,
    /// A block arrived whole, and its checksum is right.
    Arrived {
        /// By which request.
        request: RequestId,
        /// Which block.
        block: usize,
    },
    /// A block of a request cannot be had; its others may still come.
    BlockFailed {
        /// By which request.
        request: RequestId,
        /// Which block.
        block: usize,
        /// Why.
        failure: Failure,
    },
    /// Nothing more comes of a request; it broke when there is a failure.
    RequestEnded {
        /// Which.
        request: RequestId,
        /// What broke it.
        failure: Option<Failure>,
    },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read these blocks from files of this machine.
    ReadFiles {
        /// The request.
        request: RequestId,
        /// In the order of the list.
        blocks: Vec<usize>,
    },
    /// Ask a server for these blocks.
    Request {
        /// The request.
        request: RequestId,
        /// Whom.
        address: Address,
        /// In the order of the list.
        blocks: Vec<usize>,
    },
    /// Hand the consumer this block.
    Deliver {
        /// Which; one with no bytes was never asked for.
        block: usize,
    },
    /// Hand the consumer this failure. Nothing follows.
    Fail {
        /// Which block.
        block: usize,
        /// Why.
        failure: Failure,
    },
    /// Tell the consumer that all blocks were taken, or that it was told of a failure. Nothing follows.
    Finish,
}
