//! `--mirror` with key pairs that have an expiry or a boundary, and rotations.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use http::Method;
use keystone_front::mirror::Mirrored;
use test_support::records::{pair_in, rotation};
use tokio::time::sleep;
use tower_credentials::{
    backend::{BackendError, CredentialBackend, memory::MemoryBackend},
    clock::{Clock, SystemClock},
    domain::{Credential, Quota},
    keystone::{KeystoneClient, ServiceLogin},
};

use crate::{
    keystone::{Keystone, id_of_pair},
    mirroring::mirrored_to,
    waiting::Waiting,
};

async fn start() -> (Keystone, Mirrored<MemoryBackend>) {
    let keystone = Keystone::start().await;
    let login = ServiceLogin::password("front", "password", "service");
    let client = KeystoneClient::builder(&*keystone.url).login(login).build().unwrap();
    (keystone, mirrored_to(client))
}

async fn stored(mirror: &Mirrored<MemoryBackend>) -> Arc<Credential> {
    let record = Arc::new(pair_in("demo", "alice", "old", "s"));
    mirror.insert(&record, Quota::Unlimited).await.unwrap();
    record
}

/// A rotation after which the old key pair is still usable.
fn rotated(old: &Credential) -> (Arc<Credential>, Arc<Credential>) {
    let (new, mut retired) = rotation(old);
    retired.terms.set_expires_at(Some(SystemClock.now() + Duration::from_hours(1)));
    (Arc::new(new), Arc::new(retired))
}

fn ids(keystone: &Keystone) -> Vec<String> {
    keystone.credentials().into_keys().collect()
}

fn id_of(record: &Credential) -> String {
    id_of_pair(record.access_key.as_ref().unwrap().as_str())
}

/// Waits until Keystone has exactly these copies.
async fn wait_for(keystone: &Keystone, expected: &[String]) {
    for () in Waiting::start() {
        if ids(keystone) == expected {
            return;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("{:?} instead of {expected:?}", ids(keystone));
}

#[tokio::test]
async fn key_pair_with_an_expiry_or_a_boundary_is_not_copied() {
    let (keystone, mirror) = start().await;
    for (access, limit) in [("a", "expiry"), ("b", "boundary")] {
        let mut record = pair_in("demo", "alice", access, "s");
        match limit {
            "expiry" => record.terms.set_expires_at(Some(SystemClock.now())),
            _ => record.terms.set_boundary(Some("{}".into())),
        }
        mirror.insert(&record.into(), Quota::Unlimited).await.unwrap();
        assert!(ids(&keystone).is_empty(), "{limit}");
    }
}

#[tokio::test]
async fn update_that_limits_a_key_pair_deletes_its_copy_first() {
    let (keystone, mirror) = start().await;
    let old = stored(&mirror).await;
    assert_eq!(ids(&keystone), [id_of(&old)]);
    let mut limited = (*old).clone().touched(UNIX_EPOCH);
    limited.terms.set_boundary(Some("{}".into()));
    let limited = Arc::new(limited);
    let path = format!("/v3/credentials/{}", id_of(&old));
    keystone.fail(&Method::DELETE, &path, 503);
    let refused = mirror.update(&limited, old.version).await;
    assert!(matches!(refused, Err(BackendError::Unavailable(_))), "{refused:?}");
    assert_eq!(mirror.get(&old.id).await.unwrap().as_ref(), Some(&old));
    keystone.clear_faults();
    assert!(mirror.update(&limited, old.version).await.unwrap());
    assert!(ids(&keystone).is_empty());
    let mut lifted = (*limited).clone().touched(UNIX_EPOCH);
    lifted.terms.set_boundary(None);
    assert!(mirror.update(&Arc::new(lifted), limited.version).await.unwrap());
    assert_eq!(ids(&keystone), [id_of(&old)]);
}

#[tokio::test]
async fn rotation_replaces_the_copy_of_the_old_key_pair() {
    let (keystone, mirror) = start().await;
    let old = stored(&mirror).await;
    let (new, retired) = rotated(&old);
    assert!(mirror.rotate(&new, Quota::AtMost(2), &retired, old.version).await.unwrap());
    assert_eq!(ids(&keystone), [id_of(&new)]);
    assert_eq!(mirror.get(&old.id).await.unwrap(), Some(Arc::clone(&retired)));

    // A new key pair with an expiry has no copy.
    let (next, last) = rotated(&new);
    let mut next = (*next).clone();
    next.terms.set_expires_at(Some(SystemClock.now() + Duration::from_hours(2)));
    let next = Arc::new(next);
    assert!(mirror.rotate(&next, Quota::AtMost(3), &last, new.version).await.unwrap());
    assert!(ids(&keystone).is_empty());
    assert_eq!(mirror.get(&next.id).await.unwrap(), Some(next));
}

#[tokio::test]
async fn refused_rotation_restores_the_copy() {
    let (keystone, mirror) = start().await;
    let old = stored(&mirror).await;
    let (new, retired) = rotated(&old);
    let outcome = mirror.rotate(&new, Quota::AtMost(1), &retired, old.version).await;
    assert!(matches!(outcome, Err(BackendError::QuotaExceeded)), "{outcome:?}");
    wait_for(&keystone, &[id_of(&old)]).await;
    let stale = mirror.rotate(&new, Quota::AtMost(2), &retired, new.version).await;
    assert!(!stale.unwrap());
    assert_eq!(ids(&keystone), [id_of(&old)]);
    assert_eq!(mirror.get(&old.id).await.unwrap(), Some(old));
    assert_eq!(mirror.get(&new.id).await.unwrap(), None);
}

#[tokio::test]
async fn failed_copy_undoes_the_rotation() {
    let (keystone, mirror) = start().await;
    let old = stored(&mirror).await;
    let (new, retired) = rotated(&old);
    keystone.fail(&Method::POST, "/v3/credentials", 503);
    let outcome = mirror.rotate(&new, Quota::AtMost(2), &retired, old.version).await;
    assert!(matches!(outcome, Err(BackendError::Unavailable(_))), "{outcome:?}");
    assert_eq!(mirror.get(&new.id).await.unwrap(), None);
    let restored = mirror.get(&old.id).await.unwrap().unwrap();
    assert_eq!(restored.terms, old.terms);
    keystone.clear_faults();
    wait_for(&keystone, &[id_of(&old)]).await;

    // The old key pair keeps its copy if Keystone cannot delete it.
    let path = format!("/v3/credentials/{}", id_of(&old));
    keystone.fail(&Method::DELETE, &path, 503);
    let (new, retired) = rotated(&restored);
    let outcome = mirror.rotate(&new, Quota::AtMost(2), &retired, restored.version).await;
    assert!(matches!(outcome, Err(BackendError::Unavailable(_))), "{outcome:?}");
    assert_eq!(mirror.get(&old.id).await.unwrap(), Some(restored));
    assert_eq!(mirror.get(&new.id).await.unwrap(), None);
}
