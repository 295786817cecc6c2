//! Lost answers: completed writes are neither repeated nor denied.

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
    backend::{
        BackendError, CredentialBackend,
        contract::{BulkLoad, ChangeFeed, Loaded, Maintenance},
        etcd::EtcdBackend,
    },
    domain::Quota,
};

use crate::etcd::Cluster;
use crate::{cluster, connect, insert, pair};

/// A proxy to a member that can drop answers.
struct Proxy {
    url: String,
    /// The number of the answer to drop; 0 for none.
    to_lose: Arc<AtomicUsize>,
    /// Whether the responses to watches are held back.
    is_stalled: Arc<AtomicBool>,
    /// Write-locked while no new connections are accepted.
    gate: Arc<RwLock<()>>,
}

impl Proxy {
    async fn to(cluster: &Cluster) -> Self {
        let member = cluster.url().replace("etcd://", "");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            url: format!("etcd://{}", listener.local_addr().unwrap()),
            to_lose: Arc::default(),
            is_stalled: Arc::default(),
            gate: Arc::default(),
        };
        let (to_lose, is_stalled) = (Arc::clone(&proxy.to_lose), Arc::clone(&proxy.is_stalled));
        let gate = Arc::clone(&proxy.gate);
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
        proxy
    }

    async fn connect(&self) -> EtcdBackend {
        EtcdBackend::open(&*self.url).await.unwrap()
    }

    /// Drops the n-th answer from now on.
    fn lose(&self, n: usize) {
        self.to_lose.store(n, Ordering::SeqCst);
    }

    fn has_lost(&self) -> bool {
        self.to_lose.load(Ordering::SeqCst) == 0
    }
}

/// Forwards answers until one is to be dropped, then closes the connection.
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
async fn insert_is_acknowledged_although_its_answer_was_lost() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let proxy = Proxy::to(&cluster).await;
    let (backend, direct) = (proxy.connect().await, connect(&cluster).await);
    for _ in 0..5 {
        // The first insert requests the size. It must be done before the others start.
        insert(&backend, &pair("bob")).await.unwrap();
        let records: Vec<_> = (0..6).map(|_| pair("bob")).collect();
        proxy.lose(1);
        let mut inserts = tokio::task::JoinSet::new();
        for record in records.clone() {
            let backend = backend.clone();
            inserts.spawn(async move { backend.insert(&record, Quota::AtMost(35)).await });
        }
        for inserted in inserts.join_all().await {
            inserted.unwrap();
        }
        assert!(proxy.has_lost());
        for record in records {
            assert_eq!(direct.get(&record.id).await.unwrap(), Some(record));
        }
    }
    assert_eq!(direct.check_counters().await.unwrap().unwrap().wrong, 0);
    let full = direct.insert(&pair("bob"), Quota::AtMost(35)).await;
    assert!(matches!(full, Err(BackendError::QuotaExceeded)), "{full:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retried_insert_does_not_restore_a_record_that_was_deleted_meanwhile() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let proxy = Proxy::to(&cluster).await;
    let (backend, direct) = (proxy.connect().await, connect(&cluster).await);
    insert(&backend, &pair("bob")).await.unwrap();
    for user in ["bob", "amy"] {
        let record = pair(user);
        let gate = proxy.gate.write().await;
        proxy.lose(1);
        let inserting = {
            let (backend, record) = (backend.clone(), Arc::clone(&record));
            tokio::spawn(async move { insert(&backend, &record).await })
        };
        while direct.get(&record.id).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(direct.delete(&record.id, record.version).await.unwrap());
        drop(gate);
        let result = inserting.await.unwrap();
        assert!(matches!(result, Err(BackendError::Unavailable(_))), "{result:?}");
        assert_eq!(direct.get(&record.id).await.unwrap(), None);
    }
    assert_eq!(direct.check_counters().await.unwrap().unwrap().wrong, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_and_loads_with_lost_answers_are_acknowledged_and_deletes_are_not() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let proxy = Proxy::to(&cluster).await;
    let (backend, direct) = (proxy.connect().await, connect(&cluster).await);
    let record = pair("bob");
    insert(&backend, &record).await.unwrap();

    // The first answer belongs to a read.
    let next = Arc::new((*record).clone().touched(UNIX_EPOCH));
    proxy.lose(2);
    assert!(backend.update(&next, record.version).await.unwrap());
    assert!(proxy.has_lost());
    assert_eq!(direct.get(&record.id).await.unwrap().as_ref(), Some(&next));

    proxy.lose(2);
    let result = backend.delete(&next.id, next.version).await;
    assert!(matches!(result, Err(BackendError::Unavailable(_))), "{result:?}");
    assert_eq!(direct.get(&record.id).await.unwrap(), None);

    let records: Vec<_> = (0..5).map(|_| pair("bob")).collect();
    proxy.lose(1);
    assert_eq!(backend.load(&records).await.unwrap(), [Loaded::Stored; 5]);
    assert!(proxy.has_lost());
    assert_eq!(backend.load(&records).await.unwrap(), [Loaded::AlreadyThere; 5]);
    assert_eq!(direct.check_counters().await.unwrap().unwrap().wrong, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lagging_feed_is_not_complete() {
    let Some(cluster) = cluster(1, &[]) else { return };
    let proxy = Proxy::to(&cluster).await;
    let (backend, direct) = (proxy.connect().await, connect(&cluster).await);
    let mut feed = backend.subscribe().await.unwrap();
    assert!(feed.next().await.unwrap().is_complete);
    insert(&direct, &pair("bob")).await.unwrap();
    while !feed.next().await.unwrap().is_complete {}

    proxy.is_stalled.store(true, Ordering::SeqCst);
    insert(&direct, &pair("bob")).await.unwrap();
    let ended = async {
        while let Ok(notice) = feed.next().await {
            assert!(!notice.is_complete, "complete without the change that was held back");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the subscription ends");
}
