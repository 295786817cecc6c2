//! Clients that send too much, are too slow, disconnect, or come all at once.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::json;
use test_support::{
    clients::rusty_s3::Store,
    http::{Client, Raw},
    keys::{self, ALICE, create, create_body, exists_unchanged},
    process::Server,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{Layer as _, service_fn};
use tower_credentials::{
    CredentialLayer,
    auth::StaticTokens,
    backend::memory::MemoryBackend,
    domain::{Caller, Scope, UserId},
};

use crate::ACCESSER;

/// The maximum size of a body.
const LIMIT: usize = 114_688;

fn head(method: &str, path: &str, headers: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: dev-admin\r\n\
         Content-Type: application/json\r\n{headers}\r\n"
    )
}

#[tokio::test]
async fn body_over_the_limit_returns_413_with_and_without_content_length() {
    let accesser = Server::new(ACCESSER).start().await;
    let v2 = format!("/v2.0/users/{ALICE}/OS-KSADM/credentials");
    for path in ["/credentials", &v2] {
        // The declared length is enough: no body is sent.
        let mut raw = Raw::connect(accesser.host()).await;
        raw.send(head("POST", path, &format!("Content-Length: {}\r\n", LIMIT + 1))).await;
        let received = raw.receive_until("\r\n\r\n").await;
        assert!(received.starts_with("HTTP/1.1 413 "), "{received}");

        let mut raw = Raw::connect(accesser.host()).await;
        raw.send(head("POST", path, "Transfer-Encoding: chunked\r\n")).await;
        raw.send(format!("{:x}\r\n{}\r\n0\r\n\r\n", LIMIT + 1, " ".repeat(LIMIT + 1))).await;
        let received = raw.receive_until("\r\n\r\n").await;
        assert!(received.starts_with("HTTP/1.1 413 "), "{received}");

        // At the limit, the body is read; it is not JSON.
        let mut raw = Raw::connect(accesser.host()).await;
        raw.send(head("POST", path, "Transfer-Encoding: chunked\r\n")).await;
        raw.send(format!("{LIMIT:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(LIMIT))).await;
        let received = raw.receive_until("\r\n\r\n").await;
        assert!(received.starts_with("HTTP/1.1 400 "), "{received}");
    }
}

/// Starts a server with only the layer, and a short body timeout.
async fn with_short_timeout() -> String {
    let user = UserId::new(ALICE).unwrap();
    let tokens = StaticTokens::new().with_token(
        "dev-admin",
        "alice",
        Caller::new(user, Scope::Unscoped).with_roles(["admin"]),
    );
    let layer = CredentialLayer::builder(tokens, MemoryBackend::default())
        .body_timeout(Duration::from_millis(50))
        .build()
        .unwrap();
    let app = service_fn(|_: Request<Incoming>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("the app")))
    });
    let service = TowerToHyperService::new(layer.layer(app));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let http = auto::Builder::new(TokioExecutor::new());
                let _ = http.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn stalled_body_returns_408_in_the_format_of_its_dialect() {
    let address = with_short_timeout().await;
    let v2 = format!("/v2.0/users/{ALICE}/OS-KSADM/credentials");
    for (path, shape) in [("/credentials", "{\"error\":"), (&v2, "{\"identityFault\":")] {
        for length in ["Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n"] {
            let mut raw = Raw::connect(&address).await;
            raw.send(head("POST", path, length)).await;
            raw.send("5\r\n{\"cre").await;
            let received = raw.receive_until("}}").await;
            assert!(received.starts_with("HTTP/1.1 408 "), "{received}");
            assert!(received.contains(shape) && received.contains("\"code\":408"), "{received}");
        }
    }
}

