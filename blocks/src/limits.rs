//! What both sides of the wire hold each other to.

/// Spans of blocks in one request: enough that the cost of a request vanishes among small blocks, few enough that it stays small
/// (64 KiB).
pub const MAX_BLOCKS: usize = 1024;

/// Bytes of a piece: a block is cut into pieces of this size, the last one shorter, each with a checksum of its own, so
/// that whoever reads a large block can use its beginning before its end is there. Four bytes of checksum for each are
/// nothing, a disk is as fast with it as with more, and a service that reads one for each of many peers stays small.
pub const PIECE: u64 = 256 * 1024;

/// Bytes of a block in one message, at most: a piece, and far below what gRPC frames may have.
pub const MAX_CHUNK: usize = 1024 * 1024;

/// Bytes of one request: [`MAX_BLOCKS`] spans of at most 64 bytes, and an application's name.
pub(crate) const MAX_REQUEST: usize = 128 * 1024;

/// What a message has beside a chunk: tags, lengths, a head, and the message of a fault.
pub(crate) const MESSAGE_SLACK: usize = 64 * 1024;
