//! Starting and stopping.

use rusqlite::Connection;
use test_support::{
    http::Raw,
    keys::{create_body, is_whole, secret_of},
    process::Server,
    waiting::Waiting,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::ACCESSER;

#[tokio::test]
async fn the_health_check_needs_no_token() {
    let accesser = Server::new(ACCESSER).start().await;
    assert_eq!(accesser.client().get("/healthz", "").await.expect(200).text(), "ok\n");
}

#[tokio::test]
async fn a_start_that_fails_says_why_in_words() {
    let accesser = Server::new(ACCESSER);
    accesser.start().await.stop().await;
    let database = Connection::open(accesser.database()).unwrap();
    database.pragma_update(None, "user_version", 4_321).unwrap();
    let said = accesser.error().await;
    assert!(said.contains("credentials.db has schema version 4321"), "{said}");
    assert!(said.contains("this release supports versions up to "), "{said}");

    // What the system said of it follows.
    let folder = accesser.home().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let url = format!("sqlite:{}", folder.display());
    let said = Server::new(ACCESSER).arguments(&["--backend", &url]).error().await;
    assert!(said.starts_with(&format!("error: cannot open {}: ", folder.display())), "{said}");

    let said = Server::new(ACCESSER).data_in("/dev/null".as_ref()).error().await;
    assert!(said.starts_with("error: cannot create /dev/null/buckets: "), "{said}");

    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = holder.local_addr().unwrap();
    let (_, said) = Server::new(ACCESSER).refuse(&taken.to_string()).await;
    assert!(said.contains(&format!("error: cannot listen on {taken}: ")), "{said}");
}

#[tokio::test]
async fn a_signal_to_stop_lets_a_running_request_finish() {
    let accesser = Server::new(ACCESSER);
    for signal in ["TERM", "INT"] {
        let mut running = accesser.start().await;
        let access = format!("finished-after-{signal}");
        let body = create_body(&access, &secret_of(&access), "Active").to_string();
        let mut raw = Raw::connect(running.host()).await;
        raw.say(format!(
            "POST /credentials HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: dev-alice\r\n\
             Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ))
        .await;
        // It is running: it asks for the body.
        raw.hear("HTTP/1.1 100 Continue\r\n\r\n").await;

        running.signal(signal);
        for () in Waiting::start() {
            if TcpStream::connect(running.host()).await.is_err() {
                break;
            }
            sleep(Waiting::STEP).await;
        }
        raw.say(&body).await;
        let heard = raw.hear_out().await;
        assert!(heard.starts_with("HTTP/1.1 201 "), "{signal}: {heard}");
        assert!(heard.to_lowercase().contains("connection: close"), "{heard}");
        let status = running.ended().await;
        assert_eq!(status.code(), Some(0), "{signal}: {}", running.stderr());
        assert!(!running.stderr().contains("still running"), "{}", running.stderr());

        let running = accesser.start().await;
        assert!(is_whole(&running.client(), &access).await);
    }
}
