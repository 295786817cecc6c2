//! Sends bytes over TCP, and parses the responses.

use std::{str, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long a response may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// How often a connection is tried. The machine may run out of ports for a moment.
const TRIES: usize = 50;

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// The pieces of a request, and the pause after each.
pub(crate) type Pieces = Vec<(Vec<u8>, Duration)>;

/// Sends the pieces on a new connection; returns up to `count` responses, until the server closes
/// the connection.
pub(crate) async fn exchange(
    host: &str,
    pieces: Pieces,
    count: usize,
    head_only: bool,
) -> Result<Vec<Reply>, String> {
    let mut stream = connect(host).await?;
    let (mut read, mut write) = stream.split();
    let writing = async {
        for (piece, pause) in pieces {
            // A server that rejects a request may close the connection before it has read
            // everything.
            if write.write_all(&piece).await.is_err() {
                break;
            }
            sleep(pause).await;
        }
        // Not shut down: servers treat a half-closed connection as a disconnect.
        std::future::pending::<()>().await;
    };
    let reading = async {
        let (mut heard, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
        loop {
            let length = read.read(&mut buffer).await.unwrap_or(0);
            heard.extend_from_slice(&buffer[..length]);
            let replies = parse(&heard, head_only, length == 0);
            if length == 0 || replies.len() >= count {
                return replies;
            }
        }
    };
    let both = async {
        tokio::select! {
            () = writing => unreachable!(),
            replies = reading => replies,
        }
    };
    timeout(LIMIT, both).await.map_err(|_| format!("no answer within {LIMIT:?}"))
}

/// Sends the pieces, and disconnects without waiting for a response.
pub(crate) async fn leave(host: &str, pieces: Pieces) -> Result<(), String> {
    let mut stream = connect(host).await?;
    for (piece, pause) in pieces {
        if stream.write_all(&piece).await.is_err() {
            break;
        }
        sleep(pause).await;
    }
    Ok(())
}

async fn connect(host: &str) -> Result<TcpStream, String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        match TcpStream::connect(host).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.to_string(),
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(format!("cannot connect: {last}"))
}

/// The complete responses. At the end of a connection, also one that ends with it.
fn parse(mut bytes: &[u8], head_only: bool, is_end: bool) -> Vec<Reply> {
    let mut replies = Vec::new();
    while let Some(end) = find(bytes, b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(999);
        let rest = &bytes[end + 4..];
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        if status / 100 == 1 {
            bytes = rest;
            continue;
        }
        let length = field("content-length:").and_then(|length| length.parse().ok());
        let (body, used) = if head_only || matches!(status, 204 | 304) {
            (Vec::new(), 0)
        } else if field("transfer-encoding:").is_some() {
            match unchunked(rest) {
                Some(found) => found,
                None if is_end => (rest.to_vec(), rest.len()),
                None => break,
            }
        } else {
            match length {
                Some(length) if rest.len() >= length => (rest[..length].to_vec(), length),
                // Truncated, or delimited by the end of the connection.
                _ if is_end => (rest.to_vec(), rest.len()),
                _ => break,
            }
        };
        bytes = &rest[used..];
        replies.push(Reply { status, head, body });
    }
    replies
}

/// Decodes a chunked body; returns also its encoded length.
fn unchunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let size = str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        at += line + 2;
        let chunk = bytes.get(at..at + size)?;
        bytes.get(at + size..at + size + 2)?;
        body.extend_from_slice(chunk);
        at += size + 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
