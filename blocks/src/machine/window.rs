//! The run of blocks that are in flight.

use super::BlockWanted;
use hearth_core::messages::worker::Address;

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockState {
    Waiting,
    Queued,
    Asked,
    Arrived,
    Taken,
}

/// One wanted block and what became of it.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) size: u64,
    /// Its file is to be tried (first).
    pub(super) file: bool,
    pub(super) address: Option<Address>,
    /// It was damaged on the wire once.
    pub(super) refetched: bool,
    pub(super) state: BlockState,
}

/// A run of the list, `first..end`: before it blocks are taken, behind it they wait.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) blocks: Vec<Block>,
    first: usize,
    end: usize,
    bytes: u64,
    max_bytes: u64,
}

impl Window {
    pub(super) fn new(wanted: Vec<BlockWanted>, max_bytes: u64) -> Self {
        let block = |w: BlockWanted| Block {
            size: w.size,
            file: w.file,
            address: w.address,
            refetched: false,
            state: BlockState::Waiting,
        };
        Self { blocks: wanted.into_iter().map(block).collect(), first: 0, end: 0, bytes: 0, max_bytes }
    }

    /// Whether all blocks were taken.
    pub(super) fn is_over(&self) -> bool {
        self.first == self.blocks.len()
    }

    /// A fifth of the bytes: what a request asks for at most, and how much must be free before more is asked for. So
    /// several requests are under way at once, and none is as small as the block that was just taken.
    pub(super) fn share(&self) -> u64 {
        (self.max_bytes / 5).max(1)
    }

    /// Takes blocks in at the end as far as they fit, and calls `queue` with those that must be asked for.
    pub(super) fn admit(&mut self, mut queue: impl FnMut(usize, &Block)) {
        if self.bytes > 0 && self.max_bytes.saturating_sub(self.bytes) < self.share() {
            return;
        }
        while let Some(block) = self.blocks.get_mut(self.end) {
            if self.bytes > 0 && self.bytes.saturating_add(block.size) > self.max_bytes && block.size > 0 {
                return;
            }
            self.bytes = self.bytes.saturating_add(block.size);
            if block.size == 0 {
                block.state = BlockState::Arrived;
            } else {
                block.state = BlockState::Queued;
                queue(self.end, block);
            }
            self.end += 1;
        }
    }

    /// Lets the first block go, if it has arrived.
    pub(super) fn take(&mut self) -> Option<usize> {
        let block = self.blocks[..self.end].get_mut(self.first)?;
        if block.state != BlockState::Arrived {
            return None;
        }
        block.state = BlockState::Taken;
        self.bytes -= block.size;
        self.first += 1;
        Some(self.first - 1)
    }

    /// Asserts what can be said of the blocks alone.
    pub(super) fn check(&self) {
        let window = &self.blocks[self.first..self.end];
        assert!(self.blocks[..self.first].iter().all(|b| b.state == BlockState::Taken));
        assert!(self.blocks[self.end..].iter().all(|b| b.state == BlockState::Waiting));
        assert!(window.iter().all(|b| !matches!(b.state, BlockState::Waiting | BlockState::Taken)));
        assert_eq!(self.bytes, window.iter().fold(0_u64, |sum, b| sum.saturating_add(b.size)));
        let filled = window.iter().filter(|b| b.size > 0).count();
        assert!(self.bytes <= self.max_bytes || filled == 1, "{} bytes in flight in {filled} blocks", self.bytes);
        // Progress: an empty window with blocks left would wait for ever.
        assert!(self.first < self.end || self.end == self.blocks.len() || self.end == 0);
    }
}
