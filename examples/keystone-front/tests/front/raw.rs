//! A server that returns the same bytes for each request, and closes the connection.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// What it says, and what it has received, request by request.
#[derive(Clone)]
pub(crate) struct ScriptedServer {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<String>>>,
}

impl ScriptedServer {
    pub(crate) async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (this, answer) = (Self { url, received: Arc::default() }, answer.into());
        let received = Arc::clone(&this.received);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (answer, received) = (answer.clone(), Arc::clone(&received));
                tokio::spawn(async move {
                    let (mut text, mut buffer) = (String::new(), [0; 4096]);
                    while !is_complete(&text) {
                        match socket.read(&mut buffer).await {
                            Ok(length @ 1..) => {
                                text += &String::from_utf8_lossy(&buffer[..length]);
                            }
                            _ => return,
                        }
                    }
                    received.lock().unwrap().push(text);
                    let _ = socket.write_all(&answer).await;
                });
            }
        });
        this
    }

    pub(crate) fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }

    /// The last request.
    pub(crate) fn last(&self) -> String {
        self.received().pop().expect("no request was received")
    }
}

/// Whether a request is complete, by its length or chunks.
fn is_complete(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}
