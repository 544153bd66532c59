//! A running master, as the rest of its process sees it.

use super::{Error, links::Links};
use crate::machine::{Answer, Event};
use hearth_core::{
    Refusal,
    link::Link,
    messages::{
        application::{AppDown, AppUp},
        status::ClusterView,
        worker::{WorkerDown, WorkerUp},
    },
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

/// How long a shutdown waits for streams to drain and connections to close before it cuts them off.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// How a master's loop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Asked for.
    Shutdown,
    /// Its journal could not be written.
    Journal(String),
    /// A server or the loop itself broke.
    Broken(String),
}

/// A running master. Clones are the same master; it stops with the last of them.
#[derive(Clone)]
pub struct MasterHandle(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) links: Arc<Links>,
    pub(super) url: String,
    pub(super) port: Option<u16>,
    pub(super) webui_port: Option<u16>,
    /// Turns true when the servers are to stop.
    pub(super) stopping: watch::Sender<bool>,
    pub(super) ended: watch::Receiver<Option<End>>,
    pub(super) tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    /// With the last handle goes the master: the servers see that `stopping` is gone, the loop that its links are.
    fn drop(&mut self) {
        self.links.close();
    }
}

impl fmt::Debug for MasterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterHandle").field("url", &self.0.url).finish_non_exhaustive()
    }
}

impl MasterHandle {
    /// Takes a worker's link, whatever carries it. Must be called on a tokio runtime.
    pub fn accept_worker(&self, link: Link<WorkerUp, WorkerDown>) -> Result<(), Refusal> {
        self.0.links.accept_worker(link)
    }

    /// Takes a driver's link, whatever carries it. Must be called on a tokio runtime.
    pub fn accept_application(&self, link: Link<AppUp, AppDown>) -> Result<(), Refusal> {
        self.0.links.accept_application(link)
    }

    /// The whole cluster.
    pub async fn status(&self) -> Result<ClusterView, Refusal> {
        status(&self.0.links).await
    }

    /// Why an application, a worker, or an executor (`APPLICATION/EXECUTOR`) is as it is.
    pub async fn explain(&self, id: &str) -> Result<String, Refusal> {
        explain(&self.0.links, id).await
    }

    /// The URL by which workers and drivers know it.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The port for workers, drivers and the command line; none when it serves its own process only.
    pub fn port(&self) -> Option<u16> {
        self.0.port
    }

    /// The port for HTTP; none when it serves its own process only.
    pub fn webui_port(&self) -> Option<u16> {
        self.0.webui_port
    }

    /// Waits until it has stopped: by [`MasterHandle::shutdown`], or by itself with an error.
    pub async fn stopped(&self) -> Result<(), Error> {
        let mut ended = self.0.ended.clone();
        let end = ended.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        match end {
            Some(End::Shutdown) => Ok(()),
            Some(End::Journal(error)) => Err(Error::Journal(error)),
            Some(End::Broken(error)) => Err(Error::Server(error)),
            None => Err(Error::Server("its loop was cut off".into())),
        }
    }

    /// Stops: takes nothing new, closes every link once what was said on it is sent, and waits for the servers, at most
    /// 5 s. Workers and executors go on: they look for a master again.
    pub async fn shutdown(&self) {
        self.0.stopping.send_replace(true);
        self.0.links.close();
        let tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let until = Instant::now() + SHUTDOWN;
        for mut task in tasks {
            if timeout_at(until, &mut task).await.is_err() {
                tracing::warn!("a connection did not end within {SHUTDOWN:?} and is cut off");
                task.abort();
            }
        }
    }
}

pub(super) async fn status(links: &Links) -> Result<ClusterView, Refusal> {
    match links.ask(|reply, wall| Event::StatusAsked { reply, wall }).await? {
        Answer::Status(view) => Ok(view),
        Answer::Refused(refusal) => Err(refusal),
        Answer::Explanation(_) => unreachable!("a question for the status is answered with a status"),
    }
}

pub(super) async fn explain(links: &Links, id: &str) -> Result<String, Refusal> {
    let id = id.to_owned();
    match links.ask(|reply, wall| Event::ExplainAsked { reply, wall, id }).await? {
        Answer::Explanation(text) => Ok(text),
        Answer::Refused(refusal) => Err(refusal),
        Answer::Status(_) => unreachable!("a question for an explanation is answered with an explanation"),
    }
}
