//! The master's service: sockets, the clock, the disk.
//!
//! ```text
//! gRPC stream ──grpc──> Link ──┐                       ┌──> Link ──> stream
//! in process  ─────────> Link ─┴─links──> events ──> loop ──> effects ──links──┴──> answers
//! HTTP ──http──> question ─────┘            │
//!                                        journal
//! ```
//!
//! [`start`] listens; [`start_in_process`] runs the same loop for one process alone, without any socket. Nothing here
//! decides anything: that is [`crate::machine`].

mod error;
mod grpc;
mod handle;
mod http;
mod journal;
mod links;
mod metrics;
mod options;
mod spark_json;

pub use error::Error;
pub use handle::MasterHandle;
pub use options::MasterServiceOptions;

use crate::machine::{Master, MasterOptions};
use handle::{End, Inner};
use hearth_core::{
    messages::worker::Address,
    run::{self, Clock},
    wire,
};
use hearth_proto::v1::{
    application_link_server::ApplicationLinkServer, submission_server::SubmissionServer,
    worker_link_server::WorkerLinkServer,
};
use journal::{MasterJournal, StateDir};
use links::{Counted, Links, Performer, wall_time};
use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::{TcpListener, lookup_host},
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tonic::transport::{Server, server::TcpIncoming};

/// How often an idle connection is asked whether it lives, and how long it may take to answer: a machine that vanished
/// without a word closes its links after both.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Streams of one connection: peers have one of each kind, and a few calls beside it.
const STREAMS: u32 = 64;

/// Starts a master that listens. Its listeners are bound before anything else is touched.
pub async fn start(options: MasterServiceOptions) -> Result<MasterHandle, Error> {
    let MasterServiceOptions { host, port, webui_port, state_dir, mut machine } = options;
    let rpc = bind(&host, port, "--port").await?;
    let web = bind(&host, webui_port, "--webui-port").await?;
    let (port, webui_port) = (local_port(&rpc, &host, "--port")?, local_port(&web, &host, "--webui-port")?);
    machine.url = format!("hearth://{}", Address { host, port });

    // Seconds since the epoch rise from one start to the next also where nothing is kept. The second that has not begun yet:
    // an earlier master may have named applications in this one.
    machine.term = wall_time().0 / 1000 + 1;
    let journal = match state_dir {
        None => MasterJournal::Nowhere,
        Some(dir) => {
            let state = StateDir::open(&dir)?;
            machine.term = state.next_term(machine.term)?;
            let (journal, aside) = state.start_journal()?;
            if let Some(aside) = aside {
                let aside = aside.display();
                tracing::warn!(
                    "this master starts empty: recovery is not built yet; the old journal is kept as {aside}"
                );
            }
            MasterJournal::File(journal)
        }
    };
    let url = machine.url.clone();
    let running = Running::start(machine, journal);
    let grpc = serve_grpc(rpc, running.links.clone(), running.stopping.subscribe());
    let http = serve_http(web, running.links.clone(), running.stopping.subscribe());
    let servers = vec![running.watch("the gRPC server", grpc), running.watch("the HTTP server", http)];
    tracing::info!("master at {url}, HTTP on port {webui_port}");
    Ok(running.handle(url, Some((port, webui_port)), servers))
}

/// Starts a master for this process alone: it is reached by [`MasterHandle::accept_worker`] and
/// [`MasterHandle::accept_application`] only. Must be called on a tokio runtime.
pub fn start_in_process(machine: MasterOptions) -> MasterHandle {
    let url = machine.url.clone();
    Running::start(machine, MasterJournal::Nowhere).handle(url, None, Vec::new())
}

/// The loop, on its way to become a handle.
struct Running {
    links: Arc<Links>,
    stopping: watch::Sender<bool>,
    ended: Arc<watch::Sender<Option<End>>>,
    main: JoinHandle<()>,
}

