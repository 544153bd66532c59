//! A running driver.

use super::{Error, JobHandle, ShellOptions, grpc, links::Links, perform::Performer, uplink::Uplink};
use crate::machine::{DEFAULT_POOL, Driver, Event};
use hearth_core::{
    ApplicationId, ApplicationState, Payload, PayloadHash, Refusal, ShuffleId, StageGraph,
    client::DriverClient,
    link::{Link, Pending},
    messages::{
        task::{MapStatuses, TaskDown, TaskUp},
        worker::Address,
    },
    run::{self, Clock, NoJournal},
    wire,
};
use hearth_proto::v1::task_link_server::TaskLinkServer;
use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tonic::transport::{Server, server::TcpIncoming};

/// How long a stop waits for the machine to take its leave: one step, and whatever is queued before it.
const LEAVE: Duration = Duration::from_secs(5);
/// How long a stop waits for last words to be sent: longer than any link lingers.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a stop waits for connections to close before it cuts them off: nothing is said on them any more.
const CUT_OFF: Duration = Duration::from_millis(100);
/// How often a quiet connection of an executor is asked whether it lives, and how long it may take to say so. Slower than
/// heartbeats: it only finds connections whose other end vanished without a word. A third of `spark.network.timeout` when that
/// is less: both together are within it.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A running driver. Clones are the same driver; with the last of them it stops.
#[derive(Clone)]
pub struct DriverHandle(pub(super) Arc<Inner>);

pub(super) struct Inner {
    links: Arc<Links>,
    port: Option<u16>,
    pub(super) application: watch::Receiver<Option<ApplicationId>>,
    /// True once the loop has ended.
    ended: watch::Receiver<bool>,
    server: Mutex<Option<JoinHandle<()>>>,
    /// Says to the server that it is over.
    stopping: watch::Sender<bool>,
}

impl Drop for Inner {
    /// Whoever forgets to stop the driver does not keep its executors.
    fn drop(&mut self) {
        let (state, message) = (ApplicationState::Finished, "the driver was dropped".to_owned());
        self.links.post_later([Event::StopAsked { state, message }]);
        self.stopping.send_replace(true);
    }
}

impl fmt::Debug for DriverHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverHandle").field("port", &self.0.port).finish_non_exhaustive()
    }
}

impl DriverHandle {
    /// Starts a driver on the current runtime: it listens, registers with the master, and takes jobs.
    pub async fn start(options: ShellOptions) -> Result<Self, Error> {
        let ShellOptions { mut driver, host, bind, port, dial } = options;
        driver.master = dial.as_ref().map(|dial| dial.peer());
        check_loopback(&host)?;
        let bind = bind.as_ref().unwrap_or(&host);
        let listener = match port {
            Some(port) => Some(listen(bind, port).await?),
            None => None,
        };
        let port = match &listener {
            Some(listener) => Some(bound_port(listener, bind)?),
            None => None,
        };
        if let Some(port) = port {
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            driver.spec.driver_url = format!("http://{host}:{port}");
        }
        let keep_alive = KEEP_ALIVE.min(driver.network_timeout / 3);
        let (events, queue) = mpsc::channel(run::QUEUE);
        let links = Arc::new(Links::new(events));
        let (application, application_seen) = watch::channel(None);
        let uplink = Uplink::new(dial, links.clone());
        let (ended, ended_seen) = watch::channel(false);
        let performer = Performer { links: links.clone(), uplink, application };
        let on_end = links.clone();
        links.tracker.spawn(async move {
            // The journal of a driver is none, so its loop ends without an error.
            let _ = run::run(Driver::new(driver), queue, NoJournal, performer, Clock::new()).await;
            on_end.shut();
            ended.send_replace(true);
        });
        let (stopping, stop_seen) = watch::channel(false);
        let server = listener.map(|listener| serve(listener, links.clone(), stop_seen, keep_alive));
        let server = Mutex::new(server);
        Ok(Self(Arc::new(Inner { links, port, application: application_seen, ended: ended_seen, server, stopping })))
    }

    /// The port that executors reach it on; none when it serves its own process only.
    pub fn port(&self) -> Option<u16> {
        self.0.port
    }

