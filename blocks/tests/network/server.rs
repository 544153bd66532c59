//! A server that can be killed.

use hearth_blocks::{BlockService, server::serve};
use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};
use tokio::runtime::Runtime;

/// A server on a runtime of its own, so that killing it cuts every connection wherever it stands.
pub(crate) struct TestServer {
    runtime: Option<Runtime>,
    pub(crate) address: SocketAddr,
    pub(crate) service: BlockService,
}

impl TestServer {
    pub(crate) fn start(service: BlockService) -> Self {
        Self::start_at(service, ([127, 0, 0, 1], 0).into())
    }

    pub(crate) fn start_at(service: BlockService, address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = service.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            serve(listener, serving, std::future::pending()).await.unwrap();
        });
        Self { runtime: Some(runtime), address, service }
    }

    /// Cuts everything; the port is free afterwards.
    pub(crate) fn kill(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not be waited for on a thread of another.
            std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5))).join().unwrap();
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
    }
}
