//! Messages from and to protobuf.
//!
//! ```text
//! messages::X  --From-->  v1::X  --prost, tonic-->  v1::X  --TryFrom-->  messages::X | Malformed
//! ```
//!
//! What comes in is checked field by field, so that the machines behind a link meet only values that make sense: ids are
//! parsed, an enum's zero is refused, what is required is there, counts and sizes stay below a bound. What goes out needs
//! no check, but text for people is cut to the length that the other side takes: a long error message must not cost the
//! link. Enums are matched without a catch-all, so that a new message does not compile until it can travel.
//!
//! One file a link: `worker`, `application`, `task`; `common` has what they share, `check` the checks, `parts` what
//! becomes of a batch that is too large, `stream` the adapters between gRPC streams and links, `status` refusals as gRPC
//! statuses. The `impl`s of `From` and `TryFrom` are the interface; nobody calls anything else but what is listed here.
//!
//! Invariants, held by the tests: every message survives the way out and back unchanged; no bytes whatsoever make a
//! conversion panic.

mod application;
mod check;
mod common;
mod parts;
mod status;
mod stream;
mod task;
mod worker;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use check::Malformed;
pub use parts::Parts;
pub use status::{refusal_of, status};
pub use stream::{Outgoing, Served, incoming, outgoing, served};
pub use task::checked_payload;

/// Bytes of one message on the wire. The largest are a stage's payload and the map statuses of one shuffle: two thousand
/// map tasks with two thousand blocks each take about 15 MiB. Batches of smaller things are cut into parts ([`Parts`]).
pub const MAX_MESSAGE: usize = 16 << 20;

/// The innermost cause of an error: "Connection refused" rather than "transport error".
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
