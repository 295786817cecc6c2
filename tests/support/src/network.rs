//! TCP proxies in front of local servers. They can cut or slow down the network.
//!
//! They need no root privileges: the process at the other end of a connection is found by its open
//! files.

use std::{
    fs,
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::{Builder, Runtime},
    time::sleep,
};

/// How often a blocked connection checks whether it may continue.
const STEP: Duration = Duration::from_millis(5);

/// The proxies of a test. Dropping it closes all connections.
#[derive(Debug)]
pub struct Network {
    // A separate runtime, so that a blocking test does not stop the proxies.
    runtime: Option<Runtime>,
    wires: Arc<Mutex<Wires>>,
}

#[derive(Debug, Default)]
struct Wires {
    open: Vec<Arc<Wire>>,
    /// The server that is cut off, and its process id.
    cut: Option<(usize, String)>,
    /// The delay of each server in milliseconds.
    delays: Vec<Arc<AtomicU64>>,
}

/// A connection through a proxy.
#[derive(Debug)]
struct Wire {
    /// The inode of the client's socket.
    socket: Option<String>,
    /// The index of the server.
    to: usize,
    is_cut: AtomicBool,
    delay: Arc<AtomicU64>,
}

impl Network {
    pub fn new(servers: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let delays = (0..servers).map(|_| Arc::default()).collect();
        let wires = Wires { delays, ..Wires::default() };
        Self { runtime: Some(runtime), wires: Arc::new(Mutex::new(wires)) }
    }

    /// Starts a proxy for a port of a server; returns the proxy's port.
    pub fn door(&self, server: usize, port: u16) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let door = listener.local_addr().unwrap().port();
        let wires = Arc::clone(&self.wires);
        self.runtime.as_ref().unwrap().spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, peer)) = listener.accept().await {
                let wire = wires.lock().unwrap().add(socket_of(peer.port(), door), server);
                tokio::spawn(proxy(stream, port, wire));
            }
        });
        door
    }

    /// Blocks all proxied connections to and from this server, whose process is `pid`. Data waits,
    /// as on a broken line. Connections that bypass the proxies are not blocked.
    pub fn cut(&self, server: usize, pid: &str) {
        let mut wires = self.wires.lock().unwrap();
        wires.cut = Some((server, pid.into()));
        let sockets = sockets(pid);
        for wire in &wires.open {
            let is_from = wire.socket.as_ref().is_some_and(|socket| sockets.contains(socket));
            wire.is_cut.store(wire.to == server || is_from, Ordering::SeqCst);
        }
    }

    /// Unblocks all connections.
    pub fn heal(&self) {
        let mut wires = self.wires.lock().unwrap();
        wires.cut = None;
        for wire in &wires.open {
            wire.is_cut.store(false, Ordering::SeqCst);
        }
    }

    /// Delays all data between a proxy and this server.
    pub fn slow(&self, server: usize, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap();
        self.wires.lock().unwrap().delays[server].store(millis, Ordering::SeqCst);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Wires {
    fn add(&mut self, socket: Option<String>, to: usize) -> Arc<Wire> {
        let is_cut = self.cut.as_ref().is_some_and(|(server, pid)| {
            to == *server || socket.as_ref().is_some_and(|socket| sockets(pid).contains(socket))
        });
        let delay = Arc::clone(&self.delays[to]);
        let wire = Arc::new(Wire { socket, to, is_cut: is_cut.into(), delay });
        // Closed connections have no other reference.
        self.open.retain(|wire| Arc::strong_count(wire) > 1);
        self.open.push(Arc::clone(&wire));
        wire
    }
}

impl Wire {
    /// Waits for the delay, and while the connection is blocked.
    async fn pass(&self) {
        sleep(Duration::from_millis(self.delay.load(Ordering::SeqCst))).await;
        while self.is_cut.load(Ordering::SeqCst) {
            sleep(STEP).await;
        }
    }
}

async fn proxy(stream: TcpStream, port: u16, wire: Arc<Wire>) {
    wire.pass().await;
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = (stream.set_nodelay(true), server.set_nodelay(true));
    let ((from, back), (answer, to)) = (stream.into_split(), server.into_split());
    tokio::join!(copy(from, to, &wire), copy(answer, back, &wire));
}

/// Copies data, and closes the target at the end.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, wire: &Wire) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        wire.pass().await;
        if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// The inode of the local socket that is connected between these ports.
fn socket_of(from: u16, to: u16) -> Option<String> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let is_of = |address: Option<&&str>, port: u16| {
        let written = address.and_then(|address| address.rsplit(':').next());
        written.and_then(|port| u16::from_str_radix(port, 16).ok()) == Some(port)
    };
    table.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_it = is_of(words.get(1), from) && is_of(words.get(2), to);
        is_it.then(|| words[9].to_owned())
    })
}

/// The inodes of the open sockets of a process.
fn sockets(pid: &str) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = files.filter_map(|file| fs::read_link(file.path()).ok());
    let number = |link: std::path::PathBuf| {
        let link = link.to_str()?;
        Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    };
    links.filter_map(number).collect()
}