    /// The application's id, once the master has given one.
    pub fn application(&self) -> Option<ApplicationId> {
        self.0.application.borrow().clone()
    }

    /// Takes an executor's link, whatever carries it. Must be called on a tokio runtime.
    pub fn accept_executor(&self, link: Link<TaskUp, TaskDown>) -> Result<(), Refusal> {
        self.0.links.accept(link)
    }

    /// Submits a job of no pool.
    pub async fn submit(&self, graph: StageGraph) -> Result<JobHandle, Error> {
        self.submit_to(DEFAULT_POOL.to_owned(), graph).await
    }

    /// Submits a job that takes its slots from this pool.
    pub async fn submit_to(&self, pool: String, graph: StageGraph) -> Result<JobHandle, Error> {
        let links = &self.0.links;
        let mut handle = None;
        let job = links.new_job(|job| {
            let (made, sink) = JobHandle::new(job, &graph, links.clone());
            handle = Some(made);
            sink
        })?;
        let handle = handle.ok_or(Error::Stopped)?;
        if links.post(Event::JobSubmitted { job, graph, pool }).await { Ok(handle) } else { Err(Error::Stopped) }
    }

    /// Ends the application: open jobs are cancelled, executors told to exit, the master told goodbye. Waits until that is
    /// said, for a few seconds at most.
    pub async fn stop(&self, state: ApplicationState, message: impl Into<String>) {
        let message = message.into();
        let leave = async {
            self.0.links.post(Event::StopAsked { state, message }).await;
            let mut ended = self.0.ended.clone();
            // An error means that the loop is gone, which is as good.
            let _ = ended.wait_for(|ended| *ended).await;
        };
        if timeout(LEAVE, leave).await.is_err() {
            tracing::warn!("the driver did not stop within {LEAVE:?}");
        }
        // The links' last words are being sent.
        self.0.links.tracker.close();
        let _ = timeout(LAST_WORDS, self.0.links.tracker.wait()).await;
        self.0.stopping.send_replace(true);
        let server = self.0.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut server) = server
            && timeout(CUT_OFF, &mut server).await.is_err()
        {
            server.abort();
        }
    }
}

impl DriverClient for DriverHandle {
    fn payload(&self, hash: PayloadHash) -> Pending<'_, Result<Payload, Refusal>> {
        Box::pin(grpc::payload(&self.0.links, hash))
    }

    fn map_statuses(&self, shuffle: ShuffleId, epoch: u64) -> Pending<'_, Result<MapStatuses, Refusal>> {
        Box::pin(grpc::map_statuses(&self.0.links, shuffle, epoch))
    }
}

fn check_loopback(host: &str) -> Result<(), Error> {
    if Address::is_loopback(host) { Ok(()) } else { Err(Error::NotLoopback { host: host.to_owned() }) }
}

async fn listen(host: &str, port: u16) -> Result<TcpListener, Error> {
    check_loopback(host)?;
    TcpListener::bind((host, port)).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortInUse { host: host.to_owned(), port },
        _ => Error::Listen { host: host.to_owned(), port, source },
    })
}

fn bound_port(listener: &TcpListener, host: &str) -> Result<u16, Error> {
    let address = listener.local_addr().map_err(|source| Error::Listen { host: host.to_owned(), port: 0, source })?;
    Ok(address.port())
}

/// Serves executors until the driver stops.
fn serve(
    listener: TcpListener,
    links: Arc<Links>,
    mut stopping: watch::Receiver<bool>,
    keep_alive: Duration,
) -> JoinHandle<()> {
    let service = TaskLinkServer::new(grpc::Service(links))
        .max_decoding_message_size(wire::MAX_MESSAGE)
        .max_encoding_message_size(wire::MAX_MESSAGE);
    // Not by the server's own setting, which is for listeners that it opens itself: every answer would wait for 40 ms.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .http2_keepalive_interval(Some(keep_alive))
        .http2_keepalive_timeout(Some(keep_alive))
        .add_service(service);
    tokio::spawn(async move {
        let stopped = async move {
            // An error means that the driver is gone altogether.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        if let Err(error) = server.serve_with_incoming_shutdown(incoming, stopped).await {
            tracing::error!("the driver's TaskLink broke: {error}");
        }
    })
}
