//! Starting and stopping.

use rusqlite::Connection;
use test_support::{
    http::Raw,
    keys::{create_body, exists_unchanged, secret_of},
    process::Server,
    waiting::Waiting,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

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
        for () in Waiting::start() {
            if TcpStream::connect(running.host()).await.is_err() {
                break;
            }
            sleep(Waiting::STEP).await;
        }
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
