//! A link between two processes, as their shells see it: two bounded queues of messages, whatever carries them.
//!
//! On the wire a link is a gRPC stream ([`crate::wire`]); in local mode it is a [`pair`] of channels. A link is closed
//! when `incoming` ends or `outgoing` is closed; whoever drops both ends closes it for the other side.
//!
//! Performers use [`Link::outgoing`] with `try_send`: a peer that lets the queue fill up is not read from any more, so
//! its link is closed rather than waited for.

use std::{fmt, future::Future, pin::Pin};
use tokio::sync::mpsc;

/// Messages that may wait in one direction of one link. Batches count as one message.
pub const LINK_QUEUE: usize = 4096;

/// One end of a link.
#[derive(Debug)]
pub struct Link<In, Out> {
    /// What the peer says.
    pub incoming: mpsc::Receiver<In>,
    /// What we say.
    pub outgoing: mpsc::Sender<Out>,
}

/// The two ends of a link inside one process.
pub fn pair<A, B>() -> (Link<A, B>, Link<B, A>) {
    let (to_left, from_right) = mpsc::channel(LINK_QUEUE);
    let (to_right, from_left) = mpsc::channel(LINK_QUEUE);
    (Link { incoming: from_right, outgoing: to_right }, Link { incoming: from_left, outgoing: to_left })
}

/// Why a link could not be opened. For people: names the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DialError(pub String);

/// A future in a box.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens links to one peer; called again after a link broke.
pub trait Dial<In, Out>: Send + Sync + 'static {
    /// Tries once. Bounded in time (5 s).
    fn dial(&self) -> Pending<'_, Result<Link<In, Out>, DialError>>;
    /// What log lines call the peer.
    fn peer(&self) -> String;
}

impl<In: 'static, Out: 'static> fmt::Debug for dyn Dial<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.peer())
    }
}
