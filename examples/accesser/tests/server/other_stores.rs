//! The accesser with PostgreSQL and etcd: kills, outages of the store, and two accessers on one
//! store.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _};

use http::Method;
use test_support::{
    clients::rusty_s3::Store,
    etcd::{self, Cluster},
    http::Client,
    keys::{create, exists_unchanged, mint},
    postgres,
    process::Server,
    secret_file,
    waiting::Waiting,
};
use tokio::time::{Instant, sleep};
use tower_credentials::backend::encrypted::KeyRing;

use crate::{
    ACCESSER,
    durability::{Survived, survive_kills},
};

const ROUNDS: usize = 5;

/// An accesser with a new database; `None` if PostgreSQL is not installed.
pub(crate) async fn on_postgres() -> Option<Server> {
    let url = postgres::database().await?;
    Some(Server::new(ACCESSER).arguments(&["--backend", &url]))
}

/// An accesser with a new prefix in etcd.
pub(crate) fn on_etcd(name: &str) -> Option<Server> {
    let url = etcd::place(name)?;
    Some(Server::new(ACCESSER).arguments(&["--backend", &url]))
}

/// Adds a key ring to an accesser.
fn sealing(accesser: Server) -> Server {
    let ring = accesser.home().join("key-ring");
    secret_file::write(&ring, KeyRing::generate_key("first").unwrap().expose());
    accesser.arguments(&["--key-ring", ring.to_str().unwrap()])
}

