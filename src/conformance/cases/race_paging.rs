//! Reading pages while others write.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    backend::Order,
    conformance::fixtures::{
        Backend, delete, fresh_opaque, fresh_pair, fresh_user, insert, insert_all, list_all,
        marker, of_user, sorted,
    },
    domain::{Credential, UserId},
};

/// Paging returns each lasting record once and in order, while other records of the same user
/// are created and deleted.
///
/// # Panics
///
/// If a lasting record is missing, returned twice or out of order.
pub async fn paging_under_racing_writes_visits_lasting_records_once(backend: Backend) {
    let user = fresh_user();
    let pairs = (0..30).map(|_| fresh_pair(&user));
    let stays: Vec<_> = pairs.chain((0..30).map(|_| fresh_opaque(&user))).collect();
    insert_all(&backend, &stays).await;
    // Set when this ends, also by a panic: otherwise the writers would never stop.
    let is_over = Over::default();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (backend, user) = (Arc::clone(&backend), user.clone());
            let is_over = Arc::clone(&is_over.0);
            tokio::spawn(async move { come_and_go(&backend, &user, &is_over).await })
        })
        .collect();

    let order = Order::Key;
    let expected = sorted(&stays.iter().collect::<Vec<_>>(), order);
    for _ in 0..16 {
        let visited = list_all(&backend, &of_user(&user, order).with_limit(7)).await;
        let stayed = |record: &&Arc<Credential>| stays.iter().any(|it| it.id == record.id);
        let visited: Vec<_> =
            visited.iter().filter(stayed).map(|record| marker(record, order)).collect();
        assert_eq!(visited, expected);
    }
    drop(is_over);
    for writer in writers {
        writer.await.expect("the writes go through");
    }
}

#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Creates and deletes records of this user until `is_over` is set; leaves none.
async fn come_and_go(backend: &Backend, user: &UserId, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        let passing = [fresh_pair(user), fresh_opaque(user)];
        for record in &passing {
            insert(backend, record).await;
        }
        for record in &passing {
            assert!(delete(backend, record).await);
        }
        // A store in memory never yields.
        tokio::task::yield_now().await;
    }
}
