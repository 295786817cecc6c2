//! Answers that are lost on their way: what was done is not done again, nor denied.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::RwLock,
};
use tower_credentials::{
    backend::{BackendError, BulkLoad, ChangeFeed, CredentialBackend, Loaded, etcd::EtcdBackend},
    domain::Quota,
};

use crate::etcd::Cluster;
use crate::{cluster, connect, insert, pair};

/// A line to a member that can be cut when a request has been answered.
struct Line {
    url: String,
    /// Which answer from now on is to be lost; 0 for none.
    to_lose: Arc<AtomicUsize>,
    /// Whether what a watch says is held back.
    is_stalled: Arc<AtomicBool>,
    /// Held by who wants no new connections.
    gate: Arc<RwLock<()>>,
}

impl Line {
    async fn to(cluster: &Cluster) -> Self {
        let member = cluster.url().replace("etcd://", "");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Self {
            url: format!("etcd://{}", listener.local_addr().unwrap()),
            to_lose: Arc::default(),
            is_stalled: Arc::default(),
            gate: Arc::default(),
        };
        let (to_lose, is_stalled) = (Arc::clone(&line.to_lose), Arc::clone(&line.is_stalled));
        let gate = Arc::clone(&line.gate);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                drop(gate.read().await);
                let (from_client, to_client) = client.into_split();
                let (from_member, mut to_member) =
                    TcpStream::connect(&member).await.unwrap().into_split();
                tokio::spawn(answers(
                    from_member,
                    to_client,
                    Arc::clone(&to_lose),
                    Arc::clone(&is_stalled),
                ));
                tokio::spawn(async move {
                    let mut from_client = from_client;
                    copy(&mut from_client, &mut to_member).await
                });
            }
        });
        line
    }

    async fn connect(&self) -> EtcdBackend {
        EtcdBackend::open(&*self.url).await.unwrap()
    }

    /// Has the n-th answer from now on lost.
    fn lose(&self, n: usize) {
        self.to_lose.store(n, Ordering::SeqCst);
    }

    fn has_lost(&self) -> bool {
        self.to_lose.load(Ordering::SeqCst) == 0
    }
}

/// Passes answers on until one is to be lost; the line is cut then.
async fn answers(
    mut from_member: OwnedReadHalf,
    mut to_client: OwnedWriteHalf,
    to_lose: Arc<AtomicUsize>,
    is_stalled: Arc<AtomicBool>,
) {
    let (mut bytes, mut is_watch) = ([0; 4096], false);
    while let Ok(read @ 1..) = from_member.read(&mut bytes).await {
        while is_watch && is_stalled.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        is_watch |= bytes[..read].windows(9).any(|part| part == b"\"created\"");
        let lost = to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if lost == Ok(1) || to_client.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_was_done_is_acknowledged_though_the_answer_was_lost() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let line = Line::to(&cluster).await;
    let (backend, direct) = (line.connect().await, connect(&cluster).await);
    for _ in 0..5 {
        // The size is asked before the first; and one is under way when the others come.
        insert(&backend, &pair("bob")).await.unwrap();
        let records: Vec<_> = (0..6).map(|_| pair("bob")).collect();
        line.lose(1);
        let mut inserts = tokio::task::JoinSet::new();
        for record in records.clone() {
            let backend = backend.clone();
            inserts.spawn(async move { backend.insert(&record, Quota::AtMost(35)).await });
        }
        for inserted in inserts.join_all().await {
            inserted.unwrap();
        }
        assert!(line.has_lost());
        for record in records {
            assert_eq!(direct.get(&record.id).await.unwrap(), Some(record));
        }
    }
    assert_eq!(direct.check_counters().await.unwrap().wrong, 0);
    let full = direct.insert(&pair("bob"), Quota::AtMost(35)).await;
    assert!(matches!(full, Err(BackendError::QuotaExceeded)), "{full:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_whose_record_was_deleted_meanwhile_does_not_bring_it_back() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let line = Line::to(&cluster).await;
    let (backend, direct) = (line.connect().await, connect(&cluster).await);
    insert(&backend, &pair("bob")).await.unwrap();
    for user in ["bob", "amy"] {
        let record = pair(user);
        let gate = line.gate.write().await;
        line.lose(1);
        let inserting = {
            let (backend, record) = (backend.clone(), Arc::clone(&record));
            tokio::spawn(async move { insert(&backend, &record).await })
        };
        while direct.get(&record.id).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(direct.delete(&record.id, record.version).await.unwrap());
        drop(gate);
        let outcome = inserting.await.unwrap();
        assert!(matches!(outcome, Err(BackendError::Unavailable(_))), "{outcome:?}");
        assert_eq!(direct.get(&record.id).await.unwrap(), None);
    }
    assert_eq!(direct.check_counters().await.unwrap().wrong, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_and_loads_that_were_done_are_acknowledged_and_deletes_in_doubt_are_not() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let line = Line::to(&cluster).await;
    let (backend, direct) = (line.connect().await, connect(&cluster).await);
    let record = pair("bob");
    insert(&backend, &record).await.unwrap();

    // The first answer is that of a read.
    let next = Arc::new((*record).clone().touched(UNIX_EPOCH));
    line.lose(2);
    assert!(backend.update(&next, record.version).await.unwrap());
    assert!(line.has_lost());
    assert_eq!(direct.get(&record.id).await.unwrap().as_ref(), Some(&next));

    line.lose(2);
    let outcome = backend.delete(&next.id, next.version).await;
    assert!(matches!(outcome, Err(BackendError::Unavailable(_))), "{outcome:?}");
    assert_eq!(direct.get(&record.id).await.unwrap(), None);

    let records: Vec<_> = (0..5).map(|_| pair("bob")).collect();
    line.lose(1);
    assert_eq!(backend.load(&records).await.unwrap(), [Loaded::Stored; 5]);
    assert!(line.has_lost());
    assert_eq!(backend.load(&records).await.unwrap(), [Loaded::AlreadyThere; 5]);
    assert_eq!(direct.check_counters().await.unwrap().wrong, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_lags_is_not_taken_for_a_complete_one() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let line = Line::to(&cluster).await;
    let (backend, direct) = (line.connect().await, connect(&cluster).await);
    let mut feed = backend.subscribe().await.unwrap();
    assert!(feed.next().await.unwrap().is_complete);
    insert(&direct, &pair("bob")).await.unwrap();
    while !feed.next().await.unwrap().is_complete {}

    line.is_stalled.store(true, Ordering::SeqCst);
    insert(&direct, &pair("bob")).await.unwrap();
    let ended = async {
        while let Ok(notice) = feed.next().await {
            assert!(!notice.is_complete, "complete without what was held back");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the subscription ends");
}
