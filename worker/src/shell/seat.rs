//! What starts children, and how they are spoken with.

use crate::machine::{Child, Event};
use hearth_core::bootstrap::{BlocksBootstrap, ExecutorBootstrap};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};
use tokio::sync::mpsc;

/// A soft kill and a hard one: no child is asked more.
const KILLS: usize = 2;

/// Starts children: processes, or tasks of this process.
///
/// Neither method blocks or waits: what becomes of the child is told through its seat. Both are called on a tokio runtime.
pub trait Launcher: fmt::Debug + Send + Sync + 'static {
    /// Starts an executor. Its directories are there.
    fn start_executor(&self, bootstrap: ExecutorBootstrap, seat: ChildSeat);

    /// Starts the block service. It has started once it listens.
    fn start_block_service(&self, bootstrap: BlocksBootstrap, seat: ChildSeat);
}

/// How a child is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// By itself, soon.
    Soft,
    /// At once.
    Hard,
}

/// A child's place at its worker: what the launcher tells of it and is asked for.
///
/// Say `failed`, or `started` and later `exited`. A seat that is dropped before says for itself that the child is over.
#[derive(Debug)]
pub struct ChildSeat {
    child: Child,
    events: mpsc::Sender<Event>,
    kills: mpsc::Receiver<Kill>,
    /// Where the port of a block service is kept for executors to come.
    port: Option<Arc<AtomicU16>>,
    started: bool,
    over: bool,
}

impl ChildSeat {
    /// A seat, and what asks its child to end.
    pub(super) fn new(
        child: Child,
        events: mpsc::Sender<Event>,
        port: Option<Arc<AtomicU16>>,
    ) -> (Self, mpsc::Sender<Kill>) {
        let (ask, kills) = mpsc::channel(KILLS);
        (Self { child, events, kills, port, started: false, over: false }, ask)
    }

    /// Whose it is.
    pub const fn child(&self) -> &Child {
        &self.child
    }

    /// The child runs; a block service listens on `port`, 0 where nobody does (local mode).
    pub async fn started(&mut self, pid: u32, port: u16) {
        if let Some(kept) = &self.port {
            kept.store(port, Ordering::Relaxed);
        }
        self.started = true;
        self.say(Event::ChildStarted { child: self.child.clone(), pid, port }).await;
    }

    /// The child could not be started.
    pub async fn failed(mut self, message: String) {
        self.over = true;
        self.say(Event::SpawnFailed { child: self.child.clone(), message }).await;
    }

    /// The child is over and has left nothing behind. `tail` is the end of what it said on standard error.
    pub async fn exited(self, exit_code: i32, tail: String) {
        self.ended(exit_code, None, tail).await;
    }

    /// The same; `cause` is what else is known of its end.
    pub async fn ended(mut self, exit_code: i32, cause: Option<String>, tail: String) {
        self.over = true;
        self.say(Event::ChildExited { child: self.child.clone(), exit_code, cause, tail }).await;
    }

    /// Waits until the child is to end. Nothing: the worker is gone; end the child at once and do not ask again. Cancel
    /// safe.
    pub async fn kill_asked(&mut self) -> Option<Kill> {
        self.kills.recv().await
    }

    async fn say(&self, event: Event) {
        // Nobody listens any more: the worker is gone.
        let _ = self.events.send(event).await;
    }
}

impl Drop for ChildSeat {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let child = self.child.clone();
        let lost = "what watched it is gone".to_owned();
        // The queue has room for thousands of events, so this fails only when nobody listens any more.
        let _ = self.events.try_send(if self.started {
            Event::ChildExited { child, exit_code: 1, cause: None, tail: lost }
        } else {
            Event::SpawnFailed { child, message: lost }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_seat_that_is_dropped_says_that_its_child_is_over() {
        let (events, mut heard) = mpsc::channel(4);
        let child = Child::BlockService;
        let (seat, _) = ChildSeat::new(child.clone(), events.clone(), None);
        drop(seat);
        let message = "what watched it is gone".to_owned();
        assert_eq!(heard.recv().await, Some(Event::SpawnFailed { child: child.clone(), message: message.clone() }));

        let port = Arc::<AtomicU16>::default();
        let (mut seat, _) = ChildSeat::new(child.clone(), events.clone(), Some(Arc::clone(&port)));
        seat.started(5, 70).await;
        assert_eq!(port.load(Ordering::Relaxed), 70);
        assert_eq!(heard.recv().await, Some(Event::ChildStarted { child: child.clone(), pid: 5, port: 70 }));
        drop(seat);
        let exited = Event::ChildExited { child: child.clone(), exit_code: 1, cause: None, tail: message };
        assert_eq!(heard.recv().await, Some(exited));

        let (seat, _) = ChildSeat::new(child, events, None);
        seat.exited(0, String::new()).await;
        assert!(matches!(heard.recv().await, Some(Event::ChildExited { exit_code: 0, .. })));
        assert_eq!(heard.recv().await, None, "said once, and every sender is gone");
    }
}
