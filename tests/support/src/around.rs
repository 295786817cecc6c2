//! Lists around records that cannot be read.

use tower_credentials::backend::{
    BackendError, CredentialBackend, ListQuery, Order, Part, list_around,
};

/// How many records can be read, and the markers of those that cannot, sorted.
pub async fn around(backend: &impl CredentialBackend, order: Order) -> (usize, Vec<String>) {
    let (mut query, mut read, mut damaged) = (ListQuery::new(order), 0, Vec::new());
    loop {
        query.after = match list_around(backend, &query).await.unwrap() {
            Part::Records(page) => {
                read += page.credentials.len();
                page.next
            }
            Part::Damaged(found) => {
                assert!(matches!(found.error, BackendError::Corrupt(_)), "{found:?}");
                damaged.push(found.marker);
                found.next
            }
        };
        if query.after.is_none() {
            damaged.sort();
            return (read, damaged);
        }
    }
}
