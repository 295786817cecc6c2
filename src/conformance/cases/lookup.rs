//! Clauses: *a record that does not exist is not an error*, *reads see every write that
//! completed before they started*, and comparisons are bytewise.

use crate::{
    backend::Order,
    conformance::fixtures::{
        Backend, access_key, assert_gone, assert_stored, delete, find, find_slot, fresh_access_key,
        fresh_full, fresh_opaque, fresh_pair, fresh_user, get, in_slot, insert, list_all, of_user,
        pair, rekeyed, unique, update, with_id,
    },
    domain::{AccessKey, CredentialId, Quota, Slot, UserId},
};

/// Lookups of unknown records return `None`, not an error, even if the user is known.
///
/// # Panics
///
/// If a lookup finds a record, or if the backend fails.
pub async fn unknown_records_are_none(backend: Backend) {
    let user = fresh_user();
    insert(&backend, &in_slot(fresh_pair(&user), Slot::Ec2)).await;
    for text in [unique(), String::new(), "' OR 1=1 --".into(), "%".into(), "x".repeat(5_000)] {
        assert!(get(&backend, &CredentialId::from_stored(text.clone())).await.is_none());
        assert!(find(&backend, &AccessKey::from_stored(text)).await.is_none());
    }
    for (user, slot) in [(&user, Slot::S3), (&user, Slot::Password), (&fresh_user(), Slot::Ec2)] {
        assert!(find_slot(&backend, user, slot).await.is_none());
    }
}

/// Access keys and ids that differ in one byte are different: in case, in a wildcard
/// character, or in length.
///
/// # Panics
///
/// If a lookup returns another record.
pub async fn access_keys_and_ids_are_compared_bytewise(backend: Backend) {
    let (user, stem) = (fresh_user(), unique());
    let spellings = ["aB_", "ab_", "AB_", "ab%", "ab", "ab__", "ab-", "abc"];
    let (stored, unknown) = spellings.split_at(5);
    let spelt = |spelling: &str| {
        let text = format!("{stem}{spelling}");
        with_id(pair(&user, AccessKey::from_stored(text.clone())), &text)
    };
    let records: Vec<_> = stored.iter().map(|spelling| spelt(spelling)).collect();
    for record in &records {
        insert(&backend, record).await;
    }
    for record in &records {
        assert_stored(&backend, record).await;
    }
    for spelling in unknown {
        assert_gone(&backend, &spelt(spelling)).await;
    }
}

/// Users that differ in one byte are different users, for slots, lists, quotas and purges.
///
/// # Panics
///
/// If one user's records are found for another.
pub async fn owners_are_compared_bytewise(backend: Backend) {
    let stem = unique();
    // The last two look alike: one composed character, and a letter with its accent.
    let spellings = ["aB", "ab", "AB", "ab ", "a%", "a_", "\u{e9}", "e\u{301}"];
    let records = spellings.map(|spelling| {
        in_slot(fresh_pair(&UserId::from_stored(format!("{stem}{spelling}"))), Slot::S3)
    });
    for record in &records {
        let inserted = backend.insert(&record.clone().into(), Quota::AtMost(1)).await;
        inserted.expect("the first record of this user");
    }
    for record in &records {
        assert_stored(&backend, record).await;
        assert_eq!(list_all(&backend, &of_user(&record.user_id, Order::Key)).await.len(), 1);
    }
    let (purged, kept) = records.split_at(1);
    assert_eq!(backend.purge_user(&purged[0].user_id).await.expect("purge_user"), 1);
    for record in kept {
        assert_stored(&backend, record).await;
    }
}

/// A slot is looked up for its user, never across users.
///
/// # Panics
///
/// If the record of another user or another slot is found.
pub async fn slots_belong_to_their_user(backend: Backend) {
    let (amy, bob) = (fresh_user(), fresh_user());
    let of_amy = in_slot(fresh_opaque(&amy), Slot::Password);
    insert(&backend, &of_amy).await;
    assert!(find_slot(&backend, &bob, Slot::Password).await.is_none());
    assert!(find_slot(&backend, &amy, Slot::Ec2).await.is_none());

    let of_bob = in_slot(fresh_opaque(&bob), Slot::Password);
    insert(&backend, &of_bob).await;
    assert_stored(&backend, &of_amy).await;
    assert_stored(&backend, &of_bob).await;
}

/// Every read that starts after a write sees it, also through another handle.
///
/// # Panics
///
/// If a read returns an earlier state.
pub async fn reads_see_every_completed_write(backend: Backend) {
    let other = Backend::clone(&backend);
    for _ in 0..10 {
        let first = fresh_full();
        assert_gone(&other, &first).await;
        insert(&backend, &first).await;
        assert_stored(&other, &first).await;

        let second = rekeyed(&first, &fresh_access_key());
        assert!(update(&backend, &second, first.version).await);
        assert_stored(&other, &second).await;
        assert!(find(&other, access_key(&first)).await.is_none());

        assert!(delete(&backend, &second).await);
        assert_gone(&other, &second).await;

        let third = fresh_full();
        insert(&backend, &third).await;
        assert_stored(&other, &third).await;
        backend.purge_user(&third.user_id).await.expect("purge_user");
        assert_gone(&other, &third).await;
    }
}
