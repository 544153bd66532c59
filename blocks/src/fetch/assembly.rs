//! Spans out of the chunks of an answer. Trusts nothing that a server says.

use super::spans::MAX_SPAN;
use crate::machine::{Failure, FailureKind};
use bytes::{Bytes, BytesMut};
use hearth_proto::v1::FetchChunk;
use std::collections::VecDeque;

/// A span of the answer that is over, by its place in the planner's list.
pub(super) type Outcome = (usize, Result<Bytes, Failure>);

/// A span that is still to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// Its place in the planner's list.
    pub(super) place: usize,
    /// Bytes of the whole block.
    pub(super) size: u64,
    /// Bytes of the span.
    pub(super) len: u64,
}

/// The answer to one request so far.
#[derive(Debug)]
pub(super) struct Assembly {
    expected: VecDeque<Expected>,
    /// The place in the request of the one that comes next.
    at: u32,
    current: Option<Current>,
}

/// The span that is coming.
#[derive(Debug, Default)]
struct Current {
    received: u64,
    /// What was received and is right.
    bytes: BytesMut,
    /// What is wrong with it; the rest is let go by.
    failure: Option<Failure>,
}

impl Assembly {
    pub(super) fn new(expected: impl IntoIterator<Item = Expected>) -> Self {
        Self { expected: expected.into_iter().collect(), at: 0, current: None }
    }

    /// Whether nothing more is to come.
    pub(super) fn is_over(&self) -> bool {
        self.expected.is_empty()
    }

    /// Takes a chunk; gives the span that ends with it. An error means that the server does not keep to the protocol.
    pub(super) fn take(&mut self, chunk: FetchChunk) -> Result<Option<Outcome>, String> {
        let FetchChunk { span, head, data, fault, crc32c } = chunk;
        let Some(Expected { place, size, len }) = self.expected.front().copied() else {
            return Err(format!("a chunk of span {span} came after the last span"));
        };
        if span != self.at {
            return Err(format!("a chunk of span {span} came where span {} was due", self.at));
        }
        let mut current = match (self.current.take(), head) {
            (None, Some(head)) => Current { failure: other_size(head.size, size), ..Current::default() },
            // A fault of something that could not even be opened.
            (None, None) if fault.is_some() => Current::default(),
            (Some(current), None) => current,
            (None, None) => return Err(format!("span {span} began without a head")),
            (Some(_), Some(_)) => return Err(format!("span {span} has two heads")),
        };
        if let Some(fault) = fault {
            // That it is another block than the one wanted explains the fault.
            return Ok(Some(self.finish(place, Err(current.failure.unwrap_or_else(|| fault.into())))));
        }
        if data.is_empty() {
            return Err(format!("a chunk of span {span} is empty"));
        }
        current.received += data.len() as u64;
        if current.received > len {
            return Err(format!("span {span} has more than its {len} bytes"));
        }
        let whole = data.len() as u64 == len;
        current.verify(&data, crc32c);
        if current.received < len {
            if current.failure.is_none() {
                // The length is the writer's, which the planner has made room for.
                let room = usize::try_from(len.min(MAX_SPAN)).unwrap_or(0);
                current.bytes.reserve(room.saturating_sub(current.bytes.len()));
                current.bytes.extend_from_slice(&data);
            }
            self.current = Some(current);
            return Ok(None);
        }
        let outcome = match current.failure {
            Some(failure) => Err(failure),
            // The usual case for small blocks, one chunk: its bytes are not copied.
            None if whole => Ok(data),
            None => {
                current.bytes.extend_from_slice(&data);
                Ok(current.bytes.freeze())
            }
        };
        Ok(Some(self.finish(place, outcome)))
    }

    fn finish(&mut self, place: usize, outcome: Result<Bytes, Failure>) -> Outcome {
        self.expected.pop_front();
        self.at += 1;
        self.current = None;
        (place, outcome)
    }
}

impl Current {
    fn verify(&mut self, data: &[u8], sent: u32) {
        let crc = crc32c::crc32c(data);
        if crc != sent && self.failure.is_none() {
            self.failure = Some(on_wire(format!("it arrived with CRC32C {crc:08x} where {sent:08x} was sent")));
            self.bytes = BytesMut::new();
        }
    }
}

/// The server has checked the block against its index, and the writer said the size: something between them.
fn other_size(theirs: u64, ours: u64) -> Option<Failure> {
    (theirs != ours).then(|| on_wire(format!("the server has {theirs} bytes of it where {ours} were committed")))
}

