//! A wire with faults: a TCP proxy between two processes, which breaks off, stalls, loses, slows and damages what passes.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Bytes that pass at once.
const PIECE: usize = 16 * 1024;
/// How often a quiet direction looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(10);

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From whoever connected.
    ToServer,
    /// To whoever connected.
    ToClient,
}

/// What becomes of the bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    #[default]
    Pass,
    /// None passes and none is lost: what a partition is to a connection that outlives it, because its ends send again.
    Hold,
    /// They vanish, and the connection stays. It breaks off with the first byte that would pass after that.
    Lose,
    /// Each piece waits so long.
    Delay(Duration),
    /// So few at a time, a millisecond each.
    Drip(usize),
    /// The connection breaks off after so many bytes of it, which counts from its beginning.
    CutAfter(usize),
    /// The sender's end is closed after so many bytes, the other direction goes on.
    HalfCloseAfter(usize),
    /// A bit is flipped in each piece that lies behind so many bytes of its connection.
    FlipAfter(usize),
}

/// What a proxy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Did {
    /// Connections that it took.
    pub connections: usize,
    /// Connections that it did not take.
    pub refused: usize,
    /// Connections that it broke off.
    pub cut: usize,
    /// Connections of which it closed one direction.
    pub half_closed: usize,
    /// Times that a direction began to hold bytes back that were there.
    pub held: usize,
    /// Bytes that vanished.
    pub lost: usize,
    /// Pieces that it delayed or dripped.
    pub slowed: usize,
    /// Bits that it flipped.
    pub flipped: usize,
}

#[derive(Debug, Default)]
struct Wire {
    to_server: Flow,
    to_client: Flow,
    refuses: bool,
    /// How often a fault with a number may still happen; for ever when nothing is said.
    budget: Option<usize>,
    did: Did,
    /// The connections that live, by their numbers.
    open: BTreeMap<usize, Connection>,
}

