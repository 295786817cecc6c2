//! `kill -9` under load: what was acknowledged is there, whole.

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

/// A key that a client asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    access: String,
    by_bob: bool,
    status: &'static str,
}

impl Asked {
    fn nth(round: usize, client: usize, n: usize) -> Self {
        let access = format!("r{round}-c{client}-n{n}");
        Self { access, by_bob: client % 2 == 1, status: ["Active", "Inactive"][n % 2] }
    }

    /// Whether the create was acknowledged.
    async fn ask(&self, client: &Client) -> bool {
        let token = if self.by_bob { "dev-bob" } else { "dev-alice" };
        let body = create_body(&self.access, &secret_of(&self.access), self.status);
        let answer = client.try_call(Method::POST, "/credentials", token, Some(&body)).await;
        answer.is_ok_and(|answer| answer.expect(201).json()["credential"]["id"] == *self.access)
    }

    /// Whether it is there; if it is, it is what was asked for.
    async fn is_there(&self, client: &Client) -> bool {
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
    asked: Mutex<BTreeSet<Asked>>,
    acknowledged: Mutex<BTreeSet<Asked>>,
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
        let asked = Asked::nth(round, number, n);
        books.asked.lock().unwrap().insert(asked.clone());
        if asked.ask(&client).await {
            books.acknowledged.lock().unwrap().insert(asked);
        } else {
            assert!(over.load(Ordering::SeqCst), "refused before it was killed");
            return;
        }
    }
}

/// How many of these are there.
async fn count(client: &Client, keys: Vec<Asked>) -> usize {
    let keys = Arc::new(Mutex::new(keys));
    let mut readers = JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, keys) = (client.clone(), Arc::clone(&keys));
        readers.spawn(async move {
            let mut found = 0;
            loop {
                let Some(key) = keys.lock().unwrap().pop() else { return found };
                found += usize::from(key.is_there(&client).await);
            }
        });
    }
    readers.join_all().await.into_iter().sum()
}

/// What became of the creates.
pub(crate) struct Survived {
    pub(crate) acknowledged: usize,
    /// Creates that were never answered and are there.
    pub(crate) unanswered: usize,
}

/// Kills the server over and over while keys are created, and checks after each time that
/// every acknowledged one is there, whole; leaves it stopped.
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
        // At another point of the work each time.
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
        let rest: Vec<_> = books.asked.lock().unwrap().difference(&acknowledged).cloned().collect();
        let found = count(&client, acknowledged.into_iter().collect()).await;
        assert_eq!(found, expected, "lost in round {round}");
        // What was under way may have been written or not, but not by halves.
        unanswered = count(&client, rest).await;
    }
    let acknowledged = books.acknowledged.lock().unwrap().len();
    running.stop().await;
    Survived { acknowledged, unanswered }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_key_is_whole_after_each_of_many_kills() {
    let accesser = Server::new(ACCESSER);
    let Survived { acknowledged, unanswered } = survive_kills(&accesser, ROUNDS).await;

    let database = Connection::open(accesser.database()).unwrap();
    let verdict: String =
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let rows: i64 =
        database.query_row("SELECT count(*) FROM credentials", [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(rows).unwrap(), acknowledged + unanswered);
    let _ = writeln!(
        std::io::stderr(),
        "\nkill -9: {ROUNDS} rounds, {acknowledged} creates acknowledged, 0 lost; \
         {unanswered} unanswered ones were written whole"
    );
}

#[tokio::test]
async fn the_check_of_a_key_fails_for_one_that_is_not_what_was_asked_for() {
    let accesser = Server::new(ACCESSER).start().await;
    let client = accesser.client();
    let key = Asked::nth(0, 0, 0);
    assert!(!key.is_there(&client).await);
    assert!(key.ask(&client).await);
    assert!(key.is_there(&client).await);
    let (bobs, disabled) =
        (Asked { by_bob: true, ..key.clone() }, Asked { status: "Inactive", ..key });
    for wrong in [bobs, disabled] {
        let client = client.clone();
        assert!(tokio::spawn(async move { wrong.is_there(&client).await }).await.is_err());
    }
}
