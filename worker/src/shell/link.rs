//! The open links to the master, and the tasks that read them.

use crate::machine::Event;
use hearth_core::{
    LinkId,
    link::{Dial, Link},
    messages::worker::{WorkerDown, WorkerUp},
};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

/// The longest a dial may take. Dialers bound themselves to 5 s; this holds where one does not.
const DIAL: Duration = Duration::from_secs(6);
/// How long a closed link may take to deliver what was said on it.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// Why the reader of a link is to end.
#[derive(Debug)]
enum End {
    /// The worker closed it: what was said on it is still delivered.
    Closed,
    /// It is of no use any more.
    Broken(&'static str),
}

#[derive(Debug)]
struct Open {
    outgoing: mpsc::Sender<WorkerUp>,
    end: oneshot::Sender<End>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    open: BTreeMap<LinkId, Open>,
    /// The worker is gone; no link is opened any more.
    closed: bool,
}

/// The links to the master. There is one at a time; another may still be delivering its last words.
#[derive(Clone)]
pub(super) struct Links {
    table: Arc<Mutex<Table>>,
    dial: Arc<dyn Dial<WorkerDown, WorkerUp>>,
    events: mpsc::Sender<Event>,
    /// How often a master has taken the worker.
    registered: watch::Sender<u64>,
    /// Held by every reader, so that the end of all can be awaited.
    _reading: mpsc::Sender<Infallible>,
}

impl Links {
    pub(super) fn new(
        dial: Arc<dyn Dial<WorkerDown, WorkerUp>>,
        events: mpsc::Sender<Event>,
    ) -> (Self, mpsc::Receiver<Infallible>) {
        let (reading, all_read) = mpsc::channel(1);
        (Self { table: Arc::default(), dial, events, registered: watch::Sender::new(0), _reading: reading }, all_read)
    }

    /// Tells whenever a master has taken the worker.
    pub(super) fn registered(&self) -> watch::Receiver<u64> {
        self.registered.subscribe()
    }

    /// Dials, and reads what comes until the link ends.
    pub(super) fn dial(&self) {
        let links = self.clone();
        tokio::spawn(async move {
            let dialed = tokio::select! {
                dialed = timeout(DIAL, links.dial.dial()) => dialed,
                () = links.events.closed() => return, // The worker is gone.
            };
            let link = match dialed {
                Ok(Ok(link)) => link,
                Ok(Err(error)) => return links.failed(error.to_string()).await,
                Err(_) => return links.failed(format!("{}: no answer within {DIAL:?}", links.dial.peer())).await,
            };
            links.serve(link).await;
        });
    }

    async fn failed(&self, reason: String) {
        // Nobody listens any more when the worker is gone; so below.
        let _ = self.events.send(Event::DialFailed { reason, jitter: jitter() }).await;
    }

    async fn serve(&self, link: Link<WorkerDown, WorkerUp>) {
        let Link { mut incoming, outgoing } = link;
        let (end, mut ended) = oneshot::channel();
        let Some(link) = self.add(Open { outgoing, end }) else { return };
        if self.events.send(Event::LinkOpened { link }).await.is_err() {
            return self.remove(link);
        }
        let reason = loop {
            tokio::select! {
                message = incoming.recv() => match message {
                    Some(message) => {
                        let taken = matches!(message, WorkerDown::Registered { .. });
                        if self.events.send(Event::MasterSaid { link, message }).await.is_err() {
                            break "the worker is gone";
                        }
                        self.registered.send_modify(|times| *times += u64::from(taken));
                    }
                    None => break "it ended",
                },
                end = &mut ended => match end {
                    Ok(End::Broken(reason)) => break reason,
                    Ok(End::Closed) => return drain(&mut incoming).await,
                    Err(_) => return, // The worker is gone.
                },
            }
        };
        self.remove(link);
        let reason = format!("{}: {reason}", self.dial.peer());
        let _ = self.events.send(Event::LinkClosed { link, reason, jitter: jitter() }).await;
    }

    /// Says something, or breaks the link.
    pub(super) fn say(&self, link: LinkId, message: WorkerUp) {
        let mut table = self.lock();
        let Some(open) = table.open.get(&link) else { return };
        let reason = match open.outgoing.try_send(message) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(_)) => "the master does not read",
            Err(mpsc::error::TrySendError::Closed(_)) => "it ended",
        };
        if let Some(open) = table.open.remove(&link) {
            // The reader may have found out itself.
            let _ = open.end.send(End::Broken(reason));
        }
    }

    /// Closes a link, once what was said on it is sent.
    pub(super) fn close(&self, link: LinkId) {
        if let Some(open) = self.lock().open.remove(&link) {
            let _ = open.end.send(End::Closed);
        }
    }

    /// Drops all links, and those to come.
    pub(super) fn drop_all(&self) {
        let mut table = self.lock();
        table.closed = true;
        table.open.clear();
    }

    fn add(&self, open: Open) -> Option<LinkId> {
        let mut table = self.lock();
        if table.closed {
            return None;
        }
        table.last += 1;
        let link = LinkId(table.last);
        table.open.insert(link, open);
        Some(link)
    }

    fn remove(&self, link: LinkId) {
        self.lock().open.remove(&link);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the peer has taken our last words and ended its side.
async fn drain(incoming: &mut mpsc::Receiver<WorkerDown>) {
    let _ = timeout(DRAIN, async { while incoming.recv().await.is_some() {} }).await;
}

/// A chance from 0 to 1000. The standard library seeds its hashers at random; this needs no more than that.
fn jitter() -> u32 {
    u32::try_from(RandomState::new().build_hasher().finish() % 1001).unwrap_or(500)
}
