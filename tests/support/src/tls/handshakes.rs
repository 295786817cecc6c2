//! Versions, protocols, and clients that do not complete a handshake.

use std::{io, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ProtocolVersion,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::lab::{HEALTH, Lab, exchange, in_time};
use crate::{keys::create_body, process::Program};

pub async fn both_versions_of_tls_and_of_http_are_served(program: Program) {
    let lab = Lab::start(program).await;
    for (version, expected) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        for (offered, chosen) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1", "h2"], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let mut config = lab.files.authority.client_config(&[version]);
            config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            let mut stream = in_time("a handshake", lab.connect_with(config)).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(expected), "{offered:?}");
            assert_eq!(session.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
            if chosen != Some("h2") {
                exchange(&mut stream, HEALTH, "ok\n").await;
                continue;
            }
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let request = Request::get("https://localhost/healthz").body(Empty::<Bytes>::new());
            let response = in_time("a request", sender.send_request(request.unwrap())).await;
            let body = response.unwrap().collect().await.unwrap().to_bytes();
            assert_eq!(body, "ok\n", "{expected:?}");
        }
    }
    let mut config = lab.files.authority.client_config(&[&TLS13]);
    config.alpn_protocols = vec![b"h3".to_vec()];
    lab.connect_with(config).await.unwrap_err();
}

pub async fn plain_http_fails_at_once(program: Program) {
    let lab = Lab::start(program).await;
    for request in
        [HEALTH, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n\r\n", "\u{16}\u{3}\u{1}garbage"]
    {
        let mut socket = TcpStream::connect(lab.running.host()).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        if request.starts_with('\u{16}') {
            // The start of a record, whose rest never arrives.
            socket.shutdown().await.unwrap();
        }
        let mut received = Vec::new();
        // The server may reset the connection. It does not wait for the timeout of handshakes.
        let read = tokio::time::timeout(Duration::from_secs(8), socket.read_to_end(&mut received));
        let _: io::Result<_> = read.await.unwrap_or_else(|_| panic!("{request:?}: no end"));
        assert!(!String::from_utf8_lossy(&received).contains("HTTP/1.1 2"), "{request:?}");
    }
    exchange(&mut lab.connect().await, HEALTH, "ok\n").await;
    assert!(!lab.running.stderr().contains("panicked"), "{}", lab.running.stderr());
}

pub async fn stalled_handshakes_block_no_other_client_and_end(program: Program) {
    let lab = Lab::start(program).await;
    let mut stalled = Vec::new();
    for start in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        for _ in 0..20 {
            let mut socket = TcpStream::connect(lab.running.host()).await.unwrap();
            socket.write_all(start).await.unwrap();
            stalled.push(socket);
        }
    }
    // Sooner than the first of them ends.
    let others = async {
        for _ in 0..10 {
            exchange(&mut lab.connect().await, HEALTH, "ok\n").await;
        }
    };
    tokio::time::timeout(Duration::from_secs(8), others).await.expect("they wait for the others");
    for mut socket in stalled {
        let end = async { while let Ok(1..) = socket.read(&mut [0; 64]).await {} };
        in_time("the end of a stalled handshake", end).await;
    }
}

pub async fn shutdown_waits_for_requests_but_not_for_stalled_handshakes(program: Program) {
    let mut lab = Lab::start(program).await;
    let mut stalled = TcpStream::connect(lab.running.host()).await.unwrap();
    stalled.write_all(b"\x16\x03\x01").await.unwrap();
    let body = create_body("key", "the-secret-of-key", "Active").to_string();
    let head = format!(
        "POST /credentials HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: dev-alice\r\n\
         Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = lab.connect().await;
    // The server reads the body.
    exchange(&mut stream, &head, "100 Continue\r\n\r\n").await;
    lab.running.signal("TERM");
    // The server has seen the signal.
    let end = async { while let Ok(1..) = stalled.read(&mut [0; 64]).await {} };
    tokio::time::timeout(Duration::from_secs(8), end).await.expect("it waits for the handshake");
    let received = exchange(&mut stream, &body, "}\n").await;
    assert!(received.starts_with("HTTP/1.1 201 "), "{received}");
    let status = in_time("the shutdown", lab.running.ended()).await;
    assert!(status.success(), "{}", lab.running.stderr());
    assert!(!lab.running.stderr().contains("still running"), "{}", lab.running.stderr());
}

pub async fn idle_connections_end_with_close_notify(program: Program) {
    let lab = Lab::start(program).await;
    let (mut unused, mut used) = (lab.connect().await, lab.connect().await);
    exchange(&mut used, HEALTH, "ok\n").await;
    for stream in [&mut unused, &mut used] {
        // Without the alert, this is an error.
        let length = in_time("the end of an idle connection", stream.read(&mut [0; 64])).await;
        assert_eq!(length.unwrap(), 0);
    }
}
