//! A wire with faults: a TCP proxy that breaks off, or flips a bit of what the server says.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    task::JoinSet,
};

/// What is wrong with the wire.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Breaks off when the server has sent so many bytes.
    CutAfter(usize),
    /// Flips a bit of the first occurrence of these bytes.
    Flip(Vec<u8>),
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    happened: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// A wire to `server` with a fault that happens so many times.
    pub(crate) async fn start(server: SocketAddr, fault: Fault, times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let happened = Arc::new(AtomicUsize::new(0));
        let count = happened.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut wires = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = TcpStream::connect(server).await.unwrap().into_split();
                let wire = Wire { fault: fault.clone(), times, happened: count.clone() };
                wires.spawn(async move {
                    tokio::select! {
                        () = plain(from_client, to_server) => {}
                        () = wire.run(from_server, to_client) => {}
                    }
                });
            }
        });
        Self { address, happened, _task: task }
    }

    /// How often the fault has happened.
    pub(crate) fn happened(&self) -> usize {
        self.happened.load(Ordering::SeqCst)
    }
}

async fn plain(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

struct Wire {
    fault: Fault,
    times: usize,
    happened: Arc<AtomicUsize>,
}

impl Wire {
    fn is_due(&self) -> bool {
        self.happened.load(Ordering::SeqCst) < self.times
    }

    fn happens(&self) {
        self.happened.fetch_add(1, Ordering::SeqCst);
    }

    async fn run(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 16 * 1024];
        let mut passed = 0;
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let mut bytes = &mut buffer[..read];
            match &self.fault {
                Fault::CutAfter(after) if self.is_due() && passed + read > *after => {
                    let _ = to.write_all(&bytes[..after - passed]).await;
                    self.happens();
                    return;
                }
                Fault::Flip(needle) if self.is_due() => {
                    if let Some(at) = bytes.windows(needle.len()).position(|w| w == needle) {
                        bytes[at] ^= 0x04;
                        self.happens();
                    }
                }
                _ => {}
            }
            if to.write_all(&std::mem::take(&mut bytes)[..]).await.is_err() {
                return;
            }
            passed += read;
        }
    }
}
