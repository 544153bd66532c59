//! Blocks out of the chunks of an answer. Trusts nothing that a server says.

use crate::machine::{Failure, FailureKind};
use bytes::{Bytes, BytesMut};
use hearth_proto::v1::{BlockHead, FetchChunk};
use std::collections::VecDeque;

/// A block of the answer that is over.
pub(super) type Outcome = (usize, Result<Bytes, Failure>);

/// The answer to one request so far.
#[derive(Debug)]
pub(super) struct Assembly {
    /// Blocks still to come: their place in the list of those wanted, and their size.
    expected: VecDeque<(usize, u64)>,
    /// The place in the request of the one that comes next.
    at: u32,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    head: BlockHead,
    bytes: BytesMut,
}

impl Assembly {
    pub(super) fn new(expected: impl IntoIterator<Item = (usize, u64)>) -> Self {
        Self { expected: expected.into_iter().collect(), at: 0, current: None }
    }

    /// Whether nothing more is to come.
    pub(super) fn is_over(&self) -> bool {
        self.expected.is_empty()
    }

    /// Takes a chunk; gives the block that ends with it. An error means that the server does not keep to the protocol.
    pub(super) fn take(&mut self, chunk: FetchChunk) -> Result<Option<Outcome>, String> {
        let FetchChunk { block, head, data, fault } = chunk;
        let Some((index, size)) = self.expected.front().copied() else {
            return Err(format!("a chunk of block {block} came after the last block"));
        };
        if block != self.at {
            return Err(format!("a chunk of block {block} came where block {} was due", self.at));
        }
        if let Some(fault) = fault {
            return Ok(Some(self.finish(index, Err(fault.into()))));
        }
        let had = self.current.as_ref().map_or(0, |c| c.bytes.len());
        match (&self.current, head) {
            (None, None) => return Err(format!("block {block} began without a head")),
            (Some(_), Some(_)) => return Err(format!("block {block} has two heads")),
            (None, Some(head)) if head.size != size => {
                // The server has checked the block against its index, and the writer said this size: something between.
                let message = format!("the server has {} bytes of it where {size} were committed", head.size);
                return Ok(Some(self.finish(index, Err(on_wire(message)))));
            }
            _ => {}
        }
        let len = (had + data.len()) as u64;
        if len > size {
            return Err(format!("block {block} has more than its {size} bytes"));
        }
        if let (Some(head), true) = (head, len == size) {
            // The usual case, one chunk: its bytes are not copied.
            return Ok(Some(self.verify(index, head, data)));
        }
        if data.is_empty() {
            return Err(format!("a chunk of block {block} is empty"));
        }
        let current = match (&mut self.current, head) {
            (Some(current), _) => current,
            // The size is the writer's, which the planner has made room for.
            (none, Some(head)) => none.insert(Current { head, bytes: BytesMut::with_capacity(capacity(size)) }),
            (None, None) => return Err(format!("block {block} began without a head")),
        };
        current.bytes.extend_from_slice(&data);
        if len < size {
            return Ok(None);
        }
        let Some(Current { head, bytes }) = self.current.take() else { return Ok(None) };
        Ok(Some(self.verify(index, head, bytes.freeze())))
    }

    fn verify(&mut self, index: usize, head: BlockHead, bytes: Bytes) -> Outcome {
        let crc = crc32c::crc32c(&bytes);
        let outcome = if crc == head.crc32c {
            Ok(bytes)
        } else {
            Err(on_wire(format!("it arrived with CRC32C {crc:08x} where {:08x} was sent", head.crc32c)))
        };
        self.finish(index, outcome)
    }

    fn finish(&mut self, index: usize, outcome: Result<Bytes, Failure>) -> Outcome {
        self.expected.pop_front();
        self.at += 1;
        self.current = None;
        (index, outcome)
    }
}

fn on_wire(message: String) -> Failure {
    Failure { kind: FailureKind::CorruptOnWire, message }
}

