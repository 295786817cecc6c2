//! The accesser over PostgreSQL and etcd: killed, left alone by its store, and two of
//! them on one store.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _};

use http::Method;
use test_support::{
    clients::rusty_s3::Store,
    etcd::{self, Cluster},
    http::Client,
    keys::{create, is_whole, mint},
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

/// An accesser on a new database; `None` where there is no PostgreSQL.
async fn on_postgres() -> Option<Server> {
    let url = postgres::database().await?;
    Some(Server::new(ACCESSER).arguments(&["--backend", &url]))
}

/// An accesser on an etcd, below a prefix of its own.
fn on_etcd(name: &str) -> Option<Server> {
    let url = etcd::place(name)?;
    Some(Server::new(ACCESSER).arguments(&["--backend", &url]))
}

/// The same accesser, which seals what it stores.
fn sealing(accesser: Server) -> Server {
    let ring = accesser.home().join("key-ring");
    secret_file::write(&ring, KeyRing::generate_key("first").unwrap().expose());
    accesser.arguments(&["--key-ring", ring.to_str().unwrap()])
}

async fn killed(name: &str, accesser: Server) {
    let Survived { acknowledged, unanswered } = survive_kills(&accesser, ROUNDS).await;
    let _ = writeln!(
        std::io::stderr(),
        "\nkill -9 on {name}: {ROUNDS} rounds, {acknowledged} creates acknowledged, 0 lost; \
         {unanswered} unanswered ones were written whole"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_that_postgres_holds() {
    if let Some(accesser) = on_postgres().await {
        killed("PostgreSQL", accesser).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_that_postgres_holds_sealed() {
    if let Some(accesser) = on_postgres().await {
        killed("PostgreSQL, sealed", sealing(accesser)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_that_etcd_holds() {
    if let Some(accesser) = on_etcd("killed") {
        killed("etcd", accesser).await;
    }
}

/// Asks for keys until one is made again; how long it took.
async fn recovers(client: &Client, name: &str) {
    let started = Instant::now();
    for () in Waiting::start() {
        let status = create(client, name).await.status.as_u16();
        if status != 503 {
            // An earlier one may have been stored though it was not answered.
            assert!([201, 409].contains(&status), "{status}");
            let _ = writeln!(std::io::stderr(), "\n{name} after {:?}", started.elapsed());
            return;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("it does not recover");
}

/// While the store is away all that needs it is 503, soon, and tells when to come again.
async fn refuses(client: &Client) {
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
async fn without_its_postgres_all_is_503_and_comes_back_by_itself() {
    let Some(mut server) = postgres::Server::start(&["fsync = off"]) else { return };
    let url = server.database().await;
    let running = Server::new(ACCESSER).arguments(&["--backend", &url]).start().await;
    let client = running.client();
    create(&client, "before").await.expect(201);
    server.kill();
    refuses(&client).await;
    server.restart();
    recovers(&client, "back-on-postgres").await;
    assert!(is_whole(&client, "before").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_most_of_its_etcd_all_is_503_and_comes_back_by_itself() {
    if !etcd::is_installed() {
        return;
    }
    let mut cluster = Cluster::start(3, &[]);
    let running = Server::new(ACCESSER).arguments(&["--backend", &cluster.url()]).start().await;
    let client = running.client();
    create(&client, "before").await.expect(201);
    cluster.kill(0);
    recovers(&client, "on-two-of-three").await;
    cluster.kill(1);
    refuses(&client).await;
    cluster.restart(0);
    recovers(&client, "back-on-etcd").await;
    assert!(is_whole(&client, "before").await && is_whole(&client, "on-two-of-three").await);
}

/// A key that one of them makes opens the other, and what one revokes the other refuses
/// soon, since its store tells.
async fn share(accesser: &Server) {
    let (one, other) = (accesser.start().await, accesser.start().await);
    // What is looked up before that counts for an hour.
    other.logged("the change feed of the credential store is connected", 1).await;
    let key = mint(&one.client(), "dev-alice").await;
    let store = Store::new(&other.client(), &other.url, "demo", &key);
    store.make().await.expect(200);
    let delete = one.client();
    let path = format!("/credentials/{}", key.access);
    delete.call(Method::DELETE, &path, "dev-alice", None).await.expect(204);
    let revoked = Instant::now();
    while store.list().await.status.as_u16() == 200 {
        // It would be an hour unless it is told. On a machine that is so busy that the feed
        // breaks meanwhile, it is felt when the feed is back.
        assert!(revoked.elapsed().as_secs() < 60, "still served:\n{}", other.stderr());
        sleep(Waiting::STEP).await;
    }
    let felt = revoked.elapsed();
    let _ = writeln!(std::io::stderr(), "\na revocation is felt by another accesser in {felt:?}");
}

const NEVER: &[&str] = &["--key-ttl", "3600"];

#[tokio::test(flavor = "multi_thread")]
async fn two_on_one_postgres_share_keys_and_revocations() {
    if let Some(accesser) = on_postgres().await {
        share(&accesser.arguments(NEVER)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_on_one_etcd_share_keys_and_revocations() {
    if let Some(accesser) = on_etcd("shared") {
        share(&accesser.arguments(NEVER)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_on_one_file_share_keys_and_revocations() {
    share(&Server::new(ACCESSER).arguments(NEVER)).await;
}

#[tokio::test]
async fn a_key_ring_that_does_not_open_the_store_is_refused_and_no_secret_told() {
    let accesser = sealing(Server::new(ACCESSER));
    let mut running = accesser.start().await;
    let key = mint(&running.client(), "dev-alice").await;
    running.stop().await;
    let file = fs::read(accesser.database()).unwrap();
    assert!(!String::from_utf8_lossy(&file).contains(&key.secret), "readable in the file");

    fs::write(accesser.home().join("key-ring"), KeyRing::generate_key("another").unwrap().expose())
        .unwrap();
    let said = accesser.error().await;
    assert!(said.contains("first"), "{said}");
}

#[tokio::test]
async fn a_password_in_a_url_is_never_told() {
    for scheme in ["postgres", "etcd", "mysql", "env:postgres", "@etcd"] {
        let url = format!("{scheme}://amy:correct-horse@127.0.0.1:1/keys");
        let server = Server::new(ACCESSER).arguments(&["--backend", &url]);
        let (status, said) = server.refuse("127.0.0.1:0").await;
        assert!(!status.success(), "{said}");
        assert!(!said.contains("correct-horse"), "{said}");
    }
}

#[tokio::test]
async fn a_url_may_be_in_a_file_of_ones_own_and_its_password_is_never_told() {
    let accesser = Server::new(ACCESSER);
    let file = accesser.home().join("url");
    let write = |url: &str, mode| {
        fs::write(&file, url).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    let named = format!("@{}", file.display());
    let accesser = accesser.arguments(&["--backend", &named]);
    write("postgres://amy:correct-horse@127.0.0.1:1/keys\n", 0o600);
    let said = accesser.error().await;
    assert!(!said.contains("correct-horse"), "{said}");
    write("postgres://amy:correct-horse@127.0.0.1:1/keys\n", 0o644);
    let said = accesser.error().await;
    assert!(said.contains("chmod 600") && !said.contains("correct-horse"), "{said}");

    let database = accesser.home().join("other.db");
    write(&format!("sqlite:{}\n", database.display()), 0o600);
    let running = accesser.start().await;
    create(&running.client(), "one").await.expect(201);
    assert!(database.exists() && !accesser.database().exists());
}
