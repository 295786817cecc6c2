//! Headers that the front forwards, removes and adds.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{http::Raw, process::Front, raw::ScriptedServer};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Sends a raw request through a front; returns what Keystone received.
async fn through(arguments: &[&str], request: &str) -> String {
    let keystone = ScriptedServer::start(ANSWER).await;
    let front = Front::of(&keystone.url).arguments(arguments).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.send(request).await;
    raw.receive_until("\r\n\r\n").await;
    keystone.last()
}

#[tokio::test]
async fn hop_by_hop_headers_of_requests_are_removed() {
    let received = through(
        &[],
        "GET /v3 HTTP/1.1\r\nHost: id.example.org:5000\r\nConnection: keep-alive, X-Mine,x-other\r\n\
         Connection: X-Third\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: Basic eDp5\r\n\
         Proxy-Connection: close\r\nTE: trailers\r\nTrailer: X-Sum\r\nX-Mine: 1\r\nX-Other: 2\r\n\
         X-Third: 3\r\nX-Stays: 4\r\n\r\n",
    )
    .await;
    let lower = received.to_ascii_lowercase();
    for name in [
        "connection:",
        "keep-alive",
        "proxy-",
        "\r\nte:",
        "trailer",
        "x-mine",
        "x-other",
        "x-third",
    ] {
        assert!(!lower.contains(name), "{name} in {received}");
    }
    assert!(lower.contains("x-stays: 4\r\n"), "{received}");
    assert!(lower.contains("\r\nhost: id.example.org:5000\r\n"), "{received}");
}

