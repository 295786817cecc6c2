//! Starting and stopping.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use http::Method;
use rusqlite::Connection;
use test_support::{
    clients::rusty_s3::Store,
    http::Raw,
    keys::{create_body, exists_unchanged, mint, secret_of},
    process::{Running, Server},
    waiting::Waiting,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use crate::ACCESSER;

#[tokio::test]
async fn health_check_needs_no_token() {
    let accesser = Server::new(ACCESSER).start().await;
    assert_eq!(accesser.client().get("/healthz", "").await.expect(200).text(), "ok\n");
}

#[tokio::test]
async fn failed_start_prints_the_reason() {
    let accesser = Server::new(ACCESSER);
    accesser.start().await.stop().await;
    let database = Connection::open(accesser.database()).unwrap();
    database.pragma_update(None, "user_version", 4_321).unwrap();
    let output = accesser.error().await;
    assert!(output.contains("credentials.db has schema version 4321"), "{output}");
    assert!(output.contains("this release supports versions up to "), "{output}");

    // The system's message follows.
    let folder = accesser.home().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let url = format!("sqlite:{}", folder.display());
    let output = Server::new(ACCESSER).arguments(&["--backend", &url]).error().await;
    assert!(output.starts_with(&format!("error: cannot open {}: ", folder.display())), "{output}");

    let output = Server::new(ACCESSER).data_in("/dev/null".as_ref()).error().await;
    assert!(output.starts_with("error: cannot create /dev/null/buckets: "), "{output}");

    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = holder.local_addr().unwrap();
    let (_, output) = Server::new(ACCESSER).refuse(&taken.to_string()).await;
    assert!(output.contains(&format!("error: cannot listen on {taken}: ")), "{output}");
}

#[tokio::test]
async fn sigterm_waits_for_running_requests() {
    let accesser = Server::new(ACCESSER);
    for signal in ["TERM", "INT"] {
        let mut running = accesser.start().await;
        let access = format!("finished-after-{signal}");
        let body = create_body(&access, &secret_of(&access), "Active").to_string();
        let mut raw = Raw::connect(running.host()).await;
        raw.send(format!(
            "POST /credentials HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: dev-alice\r\n\
             Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ))
        .await;
        // The request is running: the server asks for the body.
        raw.receive_until("HTTP/1.1 100 Continue\r\n\r\n").await;

        running.signal(signal);
        closed(&running).await;
        raw.send(&body).await;
        let received = raw.receive_all().await;
        assert!(received.starts_with("HTTP/1.1 201 "), "{signal}: {received}");
        assert!(received.to_lowercase().contains("connection: close"), "{received}");
        let status = running.ended().await;
        assert_eq!(status.code(), Some(0), "{signal}: {}", running.stderr());
        assert!(!running.stderr().contains("still running"), "{}", running.stderr());

        let running = accesser.start().await;
        assert!(exists_unchanged(&running.client(), &access).await);
    }
}

/// Waits until the server does not listen any more.
async fn closed(server: &Running) {
    for () in Waiting::start() {
        if TcpStream::connect(server.host()).await.is_err() {
            return;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("the server still listens");
}

#[tokio::test]
async fn sigterm_during_a_large_upload_loses_nothing_that_was_acknowledged() {
    let accesser = Server::new(ACCESSER);
    let mut running = accesser.start().await;
    let key = mint(&running.client(), "dev-alice").await;
    let store = Store::new(&running.client(), &running.url, "bucket", &key);
    store.create().await.expect(200);
    store.put("cut", "as before").await.expect(200);
    let content = vec![b'x'; 16 << 20];
    let (first, last) = content.split_at(content.len() / 2);
    let head = |url: &str| {
        let path = url.strip_prefix(&running.url).unwrap();
        format!(
            "PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            running.host(),
            content.len()
        )
    };
    let (mut whole, mut cut) =
        (Raw::connect(running.host()).await, Raw::connect(running.host()).await);
    for (raw, url) in [(&mut whole, store.put_url("whole")), (&mut cut, store.put_url("cut"))] {
        raw.send(head(&url)).await;
        raw.send(first).await;
    }
    running.signal("TERM");
    closed(&running).await;
    whole.send(last).await;
    let received = whole.receive_until("\r\n\r\n").await;
    assert!(received.starts_with("HTTP/1.1 200 "), "{received}");
    // The other upload does not end, and is not acknowledged.
    let status = running.ended().await;
    assert_eq!(status.code(), Some(0), "{}", running.stderr());
    assert!(running.stderr().contains("requests were still running"), "{}", running.stderr());
    assert_eq!(cut.receive_all().await, "");

    let running = accesser.start().await;
    let store = Store::new(&running.client(), &running.url, "bucket", &key);
    assert!(store.get("whole").await.expect(200).body == content);
    assert_eq!(store.get("cut").await.expect(200).text(), "as before");
}

#[tokio::test]
async fn sigterm_under_load_loses_no_acknowledged_key() {
    let accesser = Server::new(ACCESSER);
    let mut running = accesser.start().await;
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let mut creators = JoinSet::new();
    for creator in 0..8 {
        let (client, acknowledged) = (running.client(), Arc::clone(&acknowledged));
        creators.spawn(async move {
            for n in 0.. {
                let access = format!("creator-{creator}-{n}");
                let body = create_body(&access, &secret_of(&access), "Active");
                let call = client.try_call(Method::POST, "/credentials", "dev-alice", Some(&body));
                match call.await {
                    Ok(answer) => assert_eq!(answer.status, 201, "{answer:?}"),
                    // The server is gone.
                    Err(_) => return,
                }
                acknowledged.lock().unwrap().insert(access);
            }
        });
    }
    for () in Waiting::start() {
        if acknowledged.lock().unwrap().len() > 100 {
            break;
        }
        sleep(Waiting::STEP).await;
    }
    running.stop().await;
    creators.join_all().await;

    let running = accesser.start().await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() > 100);
    for access in acknowledged {
        assert!(exists_unchanged(&running.client(), &access).await, "{access} is lost");
    }
}