fn on_wire(message: String) -> Failure {
    Failure { kind: FailureKind::CorruptOnWire, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_proto::v1::{BlockFault, BlockFaultKind, BlockHead};

    fn assembly(expected: &[(usize, u64)]) -> Assembly {
        Assembly::new(expected.iter().map(|&(place, len)| Expected { place, size: 6, len }))
    }

    /// A chunk of a block of 6 bytes.
    fn chunk(span: u32, first: bool, data: &'static [u8]) -> FetchChunk {
        let head = first.then_some(BlockHead { size: 6 });
        FetchChunk { span, head, data: Bytes::from_static(data), fault: None, crc32c: crc32c::crc32c(data) }
    }

    fn fault(span: u32, head: Option<BlockHead>) -> FetchChunk {
        let fault = BlockFault { kind: BlockFaultKind::Corrupt.into(), message: "bad".into() };
        FetchChunk { span, head, data: Bytes::new(), fault: Some(fault), crc32c: 0 }
    }

    fn failure(outcome: Result<Option<Outcome>, String>) -> Failure {
        outcome.unwrap().unwrap().1.unwrap_err()
    }

    #[test]
    fn spans_are_put_together() {
        let mut assembly = assembly(&[(7, 3), (9, 6), (11, 6)]);
        assert_eq!(assembly.take(chunk(0, true, b"abc")), Ok(Some((7, Ok(Bytes::from_static(b"abc"))))));
        assert_eq!(assembly.take(chunk(1, true, b"ab")), Ok(None));
        assert_eq!(assembly.take(chunk(1, false, b"cd")), Ok(None));
        assert_eq!(assembly.take(chunk(1, false, b"ef")), Ok(Some((9, Ok(Bytes::from_static(b"abcdef"))))));
        // A fault takes back what came before it.
        assert_eq!(assembly.take(chunk(2, true, b"ab")), Ok(None));
        let corrupt = Failure { kind: FailureKind::CorruptOnDisk, message: "bad".into() };
        assert_eq!(assembly.take(fault(2, None)), Ok(Some((11, Err(corrupt)))));
        assert!(assembly.is_over());
        assert_eq!(assembly.take(fault(3, None)).unwrap_err(), "a chunk of span 3 came after the last span");
    }

    #[test]
    fn damage_is_told_at_the_end_of_the_span() {
        let mut assembly = assembly(&[(0, 3), (1, 6), (2, 3), (3, 3)]);
        let damaged = |chunk: FetchChunk| FetchChunk { crc32c: chunk.crc32c ^ 1, ..chunk };
        assert_eq!(failure(assembly.take(damaged(chunk(0, true, b"abc")))).kind, FailureKind::CorruptOnWire);
        // What follows the damage is let go by.
        assert_eq!(assembly.take(damaged(chunk(1, true, b"ab"))), Ok(None));
        assert_eq!(assembly.take(chunk(1, false, b"cd")), Ok(None));
        assert_eq!(failure(assembly.take(chunk(1, false, b"ef"))).kind, FailureKind::CorruptOnWire);
        // Another size than was committed, whether the server has such a span or not.
        let other = Some(BlockHead { size: 5 });
        let told = failure(assembly.take(FetchChunk { head: other, ..chunk(2, true, b"abc") }));
        assert_eq!(told.message, "the server has 5 bytes of it where 6 were committed");
        assert_eq!(failure(assembly.take(fault(3, other))), told);
        assert!(assembly.is_over());
    }

    #[test]
    fn a_server_that_does_not_keep_to_the_protocol_is_found_out() {
        let begun = || {
            let mut assembly = assembly(&[(0, 4), (1, 4)]);
            assert_eq!(assembly.take(chunk(0, true, b"ab")), Ok(None));
            assembly
        };
        for (bad, says) in [
            (chunk(1, true, b"abcd"), "a chunk of span 1 came where span 0 was due"),
            (chunk(u32::MAX, false, b"cd"), "a chunk of span 4294967295 came where span 0 was due"),
            (fault(1, None), "a chunk of span 1 came where span 0 was due"),
            (chunk(0, true, b"cd"), "span 0 has two heads"),
            (chunk(0, false, b"cde"), "span 0 has more than its 4 bytes"),
            (chunk(0, false, b""), "a chunk of span 0 is empty"),
        ] {
            assert_eq!(begun().take(bad).unwrap_err(), says);
        }
        let refused = |bad| assembly(&[(0, 4)]).take(bad).unwrap_err();
        assert_eq!(refused(chunk(0, false, b"ab")), "span 0 began without a head");
        assert_eq!(refused(chunk(0, true, b"abcde")), "span 0 has more than its 4 bytes");
        assert_eq!(refused(chunk(0, true, b"")), "a chunk of span 0 is empty");
    }
}
