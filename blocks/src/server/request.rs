//! What a peer asks for.

use crate::{BlockId, id::BadBlockId};
use hearth_proto::v1;
use std::ops::Range;

/// A span of a block that a peer wants. Whether the block has it, its file tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanAsked {
    pub(super) block: BlockId,
    offset: u64,
    /// 0 for the rest of the block.
    length: u64,
}

impl SpanAsked {
    /// Which bytes it is of a block of this size.
    pub(super) const fn within(&self, size: u64) -> Range<u64> {
        let end = if self.length == 0 { size } else { self.offset.saturating_add(self.length) };
        self.offset..end
    }
}

impl TryFrom<v1::Span> for SpanAsked {
    type Error = BadBlockId;

    fn try_from(span: v1::Span) -> Result<Self, BadBlockId> {
        let block = span.block.ok_or_else(BadBlockId::no_output)?.try_into()?;
        Ok(Self { block, offset: span.offset, length: span.length })
    }
}