async fn check_kills(name: &str, accesser: Server) {
    let Survived { acknowledged, unanswered } = survive_kills(&accesser, ROUNDS).await;
    let _ = writeln!(
        std::io::stderr(),
        "\nkill -9 on {name}: {ROUNDS} rounds, {acknowledged} creates acknowledged, 0 lost; \
         {unanswered} without a response were stored completely"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_no_key_on_postgresql() {
    if let Some(accesser) = on_postgres().await {
        check_kills("PostgreSQL", accesser).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_no_sealed_key_on_postgresql() {
    if let Some(accesser) = on_postgres().await {
        check_kills("PostgreSQL, sealed", sealing(accesser)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_no_key_on_etcd() {
    if let Some(accesser) = on_etcd("killed") {
        check_kills("etcd", accesser).await;
    }
}

/// Creates keys until it succeeds, and prints how long that took.
async fn wait_for_recovery(client: &Client, name: &str) {
    let started = Instant::now();
    for () in Waiting::start() {
        let status = create(client, name).await.status.as_u16();
        if status != 503 {
            // An earlier create may have been stored without a response.
            assert!([201, 409].contains(&status), "{status}");
            let _ = writeln!(std::io::stderr(), "\n{name} after {:?}", started.elapsed());
            return;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("the accesser did not recover");
}

/// Checks that requests that need the store return 503 with `Retry-After` during an outage.
async fn check_outage(client: &Client) {
    let answers = [
        create(client, "during").await,
        client.get("/credentials", "dev-alice").await,
        client.call(Method::DELETE, "/credentials/before", "dev-alice", None).await,
    ];
    for answer in answers {
        assert!(answer.expect(503).headers.contains_key("retry-after"));
    }
    assert_eq!(client.get("/healthz", "").await.expect(200).text(), "ok\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_outage_returns_503_and_recovers() {
    let Some(mut server) = postgres::Server::start(&["fsync = off"]) else { return };
    let url = server.database().await;
    let running = Server::new(ACCESSER).arguments(&["--backend", &url]).start().await;
    let client = running.client();
    create(&client, "before").await.expect(201);
    server.kill();
    check_outage(&client).await;
    server.restart();
    wait_for_recovery(&client, "back-on-postgres").await;
    assert!(exists_unchanged(&client, "before").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_without_a_quorum_returns_503_and_recovers() {
    if !etcd::is_installed() {
        return;
    }
    let mut cluster = Cluster::start(3, &[]);
    let running = Server::new(ACCESSER).arguments(&["--backend", &cluster.url()]).start().await;
    let client = running.client();
    create(&client, "before").await.expect(201);
    cluster.kill(0);
    wait_for_recovery(&client, "on-two-of-three").await;
    cluster.kill(1);
    check_outage(&client).await;
    cluster.restart(0);
    wait_for_recovery(&client, "back-on-etcd").await;
    assert!(
        exists_unchanged(&client, "before").await
            && exists_unchanged(&client, "on-two-of-three").await
    );
}

/// Checks that a key of one accesser is valid for the other, and that a revocation takes effect
/// there soon, because of the store's change feed.
async fn check_sharing(accesser: &Server) {
    let (one, other) = (accesser.start().await, accesser.start().await);
    // A lookup before that would be cached for an hour.
    other.logged("the change feed of the credential store is connected", 1).await;
    let key = mint(&one.client(), "dev-alice").await;
    let store = Store::new(&other.client(), &other.url, "demo", &key);
    store.create().await.expect(200);
    let delete = one.client();
    let path = format!("/credentials/{}", key.access);
    delete.call(Method::DELETE, &path, "dev-alice", None).await.expect(204);
    let revoked = Instant::now();
    while store.list().await.status.as_u16() == 200 {
        // Without the change feed it would take an hour. If the feed breaks on a busy machine, the
        // revocation takes effect when the feed is back.
        assert!(revoked.elapsed().as_secs() < 60, "still accepted:\n{}", other.stderr());
        sleep(Waiting::STEP).await;
    }
    let delay = revoked.elapsed();
    let _ = writeln!(
        std::io::stderr(),
        "\na revocation took effect in another accesser after {delay:?}"
    );
}

pub(crate) const NEVER: &[&str] = &["--key-ttl", "3600"];

#[tokio::test(flavor = "multi_thread")]
async fn two_accessers_share_keys_and_revocations_on_postgresql() {
    if let Some(accesser) = on_postgres().await {
        check_sharing(&accesser.arguments(NEVER)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accessers_share_keys_and_revocations_on_etcd() {
    if let Some(accesser) = on_etcd("shared") {
        check_sharing(&accesser.arguments(NEVER)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accessers_share_keys_and_revocations_on_a_file() {
    check_sharing(&Server::new(ACCESSER).arguments(NEVER)).await;
}

#[tokio::test]
async fn wrong_key_ring_is_rejected_without_printing_secrets() {
    let accesser = sealing(Server::new(ACCESSER));
    let mut running = accesser.start().await;
    let key = mint(&running.client(), "dev-alice").await;
    running.stop().await;
    let file = fs::read(accesser.database()).unwrap();
    assert!(!String::from_utf8_lossy(&file).contains(&key.secret), "readable in the file");

    fs::write(accesser.home().join("key-ring"), KeyRing::generate_key("another").unwrap().expose())
        .unwrap();
    let output = accesser.error().await;
    assert!(output.contains("first"), "{output}");
}

#[tokio::test]
async fn password_in_a_url_is_never_printed() {
    for scheme in ["postgres", "etcd", "mysql", "env:postgres", "@etcd"] {
        let url = format!("{scheme}://amy:correct-horse@127.0.0.1:1/keys");
        let server = Server::new(ACCESSER).arguments(&["--backend", &url]);
        let (status, output) = server.refuse("127.0.0.1:0").await;
        assert!(!status.success(), "{output}");
        assert!(!output.contains("correct-horse"), "{output}");
    }
}

#[tokio::test]
async fn url_can_come_from_a_private_file_and_its_password_is_never_printed() {
    let accesser = Server::new(ACCESSER);
    let file = accesser.home().join("url");
    let write = |url: &str, mode| {
        fs::write(&file, url).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    let named = format!("@{}", file.display());
    let accesser = accesser.arguments(&["--backend", &named]);
    write("postgres://amy:correct-horse@127.0.0.1:1/keys\n", 0o600);
    let output = accesser.error().await;
    assert!(!output.contains("correct-horse"), "{output}");
    write("postgres://amy:correct-horse@127.0.0.1:1/keys\n", 0o644);
    let output = accesser.error().await;
    assert!(output.contains("chmod 600") && !output.contains("correct-horse"), "{output}");

    let database = accesser.home().join("other.db");
    write(&format!("sqlite:{}\n", database.display()), 0o600);
    let running = accesser.start().await;
    create(&running.client(), "one").await.expect(201);
    assert!(database.exists() && !accesser.database().exists());
}