impl Running {
    fn start(machine: MasterOptions, journal: MasterJournal) -> Self {
        let (events, queue) = mpsc::channel(run::QUEUE);
        let links = Arc::new(Links::new(events));
        let ended = Arc::new(watch::Sender::new(None));
        let counted = Counted { machine: Master::new(machine), handled: links.handled.clone() };
        let (performer, closing, end) = (Performer(links.clone()), links.clone(), ended.clone());
        let main = tokio::spawn(async move {
            let outcome = run::run(counted, queue, journal, performer, Clock::new()).await;
            let how = match outcome {
                Ok(_) => End::Shutdown,
                Err(error) => {
                    tracing::error!("the journal cannot be written, the master stops: {error}");
                    End::Journal(error.to_string())
                }
            };
            closing.close();
            first(&end, how);
        });
        Self { links, stopping: watch::Sender::new(false), ended, main }
    }

    /// Runs a server; one that ends with an error ends the master.
    fn watch(
        &self,
        what: &'static str,
        server: impl Future<Output = io::Result<()>> + Send + 'static,
    ) -> JoinHandle<()> {
        let (end, links) = (self.ended.clone(), self.links.clone());
        tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!("{what} ended: {error}");
                first(&end, End::Broken(format!("{what} ended: {error}")));
                links.close();
            }
        })
    }

    fn handle(self, url: String, ports: Option<(u16, u16)>, mut tasks: Vec<JoinHandle<()>>) -> MasterHandle {
        tasks.insert(0, self.main);
        MasterHandle(Arc::new(Inner {
            links: self.links,
            url,
            port: ports.map(|(port, _)| port),
            webui_port: ports.map(|(_, port)| port),
            stopping: self.stopping,
            ended: self.ended.subscribe(),
            tasks: Mutex::new(tasks),
        }))
    }
}

/// Notes how the master ended, unless that is known: the first cause is the cause.
fn first(ended: &watch::Sender<Option<End>>, how: End) {
    ended.send_if_modified(|end| {
        let news = end.is_none();
        end.get_or_insert(how);
        news
    });
}

async fn bind(host: &str, port: u16, flag: &'static str) -> Result<TcpListener, Error> {
    let failed = |source: io::Error| Error::Listen { host: host.to_owned(), port, flag, source };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<_> = lookup_host((bare, port)).await.map_err(failed)?.collect();
    if !addresses.iter().all(|address| address.ip().is_loopback()) {
        return Err(Error::NotLoopback { host: host.to_owned() });
    }
    TcpListener::bind(addresses.as_slice()).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Error::PortInUse { host: host.to_owned(), port, flag },
        _ => failed(error),
    })
}

fn local_port(listener: &TcpListener, host: &str, flag: &'static str) -> Result<u16, Error> {
    let failed = |source| Error::Listen { host: host.to_owned(), port: 0, flag, source };
    listener.local_addr().map(|address| address.port()).map_err(failed)
}

async fn serve_grpc(listener: TcpListener, links: Arc<Links>, stopping: watch::Receiver<bool>) -> io::Result<()> {
    let services = grpc::Services(links);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(STREAMS)
        .add_service(WorkerLinkServer::new(services.clone()).max_decoding_message_size(wire::MAX_MESSAGE))
        .add_service(ApplicationLinkServer::new(services.clone()).max_decoding_message_size(wire::MAX_MESSAGE))
        .add_service(SubmissionServer::new(services).max_decoding_message_size(wire::MAX_MESSAGE))
        .serve_with_incoming_shutdown(incoming, stop(stopping))
        .await
        .map_err(io::Error::other)
}

async fn serve_http(listener: TcpListener, links: Arc<Links>, stopping: watch::Receiver<bool>) -> io::Result<()> {
    axum::serve(listener, http::router(links)).with_graceful_shutdown(stop(stopping)).await
}

async fn stop(mut stopping: watch::Receiver<bool>) {
    // An error means that the handle is gone, and with it whoever could want to go on.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

#[cfg(test)]
mod tests;
