//! The simulated network: links that deliver in order, hold back what cannot pass, and break.
//!
//! A link is a stream: what one end says arrives once and in order, until the link breaks; then the last of it is lost,
//! and each end learns of it in its own time. Between machines the network may be blocked, one way or both: streams then
//! hold back what is said, as TCP does, and each end closes by itself when its keep-alive has heard nothing for its bound.

use super::{chance::Chance, node::NodeId};
use hearth_core::{LinkId, Now};
use std::{collections::VecDeque, time::Duration};

/// What a link is for. The end that dialed is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkKind {
    Worker,
    Application,
    Task,
}

impl LinkKind {
    /// How long each end hears nothing before it closes: interval and timeout of its keep-alive.
    const fn patience(self) -> [Duration; 2] {
        match self {
            Self::Worker => [Duration::from_secs(20); 2],
            Self::Application => [Duration::from_secs(10), Duration::from_secs(20)],
            Self::Task => [Duration::from_secs(16), Duration::from_secs(60)],
        }
    }
}

/// One link.
#[derive(Debug)]
struct Wire<M> {
    kind: LinkKind,
    ends: [NodeId; 2],
    hosts: [usize; 2],
    /// Whether each end still speaks and listens.
    open: [bool; 2],
    /// When the last thing on the way to each end arrives: the next one must not overtake it.
    last: [Now; 2],
    /// Whether each end has learned that the link is closed.
    told: [bool; 2],
    /// What arrives at each end after this is lost.
    lost_after: [Option<Now>; 2],
    /// What cannot pass on its way to each end.
    held: [VecDeque<M>; 2],
    /// The news that the other end has closed is held too.
    ended: [bool; 2],
    /// Stopped on its own, on the way to each end.
    clogged: [bool; 2],
    /// Counts the times that it was free again.
    episode: u32,
}

/// What is to happen on a link.
#[derive(Debug)]
pub(super) enum Arrival<M> {
    /// A message arrives at this end.
    Message { at: Now, side: usize, message: M },
    /// This end learns that the link is closed.
    Closed { at: Now, side: usize },
    /// This end's keep-alive looks.
    Look { at: Now, side: usize, episode: u32 },
}

/// All links.
#[derive(Debug)]
pub(super) struct Network<M> {
    wires: Vec<Wire<M>>,
    hosts: usize,
    /// How many partitions lie between two machines, in one direction.
    blocked: Vec<u32>,
    /// Messages take up to this many milliseconds.
    pub(super) slowest_millis: u64,
}

impl<M> Network<M> {
    pub(super) fn new(hosts: usize, slowest_millis: u64) -> Self {
        Self { wires: Vec::new(), hosts, blocked: vec![0; hosts * hosts], slowest_millis }
    }

    fn index(link: LinkId) -> usize {
        usize::try_from(link.0).expect("our own number")
    }

    /// Opens a link between two nodes on their machines.
    pub(super) fn open(&mut self, kind: LinkKind, ends: [NodeId; 2], hosts: [usize; 2]) -> LinkId {
        self.wires.push(Wire {
            kind,
            ends,
            hosts,
            open: [true; 2],
            last: [Now::default(); 2],
            told: [false; 2],
            lost_after: [None; 2],
            held: [VecDeque::new(), VecDeque::new()],
            ended: [false; 2],
            clogged: [false; 2],
            episode: 0,
        });
        LinkId(self.wires.len() as u64 - 1)
    }

    pub(super) fn end(&self, link: LinkId, side: usize) -> NodeId {
        self.wires[Self::index(link)].ends[side]
    }

    pub(super) fn kind(&self, link: LinkId) -> LinkKind {
        self.wires[Self::index(link)].kind
    }

