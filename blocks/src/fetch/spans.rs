//! Large blocks in spans.
//!
//! A span is what is asked for, verified, tried again and handed out as one; to the planner each is an entry of its list. So
//! a block may be larger than all that may be in flight, its reader begins before its end is there, and a connection that
//! breaks costs a span and not the block.

use super::Wanted;
use crate::limits::PIECE;
use std::ops::Range;

/// Bytes of a span: the cost of a request vanishes in them, and several are in flight at once. A multiple of [`PIECE`].
pub(super) const MAX_SPAN: u64 = 4 * 1024 * 1024;

/// Spans of one block, which are listed before the first one is asked for: 256 GiB of them. Those of a larger block are
/// larger.
const MAX_SPANS: u64 = 65_536;

/// A run of a block's pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The block's place in the list of those wanted.
    pub(super) block: usize,
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Span {
    /// Which bytes of the block.
    pub(super) const fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.len
    }
}

/// The spans of all blocks, in order; an empty block is one empty span. A fifth of what may be in flight is enough for one.
pub(super) fn of(wanted: &[Wanted], max_in_flight: u64) -> Vec<Span> {
    let usual = (max_in_flight / 5).clamp(PIECE, MAX_SPAN) / PIECE * PIECE;
    let of_block = |(block, wanted): (usize, &Wanted)| {
        let (begin, size) = (wanted.range.start, wanted.range.end.saturating_sub(wanted.range.start));
        let most = usual.max(size.div_ceil(MAX_SPANS).next_multiple_of(PIECE));
        let span = move |i: u64| Span { block, offset: begin + i * most, len: most.min(size - i * most) };
        (0..size.div_ceil(most).max(1)).map(span)
    };
    wanted.iter().enumerate().flat_map(of_block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OutputId;
    use hearth_core::{
        TaskId,
        messages::{task::BlockLocation, worker::Address},
    };

    fn spans(sizes: &[u64], max_in_flight: u64) -> Vec<(usize, Range<u64>)> {
        let wanted: Vec<_> = sizes.iter().map(|size| wanted(*size)).collect();
        of(&wanted, max_in_flight).into_iter().map(|span| (span.block, span.range())).collect()
    }

    fn wanted(size: u64) -> Wanted {
        let location = BlockLocation {
            worker: "w".parse().unwrap(),
            executor: None,
            address: Address { host: "h".into(), port: 1 },
            directory: "/d".into(),
        };
        Wanted::whole(location, OutputId::Result { task: TaskId(1) }.block(0), size)
    }

    #[test]
    fn a_part_of_a_block_is_spans_within_it() {
        let part = Wanted { range: PIECE..3 * PIECE + 5, ..wanted(9 * PIECE) };
        let spans: Vec<_> = of(&[part], 10 * PIECE).iter().map(Span::range).collect();
        assert_eq!(spans, [PIECE..3 * PIECE, 3 * PIECE..3 * PIECE + 5]);
    }

    #[test]
    fn small_blocks_are_one_span_and_large_ones_several() {
        const MIB: u64 = 1 << 20;
        assert_eq!(spans(&[0, 7, 4 * MIB], 48 * MIB), [(0, 0..0), (1, 0..7), (2, 0..4 * MIB)]);
        assert_eq!(spans(&[4 * MIB + 1], 48 * MIB), [(0, 0..4 * MIB), (0, 4 * MIB..4 * MIB + 1)]);
        // As small as a piece when little may be in flight, and never smaller.
        let pieces = [(0, 0..PIECE), (0, PIECE..2 * PIECE), (0, 2 * PIECE..2 * PIECE + 1)];
        assert_eq!(spans(&[2 * PIECE + 1], 1), pieces);
        assert_eq!(spans(&[2 * PIECE + 1], 7 * PIECE), pieces);
    }

    #[test]
    fn no_size_makes_many() {
        for size in [1 << 40, u64::MAX - 1, u64::MAX] {
            let spans = spans(&[size], 48 << 20);
            assert!(spans.len() as u64 <= MAX_SPANS);
            assert!(spans.windows(2).all(|pair| pair[0].1.end == pair[1].1.start));
            assert_eq!((spans[0].1.start, spans[spans.len() - 1].1.end), (0, size));
            assert!(spans.iter().all(|(_, span)| span.start % PIECE == 0));
        }
    }
}
