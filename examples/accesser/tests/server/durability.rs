//! SIGKILL under load: every acknowledged key exists unchanged.

use std::{
    collections::BTreeSet,
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use http::Method;
use rusqlite::Connection;
use serde_json::Value;
use test_support::{
    http::Client,
    keys::{ALICE, BOB, DEMO, create_body, secret_of},
    process::Server,
    waiting::Waiting,
};
use tokio::{task::JoinSet, time::sleep};

use crate::ACCESSER;

const ROUNDS: usize = 12;
const CLIENTS: usize = 16;

/// A key that a client requested.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Requested {
    access: String,
    by_bob: bool,
    status: &'static str,
}

impl Requested {
    fn nth(round: usize, client: usize, n: usize) -> Self {
        let access = format!("r{round}-c{client}-n{n}");
        Self { access, by_bob: client % 2 == 1, status: ["Active", "Inactive"][n % 2] }
    }

    /// Sends the create; returns whether it was acknowledged.
    async fn create(&self, client: &Client) -> bool {
        let token = if self.by_bob { "dev-bob" } else { "dev-alice" };
        let body = create_body(&self.access, &secret_of(&self.access), self.status);
        let answer = client.try_call(Method::POST, "/credentials", token, Some(&body)).await;
        answer.is_ok_and(|answer| answer.expect(201).json()["credential"]["id"] == *self.access)
    }

    /// Whether the key exists. If so, checks that it is as requested.
    async fn exists(&self, client: &Client) -> bool {
        let answer = client.get(&format!("/credentials/{}", self.access), "dev-admin").await;
        if answer.status.as_u16() == 404 {
            return false;
        }
        let found: &Value = &answer.expect(200).json()["credential"];
        assert_eq!(found["blob"]["access"], *self.access);
        assert_eq!(found["blob"]["secret"], secret_of(&self.access));
        assert_eq!(found["blob"]["status"], self.status);
        assert_eq!(found["user_id"], if self.by_bob { BOB } else { ALICE });
        assert_eq!(found["project_id"], DEMO);
        true
    }
}

#[derive(Default)]
struct Books {
    requested: Mutex<BTreeSet<Requested>>,
    acknowledged: Mutex<BTreeSet<Requested>>,
}

/// Creates keys until the server is gone.
async fn load(
    client: Client,
    books: Arc<Books>,
    over: Arc<AtomicBool>,
    round: usize,
    number: usize,
) {
    for n in 0.. {
        let requested = Requested::nth(round, number, n);
        books.requested.lock().unwrap().insert(requested.clone());
        if requested.create(&client).await {
            books.acknowledged.lock().unwrap().insert(requested);
        } else {
            assert!(over.load(Ordering::SeqCst), "a create failed before the kill");
            return;
        }
    }
}

/// Counts the keys that exist.
async fn count(client: &Client, keys: Vec<Requested>) -> usize {
    let keys = Arc::new(Mutex::new(keys));
    let mut readers = JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, keys) = (client.clone(), Arc::clone(&keys));
        readers.spawn(async move {
            let mut found = 0;
            loop {
                let Some(key) = keys.lock().unwrap().pop() else { return found };
                found += usize::from(key.exists(&client).await);
            }
        });
    }
    readers.join_all().await.into_iter().sum()
}

/// The results of the creates.
pub(crate) struct Survived {
    pub(crate) acknowledged: usize,
    /// Creates without a response whose keys exist.
    pub(crate) unanswered: usize,
}

/// Kills the server repeatedly while keys are created. Checks after each kill that every
/// acknowledged key exists unchanged. Leaves the server stopped.
pub(crate) async fn survive_kills(accesser: &Server, rounds: usize) -> Survived {
    let books = Arc::new(Books::default());
    let mut running = accesser.start().await;
    let mut unanswered = 0;
    for round in 0..rounds {
        let over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let (books, over) = (Arc::clone(&books), Arc::clone(&over));
            clients.spawn(load(running.client(), books, over, round, number));
        }
        // At a different time in each round.
        let acknowledged = || books.acknowledged.lock().unwrap().len();
        let enough = acknowledged() + 1 + round * 13;
        for () in Waiting::start() {
            if acknowledged() >= enough {
                break;
            }
            sleep(Waiting::STEP).await;
        }
        assert!(acknowledged() >= enough, "round {round}: {}", running.stderr());
        over.store(true, Ordering::SeqCst);
        running.kill();
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }

        running = accesser.start().await;
        let client = running.client();
        let acknowledged = books.acknowledged.lock().unwrap().clone();
        let expected = acknowledged.len();
        let rest: Vec<_> =
            books.requested.lock().unwrap().difference(&acknowledged).cloned().collect();
        let found = count(&client, acknowledged.into_iter().collect()).await;
        assert_eq!(found, expected, "lost in round {round}");
        // Creates without a response may have been stored, but never partially.
        unanswered = count(&client, rest).await;
    }
    let acknowledged = books.acknowledged.lock().unwrap().len();
    running.stop().await;
    Survived { acknowledged, unanswered }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_key_survives_repeated_kills() {
    let accesser = Server::new(ACCESSER);
    let Survived { acknowledged, unanswered } = survive_kills(&accesser, ROUNDS).await;

    let database = Connection::open(accesser.database()).unwrap();
    let verdict: String =
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let rows: i64 =
        database.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(rows).unwrap(), acknowledged + unanswered);
    let _ = writeln!(
        std::io::stderr(),
        "\nkill -9: {ROUNDS} rounds, {acknowledged} creates acknowledged, 0 lost; \
         {unanswered} without a response were stored completely"
    );
}

#[tokio::test]
async fn check_of_a_key_fails_for_a_different_key() {
    let accesser = Server::new(ACCESSER).start().await;
    let client = accesser.client();
    let key = Requested::nth(0, 0, 0);
    assert!(!key.exists(&client).await);
    assert!(key.create(&client).await);
    assert!(key.exists(&client).await);
    let (bobs, disabled) =
        (Requested { by_bob: true, ..key.clone() }, Requested { status: "Inactive", ..key });
    for wrong in [bobs, disabled] {
        let client = client.clone();
        assert!(tokio::spawn(async move { wrong.exists(&client).await }).await.is_err());
    }
}
