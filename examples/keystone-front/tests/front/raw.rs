//! A server that says the same to everybody, to the letter, and hangs up.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// What it says, and what it has heard, request by request.
#[derive(Clone)]
pub(crate) struct Saying {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Saying {
    pub(crate) async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (this, answer) = (Self { url, heard: Arc::default() }, answer.into());
        let heard = Arc::clone(&this.heard);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (answer, heard) = (answer.clone(), Arc::clone(&heard));
                tokio::spawn(async move {
                    let (mut text, mut buffer) = (String::new(), [0; 4096]);
                    while !is_whole(&text) {
                        match socket.read(&mut buffer).await {
                            Ok(length @ 1..) => {
                                text += &String::from_utf8_lossy(&buffer[..length]);
                            }
                            _ => return,
                        }
                    }
                    heard.lock().unwrap().push(text);
                    let _ = socket.write_all(&answer).await;
                });
            }
        });
        this
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The last request.
    pub(crate) fn last(&self) -> String {
        self.heard().pop().expect("nothing was heard")
    }
}

/// Whether a request has ended: its head, and its body by length or chunks.
fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}
