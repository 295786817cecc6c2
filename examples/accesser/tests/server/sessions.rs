//! Busy sessions of one key, and the end of all of them when the key is disabled in another process.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use test_support::{
    aws_signer::Signer,
    clients::rusty_s3::Store,
    http::{Answer, Client},
    keys::{Key, mint, set_status},
    process::Server,
    waiting::Waiting,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower_credentials::{
    clock::{Clock, SystemClock},
    domain::{AccessKey, SecretKey},
    session::{Holder, Session, SessionCredentials},
};

use crate::ACCESSER;
use crate::other_stores::{NEVER, on_etcd, on_postgres};

const SESSIONS: usize = 100;

/// How soon a change in another process takes effect, by the documentation of the data plane.
const BOUND: Duration = Duration::from_secs(1);

/// A session that the holder of a key makes without asking a server.
fn session_of(key: &Key) -> SessionCredentials {
    let (parent, secret) =
        (AccessKey::from_stored(&*key.access), SecretKey::from_stored(&*key.secret));
    let life = Duration::from_hours(1);
    let session = Session::new(&parent, Holder::Role("busy".into()), SystemClock.now(), life);
    session.unwrap().mint(&secret).unwrap()
}

async fn list(client: &Client, url: &str, credentials: &SessionCredentials) -> Answer {
    let request = Request::get(format!("{url}/demo"))
        .header("x-amz-security-token", credentials.session_token.expose());
    let (access, secret) = (credentials.access_key.as_str(), credentials.secret_key.expose());
    let signer = Signer::new(access, secret, SystemClock.now());
    let request = signer.sign(request.body(Full::<Bytes>::default()).unwrap()).0;
    client.try_send(request).await.unwrap()
}

/// Disables the parent of busy sessions through one accesser, and checks when the other one admits
/// the last request.
async fn check_end_of_sessions(accesser: &Server) {
    let (one, other) = (accesser.start().await, accesser.start().await);
    other.logged("the change feed of the credential store is connected", 1).await;
    let key = mint(&one.client(), "dev-alice").await;
    Store::new(&other.client(), &other.url, "demo", &key).create().await.expect(200);

    let started = Arc::new(AtomicUsize::new(0));
    let mut sessions = JoinSet::new();
    for _ in 0..SESSIONS {
        let (credentials, started) = (session_of(&key), Arc::clone(&started));
        let (client, url) = (Client::new(&other.url), other.url.clone());
        sessions.spawn(async move {
            let mut last_admitted = None;
            for () in Waiting::start() {
                let sent = Instant::now();
                let answer = list(&client, &url, &credentials).await;
                if answer.status != StatusCode::OK {
                    answer.refused("InvalidAccessKeyId");
                    return last_admitted.expect("the session was admitted before");
                }
                started.fetch_add(usize::from(last_admitted.is_none()), Ordering::Relaxed);
                last_admitted = Some(sent);
                sleep(Duration::from_millis(2)).await;
            }
            panic!("the session is still admitted");
        });
    }
    while started.load(Ordering::Relaxed) < SESSIONS {
        sleep(Waiting::STEP).await;
    }
    set_status(&one.client(), &key, "Inactive").await;
    let disabled = Instant::now();
    let last = sessions.join_all().await.into_iter().max().unwrap();
    let delay = last.saturating_duration_since(disabled);
    let _ = writeln!(
        std::io::stderr(),
        "\nthe last request of {SESSIONS} busy sessions was admitted {delay:?} after their key was \
         disabled in another process"
    );
    assert!(delay <= BOUND, "admitted {delay:?} later");

    // A session that is made after the key was enabled works; those from before have ended.
    let old = session_of(&key);
    set_status(&one.client(), &key, "Active").await;
    for () in Waiting::start() {
        let answer = list(&other.client(), &other.url, &session_of(&key)).await;
        if answer.status == StatusCode::OK {
            let ended = list(&other.client(), &other.url, &old).await.expect(400);
            assert!(ended.text().contains("<Code>ExpiredToken</Code>"), "{}", ended.text());
            return;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("a new session is not admitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_in_time_when_their_key_is_disabled_on_a_file() {
    check_end_of_sessions(&Server::new(ACCESSER).arguments(NEVER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_in_time_when_their_key_is_disabled_on_postgresql() {
    if let Some(accesser) = on_postgres().await {
        check_end_of_sessions(&accesser.arguments(NEVER)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_in_time_when_their_key_is_disabled_on_etcd() {
    if let Some(accesser) = on_etcd("sessions") {
        check_end_of_sessions(&accesser.arguments(NEVER)).await;
    }
}
