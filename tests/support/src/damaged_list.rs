//! Lists that skip records that cannot be read.

use tower_credentials::backend::{
    BackendError, CredentialBackend, ListQuery, Order,
    contract::{ListStep, list_skipping_damaged},
};

/// The number of readable records, and the sorted markers of the others.
pub async fn read_around_damage(
    backend: &impl CredentialBackend,
    order: Order,
) -> (usize, Vec<String>) {
    let (mut query, mut read, mut damaged) = (ListQuery::new(order), 0, Vec::new());
    loop {
        query.after = match list_skipping_damaged(backend, &query).await.unwrap() {
            ListStep::Records(page) => {
                read += page.credentials.len();
                page.next
            }
            ListStep::Damaged(found) => {
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
