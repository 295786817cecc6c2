//! Generates load on a server, and measures the server's CPU time.

use std::{
    fs,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A keep-alive connection for prepared requests.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    answer: Vec<u8>,
    /// The length of the previous response. If the next one has the same length, it need not be
    /// parsed.
    before: usize,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, answer: Vec::with_capacity(65_536), before: 0 }
    }

    /// Sends a request and reads the whole response; returns its status.
    pub async fn send(&mut self, request: &[u8]) -> u16 {
        self.socket.write_all(request).await.unwrap();
        self.answer.clear();
        let mut whole = None;
        while whole.is_none_or(|length| self.answer.len() < length) {
            let read = self.socket.read_buf(&mut self.answer).await.unwrap();
            assert!(read > 0, "connection closed: {}", self.answer.escape_ascii());
            if self.answer.len() == self.before {
                break;
            }
            if whole.is_none() {
                whole = self.length();
            }
        }
        self.before = self.answer.len();
        std::str::from_utf8(&self.answer[9..12]).unwrap().parse().unwrap()
    }

    /// The whole last response.
    pub fn answer(&self) -> &[u8] {
        &self.answer
    }

    /// The body of the last response.
    pub fn json(&self) -> Value {
        let body = find(&self.answer, b"\r\n\r\n").map_or(0, |end| end + 4);
        serde_json::from_slice(&self.answer[body..]).unwrap_or_default()
    }

    /// A header of the last response.
    pub fn header(&self, wanted: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.answer);
        let head = head.split("\r\n\r\n").next()?.to_owned();
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    }

    /// The length of the complete response; `None` while its head is incomplete.
    fn length(&self) -> Option<usize> {
        let head = find(&self.answer, b"\r\n\r\n")? + 4;
        let length = self.header("content-length").map_or(0, |length| length.parse().unwrap());
        Some(head + length)
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The result of a load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub requests: u32,
    pub requests_per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// The server's CPU time per request.
    pub cpu: Duration,
}

/// Sends the same request on this many connections for this long.
pub async fn run(
    address: SocketAddr,
    server: u32,
    request: &[u8],
    expected: u16,
    connections: usize,
    length: Duration,
) -> Load {
    let request: Arc<[u8]> = request.into();
    let before = cpu(server);
    let started = Instant::now();
    let mut running = Vec::new();
    for _ in 0..connections {
        let request = Arc::clone(&request);
        running.push(tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            let mut took = Vec::with_capacity(100_000);
            while started.elapsed() < length {
                let sent = Instant::now();
                let status = connection.send(&request).await;
                took.push(sent.elapsed());
                assert_eq!(status, expected, "{}", connection.json());
            }
            took
        }));
    }
    let mut took = Vec::new();
    for running in running {
        took.extend(running.await.unwrap());
    }
    let elapsed = started.elapsed();
    let spent = cpu(server).saturating_sub(before);
    took.sort_unstable();
    let at = |share: usize| took[took.len() * share / 100];
    let requests = u32::try_from(took.len()).unwrap();
    Load {
        requests,
        requests_per_second: super::rate(took.len(), elapsed),
        p50: at(50),
        p99: at(99),
        cpu: spent / requests,
    }
}

/// The CPU time of a process and its children.
pub fn cpu(process: u32) -> Duration {
    let mut total = Duration::ZERO;
    let mut left = vec![process];
    while let Some(process) = left.pop() {
        let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        // The fields after the command's name, which may contain any character.
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // Linux always counts in hundredths of a second here.
        total += Duration::from_millis(ticks * 10);
        let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            left.extend(children.split_whitespace().map(|child| child.parse::<u32>().unwrap()));
        }
    }
    total
}
