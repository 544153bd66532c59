//! The files of one output: how they are written, committed, read and removed.
//!
//! ```text
//!  write ──> buffers ──(over max_buffered)──> <id>.spill.tmp ─┐
//!               └───────────────commit────────────────────────┴─> <id>.data.tmp ──rename──> <id>.data
//!                                                                 <id>.index.tmp ─rename──> <id>.index   = committed
//! ```
//!
//! Invariants:
//! - The index appears last: an output whose index is there has all its data. It disappears first.
//! - Temporary names end in `.tmp` and live in the same directory; dropping a writer that has not committed removes them.
//!   What a writer that was killed left hinders no other, and goes when its output does.
//! - No byte is handed out before the CRC32C of its piece was checked.
//! - Nothing is allocated for a length that the size of the file does not bear out.
//!
//! Nothing is synced to the disk: an output that a crash of the machine damaged fails its checksum and is computed again,
//! which costs less than a sync per task.
//!
//! The tests in `tests.rs` beside this file show each of these.

mod async_writer;
mod cleanup;
mod error;
mod index;
mod partition;
mod reader;
mod temporary;
#[cfg(test)]
mod tests;
mod writer;

pub use async_writer::AsyncOutputWriter;
pub use cleanup::remove_outputs;
pub use error::{ReadError, WriteError};
pub use reader::{BlockReader, OutputReader, Piece};
pub use writer::{Committed, OutputWriter, WriterId, WriterOptions};