#[tokio::test]
async fn idle_connection_is_closed_and_slow_request_is_not() {
    let accesser = Server::new(ACCESSER).start().await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = "\0\0\0\x04\0\0\0\0\0";
    let starts = [
        String::new(),
        "PRI * ".to_owned(),
        "GET / HTTP/1.1\r\nHost: acc".to_owned(),
        // Keep-alive after the response.
        "GET /healthz HTTP/1.1\r\nHost: accesser\r\n\r\n".to_owned(),
        preface.to_owned(),
        format!("{preface}{settings}"),
    ];
    let mut idle = JoinSet::new();
    for start in starts {
        let mut raw = Raw::connect(accesser.host()).await;
        raw.send(&start).await;
        idle.spawn(async move {
            let received = timeout(Duration::from_secs(25), raw.receive_all()).await;
            assert!(received.is_ok(), "still open after {start:?}");
            assert_eq!(received.unwrap().ends_with("ok\n"), start.contains("healthz"));
        });
    }

    // A head that arrives byte by byte.
    let mut dripping = Raw::connect(accesser.host()).await;
    idle.spawn(async move {
        for byte in "GET /a-name-of-25-bytes HT".chars() {
            dripping.send(byte.to_string()).await;
            if timeout(Duration::from_secs(1), dripping.receive_all()).await.is_ok() {
                return;
            }
        }
        panic!("still open after a head that arrived byte by byte");
    });

    // An HTTP/2 client that answers pings.
    let socket = TokioIo::new(TcpStream::connect(accesser.host()).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    let url = format!("{}/healthz", accesser.url);
    idle.spawn(async move {
        let ended = timeout(Duration::from_secs(25), connection).await;
        assert!(ended.is_ok(), "an HTTP/2 connection is still open");
    });
    let request = Request::get(url).body(Full::<Bytes>::default()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);

    // Larger than the sockets' buffers.
    let key = keys::mint(&accesser.client(), "dev-alice").await;
    let store = Store::new(&accesser.client(), &accesser.url, "demo", &key);
    store.create().await.expect(200);
    store.put("large", vec![b'x'; 16 << 20]).await.expect(200);
    let url = store.get_url("large");
    let path = url.strip_prefix(&accesser.url).unwrap();
    let mut reader = Raw::connect(accesser.host()).await;
    reader.send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", accesser.host())).await;

    let body = create_body("slow", &keys::secret_of("slow"), "Active").to_string();
    let mut slow = Raw::connect(accesser.host()).await;
    slow.send(head("POST", "/credentials", &format!("Content-Length: {}\r\n", body.len()))).await;
    sleep(Duration::from_secs(20)).await;
    slow.send(&body).await;
    let received = slow.receive_until("\r\n\r\n").await;
    assert!(received.starts_with("HTTP/1.1 201 "), "{received}");
    let received = reader.receive_all().await;
    assert!(
        received.starts_with("HTTP/1.1 200 ") && received.len() > 16 << 20,
        "{}",
        received.len()
    );
    idle.join_all().await;
}

#[tokio::test]
async fn disconnecting_client_never_leaves_a_partial_key() {
    let accesser = Server::new(ACCESSER).start().await;
    let client = accesser.client();
    let mut created = 0;
    for n in 0..24 {
        let access = format!("hung-up-{n}");
        let body = create_body(&access, &keys::secret_of(&access), "Active").to_string();
        let request = head("POST", "/credentials", &format!("Content-Length: {}\r\n", body.len()));
        let request = request + &body;
        // In the head, in the body, or after the body.
        let sent = (request.len() * (n + 1)).div_ceil(24);
        let mut raw = Raw::connect(accesser.host()).await;
        raw.send(&request[..sent]).await;
        drop(raw);
        let whole = exists_unchanged(&client, &access).await;
        assert!(sent == request.len() || !whole, "{access} was created by a partial request");
        created += usize::from(whole);
    }
    assert!(created <= 1);
    create(&client, "next").await.expect(201);
}

#[tokio::test]
async fn garbage_after_a_request_is_rejected_after_the_response() {
    let accesser = Server::new(ACCESSER).start().await;
    let body = create_body("before-garbage", &keys::secret_of("before-garbage"), "Active");
    let body = body.to_string();
    let create = head("POST", "/credentials", &format!("Content-Length: {}\r\n", body.len()));
    let garbages: [&[u8]; 4] = [
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\r\n\r\n",
        b" \r\n : \r\n\r\n",
    ];
    for (n, garbage) in garbages.into_iter().enumerate() {
        let mut raw = Raw::connect(accesser.host()).await;
        raw.send([create.as_bytes(), body.as_bytes(), garbage].concat()).await;
        let received = raw.receive_all().await;
        // The first round creates the key, the others try to create it again.
        let first = if n == 0 { "HTTP/1.1 201 " } else { "HTTP/1.1 409 " };
        assert!(received.starts_with(first), "{received}");
        assert_eq!(received.matches("HTTP/1.1 ").count(), 2, "{received}");
        assert!(received.contains("HTTP/1.1 400 "), "{received}");
    }
    assert!(exists_unchanged(&accesser.client(), "before-garbage").await);
}

#[tokio::test]
async fn http2_with_prior_knowledge_serves_both_apis() {
    let accesser = Server::new(ACCESSER).start().await;
    let client = Client::http2(&accesser.url);
    let answer = create(&client, "by-http2").await.expect(201);
    assert_eq!(answer.version, Version::HTTP_2);
    assert!(exists_unchanged(&client, "by-http2").await);
    let key = keys::Key { access: "by-http2".into(), secret: keys::secret_of("by-http2") };
    let store = Store::new(&client, &accesser.url, "demo", &key);
    store.create().await.expect(200);
    store.put("object", "over http2").await.expect(200);
    let answer = store.get("object").await.expect(200);
    assert_eq!((answer.version, answer.text().as_str()), (Version::HTTP_2, "over http2"));
}

#[tokio::test]
async fn only_one_of_a_hundred_clients_gets_the_last_key() {
    let accesser = Server::new(ACCESSER).arguments(&["--max-keys-per-user", "3"]).start().await;
    let client = accesser.client();
    create(&client, "first").await.expect(201);
    create(&client, "second").await.expect(201);

    let mut racers = JoinSet::new();
    for n in 0..100 {
        // A new connection for each.
        let client = accesser.client();
        racers.spawn(async move { create(&client, &format!("racer-{n}")).await.status.as_u16() });
    }
    let statuses = racers.join_all().await;
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(201), count(409)), (1, 99), "{statuses:?}");
    let page = client.get("/credentials", "dev-alice").await.expect(200).json();
    assert_eq!(page["credentials"].as_array().unwrap().len(), 3);

    // A deletion makes room. Another user has a separate quota.
    client.call(Method::DELETE, "/credentials/first", "dev-alice", None).await.expect(204);
    create(&client, "third").await.expect(201);
    create(&client, "fourth").await.expect(409);
    let body = json!({"credential": {"type": "ec2"}});
    client.post("/credentials", "dev-bob", &body).await.expect(201);
}