fn capacity(size: u64) -> usize {
    usize::try_from(size).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_proto::v1::{BlockFault, BlockFaultKind};

    fn head(bytes: &[u8]) -> Option<BlockHead> {
        Some(BlockHead { size: bytes.len() as u64, crc32c: crc32c::crc32c(bytes) })
    }

    fn chunk(block: u32, head: Option<BlockHead>, data: &'static [u8]) -> FetchChunk {
        FetchChunk { block, head, data: Bytes::from_static(data), fault: None }
    }

    fn fault(block: u32) -> FetchChunk {
        let fault = BlockFault { kind: BlockFaultKind::Corrupt.into(), message: "bad".into() };
        FetchChunk { block, head: None, data: Bytes::new(), fault: Some(fault) }
    }

    #[test]
    fn blocks_are_put_together() {
        let mut assembly = Assembly::new([(7, 3), (9, 6), (11, 6)]);
        let whole = Bytes::from_static(b"abc");
        assert_eq!(assembly.take(chunk(0, head(b"abc"), b"abc")), Ok(Some((7, Ok(whole)))));
        assert_eq!(assembly.take(chunk(1, head(b"abcdef"), b"ab")), Ok(None));
        assert_eq!(assembly.take(chunk(1, None, b"cd")), Ok(None));
        let whole = Bytes::from_static(b"abcdef");
        assert_eq!(assembly.take(chunk(1, None, b"ef")), Ok(Some((9, Ok(whole)))));
        // A fault takes back what came before it.
        assert_eq!(assembly.take(chunk(2, head(b"abcdef"), b"ab")), Ok(None));
        let failure = Failure { kind: FailureKind::CorruptOnDisk, message: "bad".into() };
        assert_eq!(assembly.take(fault(2)), Ok(Some((11, Err(failure)))));
        assert!(assembly.is_over());
        assert_eq!(assembly.take(fault(3)).unwrap_err(), "a chunk of block 3 came after the last block");
    }

    #[test]
    fn damage_is_told() {
        let kind = |taken: Result<Option<Outcome>, String>| taken.unwrap().unwrap().1.unwrap_err().kind;
        let mut assembly = Assembly::new([(0, 3), (1, 3), (2, 2)]);
        assert_eq!(kind(assembly.take(chunk(0, head(b"abd"), b"abc"))), FailureKind::CorruptOnWire);
        assert_eq!(kind(assembly.take(chunk(1, head(b"abcd"), b"abcd"))), FailureKind::CorruptOnWire);
        assert_eq!(assembly.take(chunk(2, head(b"xy"), b"x")), Ok(None));
        assert_eq!(kind(assembly.take(chunk(2, None, b"z"))), FailureKind::CorruptOnWire);
    }

    #[test]
    fn a_server_that_does_not_keep_to_the_protocol_is_found_out() {
        let begun = || {
            let mut assembly = Assembly::new([(0, 4), (1, 4)]);
            assert_eq!(assembly.take(chunk(0, head(b"abcd"), b"ab")), Ok(None));
            assembly
        };
        for (bad, says) in [
            (chunk(1, head(b"abcd"), b"abcd"), "a chunk of block 1 came where block 0 was due"),
            (chunk(u32::MAX, None, b"cd"), "a chunk of block 4294967295 came where block 0 was due"),
            (fault(1), "a chunk of block 1 came where block 0 was due"),
            (chunk(0, head(b"abcd"), b"cd"), "block 0 has two heads"),
            (chunk(0, None, b"cde"), "block 0 has more than its 4 bytes"),
            (chunk(0, None, b""), "a chunk of block 0 is empty"),
        ] {
            assert_eq!(begun().take(bad).unwrap_err(), says);
        }
        let mut assembly = Assembly::new([(0, 4)]);
        assert_eq!(assembly.take(chunk(0, None, b"ab")).unwrap_err(), "block 0 began without a head");
        assert_eq!(assembly.take(chunk(0, head(b"abcd"), b"abcde")).unwrap_err(), "block 0 has more than its 4 bytes");
        assert_eq!(assembly.take(chunk(0, head(b"abcd"), b"")).unwrap_err(), "a chunk of block 0 is empty");
    }
}
