//! The driver's end of the link to its master.

use super::links::Links;
use crate::machine::Event;
use hearth_core::{
    LinkId,
    link::{Dial, Link},
    messages::application::{AppDown, AppUp},
};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// How long a link that we close stays open for the master to read the goodbye and close: without it the master waits out
/// its grace and counts the application as killed.
const LINGER: Duration = Duration::from_millis(500);

/// Dials the master, and speaks on the link that is open. Dropping it closes the link.
pub(super) struct Uplink {
    dial: Option<Arc<dyn Dial<AppDown, AppUp>>>,
    links: Arc<Links>,
    open: Arc<Mutex<Option<Open>>>,
}

/// The way out of the open link. Dropping it closes the link.
struct Open {
    link: LinkId,
    outgoing: mpsc::Sender<AppUp>,
    /// Ends the reader.
    _reader: oneshot::Sender<std::convert::Infallible>,
}

impl Uplink {
    pub(super) fn new(dial: Option<Arc<dyn Dial<AppDown, AppUp>>>, links: Arc<Links>) -> Self {
        Self { dial, links, open: Arc::default() }
    }

    /// Opens a link; events tell what becomes of it.
    pub(super) fn dial(&self) {
        let (links, open) = (self.links.clone(), self.open.clone());
        let Some(dial) = self.dial.clone() else {
            links.post_later([Event::MasterDialFailed { reason: "there is no master".into(), jitter: 0 }]);
            return;
        };
        self.links.tracker.spawn(async move {
            match dial.dial().await {
                Ok(link) => run(link, &links, &open).await,
                Err(error) => {
                    links.post(Event::MasterDialFailed { reason: error.to_string(), jitter: jitter() }).await;
                }
            }
        });
    }

    /// Says something. A link that the master does not read from any more is closed rather than waited for.
    pub(super) fn say(&self, link: LinkId, message: AppUp) {
        let mut open = lock(&self.open);
        let Some(found) = open.as_ref().filter(|open| open.link == link) else { return };
        if let Err(error) = found.outgoing.try_send(message) {
            tracing::warn!("closing the link to the master, which does not read from it: {error}");
            *open = None;
        }
    }

    pub(super) fn close(&self, link: LinkId) {
        lock(&self.open).take_if(|open| open.link == link);
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        *lock(&self.open) = None;
    }
}

fn lock(open: &Mutex<Option<Open>>) -> MutexGuard<'_, Option<Open>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads from a link until either side closes it.
async fn run(link: Link<AppDown, AppUp>, links: &Links, open: &Mutex<Option<Open>>) {
    let Link { mut incoming, outgoing } = link;
    let link = LinkId(links.number());
    let (reader, stop) = oneshot::channel();
    *lock(open) = Some(Open { link, outgoing, _reader: reader });
    if !links.post(Event::MasterLinkOpened { link }).await {
        lock(open).take_if(|open| open.link == link);
        return;
    }
    let read = async {
        while let Some(message) = incoming.recv().await {
            if !links.post(Event::MasterSaid { link, message }).await {
                return;
            }
        }
    };
    let by_us = tokio::select! {
        () = read => false,
        _ = stop => true,
    };
    lock(open).take_if(|open| open.link == link);
    links.post(Event::MasterLinkClosed { link, jitter: jitter() }).await;
    if by_us {
        // The goodbye is on its way; the master closes when it has read it.
        let read_out = async { while incoming.recv().await.is_some() {} };
        let _ = tokio::time::timeout(LINGER, read_out).await;
    }
}

/// A chance in 0..=1000, for pauses: hashers are seeded by chance.
fn jitter() -> u32 {
    u32::try_from(RandomState::new().build_hasher().finish() % 1001).unwrap_or(500)
}
