//! Links inside one process.

use hearth_core::{
    Refusal,
    link::{Dial, DialError, Link, Pending, pair},
};
use std::fmt;

/// How a peer takes a link.
type Accept<In, Out> = dyn Fn(Link<Out, In>) -> Result<(), Refusal> + Send + Sync;

/// Dials a peer in this process.
pub(crate) struct InProcess<In, Out> {
    peer: &'static str,
    accept: Box<Accept<In, Out>>,
}

impl<In, Out> InProcess<In, Out> {
    /// Dials a peer that takes its links so.
    pub(crate) fn new(
        peer: &'static str,
        accept: impl Fn(Link<Out, In>) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        Self { peer, accept: Box::new(accept) }
    }
}

impl<In, Out> fmt::Debug for InProcess<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InProcess({})", self.peer)
    }
}

impl<In: Send + 'static, Out: Send + 'static> Dial<In, Out> for InProcess<In, Out> {
    fn dial(&self) -> Pending<'_, Result<Link<In, Out>, DialError>> {
        let (ours, theirs) = pair();
        let taken = (self.accept)(theirs).map_err(|refusal| DialError(format!("{}: {refusal}", self.peer)));
        Box::pin(async move { taken.map(|()| ours) })
    }

    fn peer(&self) -> String {
        self.peer.to_owned()
    }
}