    /// Whether words of one machine reach another.
    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        self.blocked[from * self.hosts + to] == 0
    }

    pub(super) fn reaches_both_ways(&self, a: usize, b: usize) -> bool {
        self.reaches(a, b) && self.reaches(b, a)
    }

    fn passes(&self, wire: &Wire<M>, side: usize) -> bool {
        !wire.clogged[side] && self.reaches(wire.hosts[1 - side], wire.hosts[side])
    }

    /// Whether what arrives at this end now is heard there.
    pub(super) fn is_heard(&self, link: LinkId, side: usize, now: Now) -> bool {
        let wire = &self.wires[Self::index(link)];
        wire.open[side] && wire.lost_after[side].is_none_or(|at| now <= at)
    }

    /// A node says something. Nothing when it is held back or lost.
    pub(super) fn send(
        &mut self,
        now: Now,
        link: LinkId,
        from: NodeId,
        message: M,
        chance: &mut Chance,
    ) -> Option<Arrival<M>> {
        let slowest = self.slowest_millis;
        let passes = [0, 1].map(|side| self.passes(&self.wires[Self::index(link)], side));
        let wire = &mut self.wires[Self::index(link)];
        let side = usize::from(wire.ends[0] == from);
        if !wire.open[1 - side] || wire.lost_after[side].is_some() {
            return None;
        }
        if !passes[side] || !wire.held[side].is_empty() {
            wire.held[side].push_back(message);
            return None;
        }
        let at = now.after(chance.millis(0, slowest)).max(wire.last[side]);
        wire.last[side] = at;
        Some(Arrival::Message { at, side, message })
    }

    /// A node closes its end, in order, or because it is gone: what it said before arrives.
    pub(super) fn close(&mut self, now: Now, link: LinkId, by: NodeId, chance: &mut Chance) -> Vec<Arrival<M>> {
        let wire = &self.wires[Self::index(link)];
        let mine = usize::from(wire.ends[0] != by);
        self.close_end(now, link, mine, chance)
    }

    fn close_end(&mut self, now: Now, link: LinkId, mine: usize, chance: &mut Chance) -> Vec<Arrival<M>> {
        let slowest = self.slowest_millis;
        let passes = self.passes(&self.wires[Self::index(link)], 1 - mine);
        let wire = &mut self.wires[Self::index(link)];
        let mut arrivals = Vec::new();
        if !wire.open[mine] {
            return arrivals;
        }
        wire.open[mine] = false;
        wire.held[mine].clear();
        arrivals.push(Arrival::Closed { at: now, side: mine });
        let theirs = 1 - mine;
        if wire.open[theirs] && passes && wire.held[theirs].is_empty() {
            let at = now.after(chance.millis(0, slowest)).max(wire.last[theirs]);
            wire.last[theirs] = at;
            arrivals.push(Arrival::Closed { at, side: theirs });
        } else {
            wire.ended[theirs] = wire.open[theirs];
        }
        arrivals
    }

    /// This end learns that the link is closed. Whether that is news.
    pub(super) fn learned(&mut self, link: LinkId, side: usize) -> bool {
        let wire = &mut self.wires[Self::index(link)];
        wire.open[side] = false;
        !std::mem::replace(&mut wire.told[side], true)
    }

    /// The link breaks: of what is on its way in each direction the last is lost. The ends learn of it at once, or one
    /// of them only when its keep-alive finds out.
    pub(super) fn cut(
        &mut self,
        now: Now,
        link: LinkId,
        half_open: Option<usize>,
        chance: &mut Chance,
    ) -> Vec<Arrival<M>> {
        let slowest = self.slowest_millis;
        let passes = [0, 1].map(|side| self.passes(&self.wires[Self::index(link)], side));
        let wire = &mut self.wires[Self::index(link)];
        let mut arrivals = Vec::new();
        for (side, passes) in passes.into_iter().enumerate() {
            if !wire.open[side] || wire.lost_after[side].is_some() {
                continue;
            }
            let under_way = u64::try_from(wire.last[side].since(now).as_millis()).unwrap_or(0);
            let heard_until = now.after(chance.millis(0, under_way));
            wire.lost_after[side] = Some(heard_until);
            wire.held[side].clear();
            let patience = u64::try_from(wire.kind.patience()[side].as_millis()).unwrap_or(u64::MAX);
            let late = match half_open {
                Some(end) if end == side => chance.millis(patience / 2, patience),
                // The news cannot pass. Its next word is answered by nobody, or with the news.
                _ if !passes => chance.millis(0, patience / 2),
                _ => Duration::ZERO,
            };
            let at = heard_until.after(late + chance.millis(0, slowest));
            arrivals.push(Arrival::Closed { at, side });
        }
        arrivals
    }

    /// This end's keep-alive looks: whether it closes the link. `peer_hears`: the process at the other end is not stopped.
    pub(super) fn look(
        &mut self,
        now: Now,
        link: LinkId,
        side: usize,
        episode: u32,
        peer_hears: bool,
        chance: &mut Chance,
    ) -> Vec<Arrival<M>> {
        let wire = &self.wires[Self::index(link)];
        let stalled = !self.passes(wire, 0) || !self.passes(wire, 1) || !peer_hears;
        if wire.episode != episode || !wire.open[side] || wire.lost_after[side].is_some() || !stalled {
            return Vec::new();
        }
        self.close_end(now, link, side, chance)
    }

    /// The looks of both ends' keep-alives at a link that has just stalled.
    fn looks(wire: &Wire<M>, now: Now, chance: &mut Chance) -> Vec<Arrival<M>> {
        let look = |side: usize| {
            let patience = u64::try_from(wire.kind.patience()[side].as_millis()).unwrap_or(u64::MAX);
            Arrival::Look { at: now.after(chance.millis(patience / 2, patience)), side, episode: wire.episode }
        };
        [0, 1].map(look).into()
    }

    /// A process at one end is stopped: the other end will find out.
    pub(super) fn stalls(&self, now: Now, link: LinkId, chance: &mut Chance) -> Vec<Arrival<M>> {
        Self::looks(&self.wires[Self::index(link)], now, chance)
    }

    /// Nothing passes from some machines to others, until [`Network::heal`]. Gives the links that stall.
    pub(super) fn partition(
        &mut self,
        now: Now,
        pairs: &[(usize, usize)],
        chance: &mut Chance,
    ) -> Vec<(LinkId, Vec<Arrival<M>>)> {
        for (from, to) in pairs {
            self.blocked[from * self.hosts + to] += 1;
        }
        let is_between =
            |w: &Wire<M>| pairs.contains(&(w.hosts[0], w.hosts[1])) || pairs.contains(&(w.hosts[1], w.hosts[0]));
        self.each(is_between, |wire| Self::looks(wire, now, chance))
    }

    /// A partition is over. Gives what passes now.
    pub(super) fn heal(
        &mut self,
        now: Now,
        pairs: &[(usize, usize)],
        chance: &mut Chance,
    ) -> Vec<(LinkId, Vec<Arrival<M>>)> {
        for (from, to) in pairs {
            self.blocked[from * self.hosts + to] -= 1;
        }
        let links: Vec<LinkId> = (0..self.wires.len() as u64).map(LinkId).collect();
        links.into_iter().map(|link| (link, self.flush(now, link, chance))).filter(|(_, a)| !a.is_empty()).collect()
    }

    /// A link stops for itself, in one direction or both.
    pub(super) fn clog(&mut self, now: Now, link: LinkId, sides: [bool; 2], chance: &mut Chance) -> Vec<Arrival<M>> {
        let wire = &mut self.wires[Self::index(link)];
        wire.clogged = sides;
        Self::looks(wire, now, chance)
    }

    /// It goes on.
    pub(super) fn unclog(&mut self, now: Now, link: LinkId, chance: &mut Chance) -> Vec<Arrival<M>> {
        self.wires[Self::index(link)].clogged = [false; 2];
        self.flush(now, link, chance)
    }

    /// What was held back and can pass now. Of what an end said that has closed since, the last is lost.
    fn flush(&mut self, now: Now, link: LinkId, chance: &mut Chance) -> Vec<Arrival<M>> {
        let slowest = self.slowest_millis;
        let mut arrivals = Vec::new();
        let passes = [0, 1].map(|side| self.passes(&self.wires[Self::index(link)], side));
        let wire = &mut self.wires[Self::index(link)];
        if passes == [true; 2] {
            wire.episode += 1;
        }
        for side in (0..2).filter(|side| passes[*side]) {
            let mut held = std::mem::take(&mut wire.held[side]);
            if wire.ended[side] {
                held.truncate(chance.index(held.len()));
            }
            if !wire.open[side] {
                continue;
            }
            let mut at = now.max(wire.last[side]);
            for message in held {
                at = at.after(chance.millis(0, slowest));
                arrivals.push(Arrival::Message { at, side, message });
            }
            if std::mem::take(&mut wire.ended[side]) {
                at = at.after(chance.millis(0, slowest));
                arrivals.push(Arrival::Closed { at, side });
            }
            wire.last[side] = at;
        }
        arrivals
    }

    fn each(
        &self,
        which: impl Fn(&Wire<M>) -> bool,
        mut give: impl FnMut(&Wire<M>) -> Vec<Arrival<M>>,
    ) -> Vec<(LinkId, Vec<Arrival<M>>)> {
        let open = (0..).zip(&self.wires).filter(|(_, wire)| wire.open == [true; 2] && which(wire));
        open.map(|(link, wire)| (LinkId(link), give(wire))).collect()
    }

    /// The links whose both ends speak and listen.
    pub(super) fn open_links(&self) -> Vec<LinkId> {
        let whole =
            |wire: &Wire<M>| wire.open == [true; 2] && wire.lost_after == [None; 2] && wire.clogged == [false; 2];
        (0..).zip(&self.wires).filter(|(_, wire)| whole(wire)).map(|(link, _)| LinkId(link)).collect()
    }

    /// The links of which a node is an open end.
    pub(super) fn links_of(&self, node: NodeId) -> Vec<LinkId> {
        let ends = |wire: &Wire<M>| (0..2).any(|side| wire.ends[side] == node && wire.open[side]);
        (0..).zip(&self.wires).filter(|(_, wire)| ends(wire)).map(|(link, _)| LinkId(link)).collect()
    }
}
