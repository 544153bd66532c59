//! The executor's own block server, when no block service serves its outputs.

use hearth_blocks::{
    BlockService, Layout,
    server::{ServeError, serve},
};
use hearth_core::messages::worker::Address;
use tokio::{
    net::{TcpListener, lookup_host},
    sync::oneshot,
};
use tokio_util::task::TaskTracker;

/// Serves until it is dropped.
#[derive(Debug)]
pub(super) struct OwnServer {
    address: Address,
    _stop: oneshot::Sender<()>,
}

impl OwnServer {
    /// Listens on a free port of `host`.
    pub(super) async fn start(host: &str, layout: Layout, tracker: &TaskTracker) -> Result<Self, ServeError> {
        let listener = bind(host).await?;
        let port = listener.local_addr().map_err(ServeError::Announce)?.port();
        let address = Address { host: host.to_owned(), port };
        let (stop, stopped) = oneshot::channel::<()>();
        let named = address.clone();
        tracker.spawn(async move {
            let over = async { drop(stopped.await) };
            if let Err(e) = serve(listener, BlockService::new(layout), over).await {
                tracing::error!("blocks are no longer served on {named}: {e}");
            }
        });
        Ok(Self { address, _stop: stop })
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }
}

async fn bind(host: &str) -> Result<TcpListener, ServeError> {
    let resolved = lookup_host((host, 0)).await;
    let found: Vec<_> = resolved.map_err(|source| ServeError::Resolve { host: host.to_owned(), source })?.collect();
    if let Some(outside) = found.iter().find(|a| !a.ip().is_loopback()) {
        return Err(ServeError::NotLoopback(*outside));
    }
    let address = Address { host: host.to_owned(), port: 0 };
    TcpListener::bind(found.as_slice()).await.map_err(|source| ServeError::Bind { address, source })
}
