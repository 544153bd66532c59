//! The executor's end of the link to its driver.

use crate::machine::Event;
use hearth_core::{
    LinkId, failpoint,
    link::{Dial, Link},
    messages::task::{TaskDown, TaskUp},
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// How long a link that we close stays open for the peer to read what was said last.
const LINGER: Duration = Duration::from_millis(500);

/// Dials the driver, and speaks on the link that is open. Dropping it closes the link.
pub(super) struct Uplink {
    dial: Arc<dyn Dial<TaskDown, TaskUp>>,
    events: mpsc::Sender<Event>,
    tracker: TaskTracker,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Links opened so far.
    count: AtomicU64,
    open: Mutex<Option<Open>>,
}

/// The way out of the open link. Dropping it closes the link.
struct Open {
    link: LinkId,
    outgoing: mpsc::Sender<TaskUp>,
    _close: oneshot::Sender<std::convert::Infallible>,
}

impl Uplink {
    pub(super) fn new(
        dial: Arc<dyn Dial<TaskDown, TaskUp>>,
        events: mpsc::Sender<Event>,
        tracker: TaskTracker,
    ) -> Self {
        Self { dial, events, tracker, shared: Arc::default() }
    }

    /// Opens a link; events tell what becomes of it.
    pub(super) fn dial(&self) {
        let (dial, events, shared) = (self.dial.clone(), self.events.clone(), self.shared.clone());
        self.tracker.spawn(async move {
            let opened = tokio::select! {
                opened = dial.dial() => opened,
                () = events.closed() => return,
            };
            failpoint!("executor.register");
            match opened {
                Ok(link) => run(link, events, &shared).await,
                Err(e) => {
                    // The loop may be gone by now, here and below: then nobody wants to know.
                    let _ = events.send(Event::DialFailed { reason: e.to_string() }).await;
                }
            }
        });
    }

    /// Says something. A link that the peer does not read from any more is closed rather than waited for.
    pub(super) fn say(&self, link: LinkId, message: TaskUp) {
        let mut open = self.shared.lock();
        let Some(found) = open.as_ref().filter(|o| o.link == link) else { return };
        if let Err(e) = found.outgoing.try_send(message) {
            tracing::warn!("closing the link to the driver, which does not read from it: {e}");
            *open = None;
        }
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        *self.shared.lock() = None;
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads from a link until either side closes it.
async fn run(link: Link<TaskDown, TaskUp>, events: mpsc::Sender<Event>, shared: &Shared) {
    let Link { mut incoming, outgoing } = link;
    let link = LinkId(shared.count.fetch_add(1, Ordering::Relaxed));
    let (close, closed) = oneshot::channel();
    *shared.lock() = Some(Open { link, outgoing, _close: close });
    if events.send(Event::LinkOpened { link }).await.is_err() {
        *shared.lock() = None;
        return;
    }
    let read = async {
        while let Some(message) = incoming.recv().await {
            if events.send(Event::DriverSaid { link, message }).await.is_err() {
                return;
            }
        }
    };
    let by_us = tokio::select! {
        () = read => false,
        _ = closed => true,
    };
    shared.lock().take_if(|open| open.link == link);
    let _ = events.send(Event::LinkClosed { link }).await;
    if by_us {
        let read_out = async { while incoming.recv().await.is_some() {} };
        let _ = tokio::time::timeout(LINGER, read_out).await;
    }
}
