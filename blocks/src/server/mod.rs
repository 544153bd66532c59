//! Serving blocks.
//!
//! A machine's block service serves the files of every application below the worker's directory; an executor may serve
//! its own. Both are the same gRPC service over another [`Layout`].
//!
//! ```text
//!   request ──> ids parsed ──> a place among ANSWERS ──> 256 KiB read at a time ──> checked ──> sent when the peer reads
//!               or refused                                (READS at once)              └──> a fault in its place
//! ```
//!
//! Invariants:
//! - No text from outside becomes part of a path: ids are parsed types, and a file's name is made from them.
//! - A piece is sent only if its checksum is right, and with it, so a reader can tell damage on the disk (the server says
//!   so) from damage on the wire (it does not).
//! - Memory is bounded by the number of answers at once times what is read at a time; nothing is read before the peer
//!   has taken what was read before.

mod batch;
mod connections;
mod layout;
mod process;
mod request;
mod service;

pub use layout::Layout;
pub use process::{ServeError, run_block_service, runtime};
pub use service::{BlockService, serve};
