//! What both sides of the wire hold each other to.

/// Blocks in one request: enough that the cost of a request vanishes among small blocks, few enough that it stays small
/// (40 KiB).
pub const MAX_BLOCKS: usize = 1024;

/// Bytes of a block in one message, at most: far below what gRPC frames may have.
pub const MAX_CHUNK: usize = 1024 * 1024;

/// What a message has beside a chunk: tags, lengths, a head, and the message of a fault.
pub(crate) const MESSAGE_SLACK: usize = 64 * 1024;
