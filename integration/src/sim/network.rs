//! The simulated network: links that deliver in order, each message after a delay of its own.
//!
//! A link has two ends, each on a node. Like a stream, it keeps the order of what one end says, and the news that it is
//! closed arrives after all that was said before.

use super::{chance::Chance, node::NodeId};
use hearth_core::{LinkId, Now};
use std::collections::BTreeMap;

/// One link.
#[derive(Debug)]
struct Wire {
    ends: [NodeId; 2],
    /// When the last message in each direction arrives: the next one must not overtake it.
    last: [Now; 2],
    closed: bool,
}

/// All links.
#[derive(Debug, Default)]
pub(super) struct Network {
    wires: BTreeMap<LinkId, Wire>,
    next: u64,
    /// Messages take up to this many milliseconds.
    pub(super) slowest_millis: u64,
}

impl Network {
    /// A network whose messages take up to `slowest_millis`.
    pub(super) fn new(slowest_millis: u64) -> Self {
        Self { slowest_millis, ..Self::default() }
    }

    /// Opens a link between two nodes.
    pub(super) fn open(&mut self, from: NodeId, to: NodeId) -> LinkId {
        self.next += 1;
        let id = LinkId(self.next);
        self.wires.insert(id, Wire { ends: [from, to], last: [Now::default(); 2], closed: false });
        id
    }

    /// Who is at the other end.
    pub(super) fn peer(&self, link: LinkId, of: &NodeId) -> Option<NodeId> {
        let wire = self.wires.get(&link)?;
        wire.ends.iter().find(|end| *end != of).cloned()
    }

    /// When a message sent now by `from` arrives, and where; nothing when the link is closed.
    pub(super) fn send(&mut self, now: Now, link: LinkId, from: &NodeId, chance: &mut Chance) -> Option<(Now, NodeId)> {
        let slowest = self.slowest_millis;
        let wire = self.wires.get_mut(&link).filter(|w| !w.closed)?;
        let side = usize::from(wire.ends[1] == *from);
        let at = now.after(chance.millis(0, slowest)).max(wire.last[side]);
        wire.last[side] = at;
        Some((at, wire.ends[1 - side].clone()))
    }

    /// Closes a link. Gives, for each end, when it learns of it.
    pub(super) fn close(&mut self, now: Now, link: LinkId, chance: &mut Chance) -> Vec<(Now, NodeId)> {
        let slowest = self.slowest_millis;
        let Some(wire) = self.wires.get_mut(&link).filter(|w| !w.closed) else { return Vec::new() };
        wire.closed = true;
        // What flows to side 1 is `last[0]`, and the other way round.
        (0..2)
            .map(|side| (now.after(chance.millis(0, slowest)).max(wire.last[1 - side]), wire.ends[side].clone()))
            .collect()
    }

    /// The open links of a node.
    pub(super) fn links_of(&self, node: &NodeId) -> Vec<LinkId> {
        self.wires.iter().filter(|(_, w)| !w.closed && w.ends.contains(node)).map(|(id, _)| *id).collect()
    }
}
