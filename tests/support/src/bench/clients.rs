//! Clients with little overhead: a prepared request, and a response that is hardly parsed.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A keep-alive connection that sends the same IBM create again and again.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    request: String,
    answer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr, token: &str, body: &str) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let length = body.len();
        let request = format!(
            "POST /credentials/ HTTP/1.1\r\nhost: {address}\r\nx-auth-token: {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        Self { socket, request, answer: Vec::with_capacity(4_096) }
    }

    async fn create(&mut self) {
        self.socket.write_all(self.request.as_bytes()).await.unwrap();
        self.answer.clear();
        // The response is one line of JSON; nothing else in it ends like this.
        while !self.answer.ends_with(b"}}\n") {
            let read = self.socket.read_buf(&mut self.answer).await.unwrap();
            assert!(read > 0, "{}", self.answer.escape_ascii());
        }
        let created = self.answer.starts_with(b"HTTP/1.1 201 Created\r\n");
        assert!(created, "{}", self.answer.escape_ascii());
    }
}

/// All clients together create this many keys; faster clients create more.
pub async fn create(clients: Vec<Client>, count: usize) -> Vec<Client> {
    let left = Arc::new(AtomicI64::new(count.try_into().unwrap()));
    let mut running = Vec::new();
    for mut client in clients {
        let left = Arc::clone(&left);
        running.push(tokio::spawn(async move {
            while left.fetch_sub(1, Relaxed) > 0 {
                client.create().await;
            }
            client
        }));
    }
    let mut clients = Vec::new();
    for running in running {
        clients.push(running.await.unwrap());
    }
    clients
}