/// One that lives for as long as one of its directions does.
#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    directions: usize,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    wire: Arc<Mutex<Wire>>,
    over: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens on a free port of `host`, and connects whoever comes to `server`. When that has no port, to the same port there.
    pub fn start(host: Ipv4Addr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind((host, 0)).expect("a free port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let server = if server.port() == 0 { SocketAddr::new(server.ip(), address.port()) } else { server };
        let wire = Arc::new(Mutex::new(Wire::default()));
        let over = Arc::new(AtomicBool::new(false));
        let (shared, ended) = (wire.clone(), over.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                connect(client, server, &shared);
            }
        });
        Self { address, wire, over }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What becomes of bytes from now on.
    pub fn set(&self, way: Way, flow: Flow) {
        let mut wire = lock(&self.wire);
        match way {
            Way::ToServer => wire.to_server = flow,
            Way::ToClient => wire.to_client = flow,
        }
    }

    /// The same in both directions.
    pub fn set_both(&self, flow: Flow) {
        self.set(Way::ToServer, flow);
        self.set(Way::ToClient, flow);
    }

    /// Everything passes again.
    pub fn heal(&self) {
        self.set_both(Flow::Pass);
        lock(&self.wire).refuses = false;
    }

    /// Whether new connections are broken off at once.
    pub fn refuse(&self, refuses: bool) {
        lock(&self.wire).refuses = refuses;
    }

    /// Cuts, half closings and flips happen so many times more and then no more.
    pub fn times(&self, budget: usize) {
        lock(&self.wire).budget = Some(budget);
    }

    /// Breaks off every connection.
    pub fn cut(&self) {
        let mut wire = lock(&self.wire);
        for connection in std::mem::take(&mut wire.open).into_values() {
            wire.did.cut += 1;
            close(&connection.client, &connection.server);
        }
    }

    /// What it did so far.
    pub fn did(&self) -> Did {
        lock(&self.wire).did
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.heal();
        self.cut();
        // Wakes the thread that listens.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

fn close(client: &TcpStream, server: &TcpStream) {
    for end in [client, server] {
        // It may be closed already.
        let _ = end.shutdown(Shutdown::Both);
    }
}

fn connect(client: TcpStream, server: SocketAddr, wire: &Arc<Mutex<Wire>>) {
    if lock(wire).refuses {
        lock(wire).did.refused += 1;
        return;
    }
    // A server that is not there is as good as a connection that breaks off.
    let Ok(server) = TcpStream::connect(server) else { return };
    let ends = [&client, &server].map(|end| {
        end.set_nodelay(true).and_then(|()| end.set_read_timeout(Some(LOOK))).and_then(|()| end.try_clone())
    });
    let [Ok(client_end), Ok(server_end)] = ends else { return };
    let (Ok(a), Ok(b)) = (client.try_clone(), server.try_clone()) else { return };
    let mut shared = lock(wire);
    shared.did.connections += 1;
    let number = shared.did.connections;
    shared.open.insert(number, Connection { client: a, server: b, directions: 2 });
    drop(shared);
    for (way, from, to) in [(Way::ToServer, client, server_end), (Way::ToClient, server, client_end)] {
        let mut pump =
            Pump { way, from, to, wire: wire.clone(), passed: 0, is_holding: false, has_lost: false, is_half: false };
        thread::spawn(move || {
            pump.run();
            lock(&pump.wire).ended(number);
        });
    }
}

/// One direction of one connection.
struct Pump {
    way: Way,
    from: TcpStream,
    to: TcpStream,
    wire: Arc<Mutex<Wire>>,
    passed: usize,
    is_holding: bool,
    has_lost: bool,
    is_half: bool,
}

/// What to do with a piece.
#[derive(Clone, Copy)]
enum Step {
    Pass,
    Flip,
    Wait,
    Delay(Duration),
    Drip(usize),
    Lose,
    /// Break off, or close one end, after so many of its bytes.
    Cut(usize),
    HalfClose(usize),
}

impl Pump {
    fn run(&mut self) {
        let mut buffer = vec![0; PIECE];
        loop {
            match self.from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    if self.piece(&mut buffer[..read]).is_err() {
                        close(&self.from, &self.to);
                        return;
                    }
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
        }
        // It may be closed already.
        let _ = self.to.shutdown(Shutdown::Write);
    }

    /// Passes a piece on, or not; an error breaks the connection off.
    fn piece(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        loop {
            match self.step(bytes.len()) {
                Step::Wait => {
                    thread::sleep(LOOK);
                    continue;
                }
                Step::Pass => self.to.write_all(bytes)?,
                Step::Flip => {
                    bytes[bytes.len() / 2] ^= 0x04;
                    self.to.write_all(bytes)?;
                }
                Step::Delay(time) => {
                    thread::sleep(time);
                    self.to.write_all(bytes)?;
                }
                Step::Drip(at_once) => {
                    for drop in bytes.chunks(at_once.max(1)) {
                        self.to.write_all(drop)?;
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                Step::Lose => self.has_lost = true,
                Step::Cut(at) => {
                    self.to.write_all(&bytes[..at])?;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Step::HalfClose(at) => {
                    self.to.write_all(&bytes[..at])?;
                    self.to.shutdown(Shutdown::Write)?;
                    self.is_half = true;
                }
            }
            self.passed += bytes.len();
            return Ok(());
        }
    }

    fn step(&mut self, len: usize) -> Step {
        let mut wire = lock(&self.wire);
        let flow = match self.way {
            Way::ToServer => wire.to_server,
            Way::ToClient => wire.to_client,
        };
        if flow == Flow::Hold {
            wire.did.held += usize::from(!self.is_holding);
            self.is_holding = true;
            return Step::Wait;
        }
        self.is_holding = false;
        if flow == Flow::Lose || self.is_half {
            wire.did.lost += len;
            return Step::Lose;
        }
        if self.has_lost {
            wire.did.cut += 1;
            return Step::Cut(0);
        }
        let is_due = |after: usize| self.passed + len > after;
        let place = |after: usize| after.saturating_sub(self.passed).min(len);
        match flow {
            Flow::Delay(time) => {
                wire.did.slowed += 1;
                Step::Delay(time)
            }
            Flow::Drip(at_once) => {
                wire.did.slowed += 1;
                Step::Drip(at_once)
            }
            Flow::CutAfter(after) if is_due(after) && wire.spend() => {
                wire.did.cut += 1;
                Step::Cut(place(after))
            }
            Flow::HalfCloseAfter(after) if is_due(after) && wire.spend() => {
                wire.did.half_closed += 1;
                Step::HalfClose(place(after))
            }
            Flow::FlipAfter(after) if is_due(after) && wire.spend() => {
                wire.did.flipped += 1;
                Step::Flip
            }
            _ => Step::Pass,
        }
    }
}

impl Wire {
    /// A direction of a connection is over.
    fn ended(&mut self, number: usize) {
        // It is not here any more when it was cut.
        let Some(connection) = self.open.get_mut(&number) else { return };
        connection.directions -= 1;
        if connection.directions == 0 {
            self.open.remove(&number);
        }
    }

    /// Whether a fault that is counted may happen once more.
    fn spend(&mut self) -> bool {
        match &mut self.budget {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A server that says back what it hears, for so many connections.
    fn echo(connections: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut socket in listener.incoming().flatten().take(connections) {
                let mut back = socket.try_clone().unwrap();
                thread::spawn(move || io::copy(&mut socket, &mut back));
            }
        });
        address
    }

    fn proxy(connections: usize) -> (Proxy, impl Fn() -> TcpStream) {
        let proxy = Proxy::start(Ipv4Addr::new(127, 0, 0, 2), echo(connections));
        let address = proxy.address();
        let connect = move || {
            let socket = TcpStream::connect(address).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket
        };
        (proxy, connect)
    }

    fn exchange(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
        socket.write_all(bytes)?;
        let mut heard = vec![0; bytes.len()];
        socket.read_exact(&mut heard)?;
        Ok(heard)
    }

    #[test]
    fn what_is_held_comes_when_the_wire_heals() {
        let (proxy, connect) = proxy(1);
        let mut socket = connect();
        assert_eq!(exchange(&mut socket, b"one").unwrap(), b"one");
        proxy.set(Way::ToClient, Flow::Hold);
        socket.write_all(b"two").unwrap();
        let begun = Instant::now();
        while proxy.did().held == 0 {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
        proxy.heal();
        let mut heard = [0; 3];
        socket.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"two");
        assert_eq!(proxy.did(), Did { connections: 1, held: 1, ..Did::default() });
    }

    #[test]
    fn what_is_lost_never_comes_and_the_wire_then_breaks() {
        let (proxy, connect) = proxy(2);
        let mut socket = connect();
        proxy.set(Way::ToServer, Flow::Lose);
        socket.write_all(b"one").unwrap();
        let begun = Instant::now();
        while proxy.did().lost < 3 {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
        proxy.heal();
        assert!(exchange(&mut socket, b"two").is_err());
        assert_eq!(exchange(&mut connect(), b"three").unwrap(), b"three");
    }

    #[test]
    fn what_is_counted_happens_as_often_as_said() {
        let (proxy, connect) = proxy(4);
        proxy.set(Way::ToClient, Flow::FlipAfter(2));
        proxy.times(1);
        let mut socket = connect();
        assert_eq!(exchange(&mut socket, b"ab").unwrap(), b"ab");
        assert_eq!(exchange(&mut socket, b"aa").unwrap(), [b'a', b'a' ^ 4]);
        assert_eq!(exchange(&mut socket, b"aa").unwrap(), b"aa");
        proxy.set(Way::ToClient, Flow::CutAfter(1));
        proxy.times(1);
        let mut heard = Vec::new();
        let mut socket = connect();
        socket.write_all(b"ab").unwrap();
        // An end or an error: it is broken off.
        let _ = socket.read_to_end(&mut heard);
        assert_eq!(heard, b"a");
        assert_eq!(exchange(&mut connect(), b"ab").unwrap(), b"ab");
        assert_eq!((proxy.did().flipped, proxy.did().cut), (1, 1));
        proxy.refuse(true);
        assert!(exchange(&mut connect(), b"ab").is_err());
        assert_eq!(proxy.did().refused, 1);
    }

    #[test]
    fn a_half_closed_wire_still_carries_the_other_way() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(Ipv4Addr::LOCALHOST, listener.local_addr().unwrap());
        proxy.set(Way::ToServer, Flow::HalfCloseAfter(2));
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"abc").unwrap();
        let mut heard = Vec::new();
        server.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, b"ab");
        server.write_all(b"still").unwrap();
        let mut heard = [0; 5];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"still");
        let Did { connections, half_closed, cut, .. } = proxy.did();
        assert_eq!((connections, half_closed, cut), (1, 1, 0));
        drop((client, server));
        let begun = Instant::now();
        while !lock(&proxy.wire).open.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
        proxy.cut();
        assert_eq!(proxy.did().cut, 0, "what is over cannot be cut");
    }
}