#[tokio::test]
async fn hop_by_hop_headers_of_responses_are_removed() {
    let keystone = ScriptedServer::start(
        "HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nX-Mine: 1\r\nX-Stays: 2\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    let front = Front::of(&keystone.url).start().await;
    let answer = front.client().get("/v3", "").await.expect(200);
    assert_eq!(answer.text(), "ok");
    for name in ["connection", "keep-alive", "proxy-authenticate", "trailer", "upgrade", "x-mine"] {
        assert!(!answer.headers.contains_key(name), "{answer:?}");
    }
    assert_eq!(answer.headers["x-stays"], "2");
}

#[tokio::test]
async fn connection_header_cannot_remove_host_and_length() {
    let received = through(
        &[],
        "POST /v3/auth/x HTTP/1.1\r\nHost: front\r\nConnection: Host, Content-Length, X-Forwarded-For\r\n\
         Content-Length: 5\r\n\r\nhello",
    )
    .await;
    let lower = received.to_ascii_lowercase();
    assert!(lower.contains("host: front\r\n"), "{received}");
    assert!(
        lower.contains("content-length: 5\r\n") && received.ends_with("\r\n\r\nhello"),
        "{received}"
    );
    assert!(lower.contains("x-forwarded-for: 127.0.0.1\r\n"), "{received}");
}

#[tokio::test]
async fn request_with_two_lengths_reaches_keystone_with_one() {
    let received = through(
        &[],
        "POST /v3/x HTTP/1.1\r\nHost: front\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n",
    )
    .await;
    let lower = received.to_ascii_lowercase();
    assert!(!lower.contains("content-length"), "{received}");
    assert_eq!(lower.matches("transfer-encoding: chunked").count(), 1, "{received}");
    assert!(received.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{received}");
}

#[tokio::test]
async fn request_with_contradicting_lengths_is_rejected() {
    let keystone = ScriptedServer::start(ANSWER).await;
    let front = Front::of(&keystone.url).start().await;
    let mut raw = Raw::connect(front.host()).await;
    raw.send(
        "POST /v3/x HTTP/1.1\r\nHost: front\r\nContent-Length: 4\r\nContent-Length: 40\r\n\r\nbody\
         GET /smuggled HTTP/1.1\r\nHost: front\r\n\r\n",
    )
    .await;
    let received = raw.receive_all().await;
    assert!(received.starts_with("HTTP/1.1 400"), "{received}");
    assert!(keystone.received().is_empty());
}

#[tokio::test]
async fn forwarded_headers_name_the_client() {
    let received = through(&[], "GET /v3 HTTP/1.1\r\nHost: id.example.org\r\n\r\n").await;
    for line in [
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-proto: http\r\n",
        "x-forwarded-host: id.example.org\r\n",
    ] {
        assert!(received.contains(line), "{received}");
    }
}

#[tokio::test]
async fn headers_with_underscores_are_removed() {
    let request = "GET /x/v3/credentials HTTP/1.1\r\nHost: front\r\nSCRIPT_NAME: /x\r\n\
        Path_Info: /v3\r\nX_Forwarded_For: 192.0.2.1\r\nX-Forwarded_Proto: https\r\n\
        X_Auth-Token: other\r\nREMOTE_USER: admin\r\nX-Stays: a_b\r\n\r\n";
    for arguments in [&[][..], &["--trust-forwarded"]] {
        let lower = through(arguments, request).await.to_ascii_lowercase();
        let names = lower.lines().skip(1).map(|line| line.split(':').next().unwrap());
        assert_eq!(names.filter(|name| name.contains('_')).count(), 0, "{lower}");
        assert!(lower.contains("x-stays: a_b\r\n"), "{lower}");
        assert!(!lower.contains("192.0.2"), "{lower}");
    }
}

const CLAIMS: &str = "GET /v3 HTTP/1.1\r\nHost: front\r\nX-Forwarded-For: 192.0.2.1\r\n\
    X-Forwarded-For: 192.0.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: id.example.org\r\n\
    X-Forwarded-Prefix: /evil\r\nX-Forwarded-Server: id.example.org\r\n\
    X-Forwarded-Ssl: on\r\nX-Forwarded-Scheme: https\r\nX-Forwarded-Protocol: ssl\r\n\
    X-Forwarded-Else: evil\r\nX-Real-Ip: 192.0.2.1\r\nForwarded: for=192.0.2.1;host=id.example.org;proto=https\r\n\r\n";

#[tokio::test]
async fn forwarded_headers_of_clients_are_replaced() {
    let received = through(&[], CLAIMS).await;
    assert!(!received.contains("192.0.2") && !received.contains("example.org"), "{received}");
    assert!(!received.contains("https") && !received.contains("evil"), "{received}");
    assert!(received.contains("x-forwarded-for: 127.0.0.1\r\n"), "{received}");
    for name in ["-server", "-ssl", "-scheme", "-protocol", "-prefix", "real-ip"] {
        assert!(!received.contains(&format!("{name}:")), "{received}");
    }
}

#[tokio::test]
async fn forwarded_headers_of_a_trusted_proxy_are_extended() {
    let received = through(&["--trust-forwarded"], CLAIMS).await;
    for line in [
        "x-forwarded-for: 192.0.2.1, 192.0.2.2, 127.0.0.1\r\n",
        "x-forwarded-proto: https\r\n",
        "x-forwarded-host: id.example.org\r\n",
        "x-forwarded-server: id.example.org\r\n",
        "x-forwarded-ssl: on\r\n",
        "x-forwarded-scheme: https\r\n",
        "x-real-ip: 192.0.2.1\r\n",
        "forwarded: for=192.0.2.1;host=id.example.org;proto=https, for=127.0.0.1;proto=http\r\n",
    ] {
        assert!(received.contains(line), "{line} not in {received}");
    }
}

#[tokio::test]
async fn tokens_in_responses_are_never_indexed_on_http_2() {
    // `x-subject-token` in HPACK, which follows the code for "never indexed".
    const NAME: &[u8] = b"\x8b\xf2\xb2\x2d\x8f\xa1\x48\x95\x92\x7e\xa5\xab";
    const NEVER_INDEXED: u8 = 0x10;
    let answer = "HTTP/1.1 201 Created\r\nX-Subject-Token: abc\r\nContent-Length: 0\r\n\r\n";
    let keystone = ScriptedServer::start(answer).await;
    let front = Front::of(&keystone.url).start().await;
    let mut socket = TcpStream::connect(front.host()).await.unwrap();
    // The preface, empty settings, and `GET /` for the host `f`, by table indexes.
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    socket.write_all(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01f").await.unwrap();
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    let at = loop {
        let length = socket.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "{received:x?}");
        received.extend_from_slice(&buffer[..length]);
        if let Some(at) = received.windows(NAME.len()).position(|bytes| bytes == NAME) {
            break at;
        }
    };
    assert_eq!(received[at - 1], NEVER_INDEXED, "{received:x?}");
}
