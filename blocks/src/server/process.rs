//! The body of `hearth blocks`: a machine's block service.

use super::{BlockService, Layout, serve};
use hearth_core::{bootstrap::BlocksBootstrap, lifeline, messages::worker::Address};
use std::{
    io::{self, Read, Write},
    net::SocketAddr,
};
use tokio::{
    net::{TcpListener, lookup_host},
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

/// Why a block service could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The host has no address.
    #[error("{host:?} is not an address of this machine: {source}; give the worker another --host")]
    Resolve {
        /// The host.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The address can be reached from elsewhere.
    #[error(
        "refusing to serve blocks on {0}, which is not on loopback: nothing is authenticated yet; use --host 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    /// The port is taken, or not ours to take.
    #[error("cannot listen on {address}: {source}; give the worker another --port")]
    Bind {
        /// The address.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The worker could not be told the address.
    #[error("cannot tell the worker where this listens: {0}")]
    Announce(io::Error),
    /// Signals cannot be heard.
    #[error("cannot listen for SIGTERM: {0}")]
    Signal(io::Error),
    /// The system gives no threads.
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
    /// The server failed.
    #[error("cannot serve: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// A runtime fit for [`run_block_service`]: one thread for the wire, and a few for the disk, which end when idle. What
/// the service does is wait and copy; more threads would be more memory.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(4).thread_stack_size(256 * 1024).build()
}

/// Binds, writes `listening on HOST:PORT` to `announce`, and serves the files below the worker's directory until
/// `lifeline` (standard input, as a rule) ends or SIGTERM arrives.
pub async fn run_block_service(
    bootstrap: BlocksBootstrap,
    mut announce: impl Write,
    lifeline: impl Read + Send + 'static,
) -> Result<(), ServeError> {
    let BlocksBootstrap { work_dir, roots, host, port } = bootstrap;
    let mut terminated = signal(SignalKind::terminate()).map_err(ServeError::Signal)?;
    let listener = bind(&host, port).await?;
    let taken = listener.local_addr().map_err(ServeError::Announce)?.port();
    let address = Address { host, port: taken };
    writeln!(announce, "listening on {address}").and_then(|()| announce.flush()).map_err(ServeError::Announce)?;
    tracing::info!(%address, work_dir = %work_dir.display(), "serving blocks");
    let cut = lifeline::watch(lifeline).map_err(ServeError::Threads)?;
    let service = BlockService::new(Layout::Worker { roots });
    serve(listener, service.clone(), async move {
        tokio::select! {
            _ = cut => tracing::info!("the worker is gone: stopping"),
            _ = terminated.recv() => tracing::info!("SIGTERM: stopping"),
        }
    })
    .await?;
    tracing::info!(bytes = service.bytes_read(), "served blocks");
    Ok(())
}

async fn bind(host: &str, port: u16) -> Result<TcpListener, ServeError> {
    let resolved = lookup_host((host, port)).await;
    let found: Vec<_> = resolved.map_err(|source| ServeError::Resolve { host: host.to_owned(), source })?.collect();
    if let Some(outside) = found.iter().find(|a| !a.ip().is_loopback()) {
        return Err(ServeError::NotLoopback(*outside));
    }
    let address = Address { host: host.to_owned(), port };
    TcpListener::bind(found.as_slice()).await.map_err(|source| ServeError::Bind { address, source })
}
