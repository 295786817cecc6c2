//! Which keys may sign, and how soon a change is felt.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::Empty;
use tower_credentials::{
    async_trait,
    backend::{
        BackendError, CredentialBackend, KeySource, Known, cached::Cached, memory::MemoryBackend,
    },
    clock::Clock,
    directory::{Project, StaticDirectory, User},
    domain::{AccessKey, Credential, CredentialId, Delegation, ProjectId, Quota, Status, UserId},
    s3::S3AuthLayer,
    signature::request::S3ErrorCode,
    usage::{UsageLog, UsageRecorder},
};

use crate::{
    aws_signer::Signer,
    gate::{ACCESS, Answer, Gate, SECRET, Watch, record, request},
};

async fn get(gate: &Gate, signer: Signer) -> Answer {
    let unsigned = request("GET", "/b/k").body(Empty::<Bytes>::new()).unwrap();
    gate.send(signer.sign(unsigned).0).await
}

/// Changes alice's key.
async fn change(backend: &dyn CredentialBackend, change: impl FnOnce(&mut Credential)) {
    let access = AccessKey::from_stored(ACCESS);
    let found = backend.find_by_access_key(&access).await.unwrap().unwrap();
    let mut changed = (*found).clone().touched(found.updated_at);
    change(&mut changed);
    assert!(backend.update(&Arc::new(changed), found.version).await.unwrap());
}

#[tokio::test]
async fn an_unknown_key_and_a_wrong_secret_are_told_apart_unless_they_shall_not() {
    let told = Gate::new().await;
    let hidden = Gate::with(|builder| builder.hide_unknown_keys(true)).await;
    let unknown = |gate: &Gate| Signer { access: "NOBODY".into(), ..gate.signer() };
    let wrong = |gate: &Gate| Signer { secret: format!("{SECRET}x"), ..gate.signer() };

    let answer = get(&told, unknown(&told)).await;
    answer.refused(S3ErrorCode::InvalidAccessKeyId);
    assert!(answer.body.contains("<AWSAccessKeyId>NOBODY</AWSAccessKeyId>"), "{}", answer.body);
    let answer = get(&told, wrong(&told)).await;
    answer.refused(S3ErrorCode::SignatureDoesNotMatch);
    assert!(answer.body.contains("<StringToSign>AWS4-HMAC-SHA256\n20260102T030405Z\n"));
    assert!(answer.body.contains("<CanonicalRequest>GET\n/b/k\n\nhost:"), "{}", answer.body);

    // But for the key's name, and the id that each answer has, nothing differs.
    let plain = |answer: &Answer, access: &str| {
        let body = answer.body.replace(access, "AK");
        body.split("<RequestId>").next().unwrap().to_owned()
    };
    let [one, other] = [get(&hidden, unknown(&hidden)).await, get(&hidden, wrong(&hidden)).await];
    one.refused(S3ErrorCode::SignatureDoesNotMatch);
    assert_eq!(plain(&one, "NOBODY"), plain(&other, ACCESS));
}

#[tokio::test]
async fn in_strict_mode_every_key_that_may_not_sign_looks_like_a_wrong_signature() {
    let mismatch = S3ErrorCode::SignatureDoesNotMatch;
    for presigned in [false, true] {
        let strict = Gate::with(|builder| builder.hide_unknown_keys(true)).await;
        let signer = || {
            let signer = strict.signer();
            if presigned { signer.presigning(Duration::from_mins(1)) } else { signer }
        };
        get(&strict, Signer { access: "NOBODY".into(), ..signer() }).await.refused(mismatch);
        change(&strict.backend, |key| key.status = Status::Inactive).await;
        get(&strict, signer()).await.refused(mismatch);
        change(&strict.backend, |key| {
            key.status = Status::Active;
            key.delegation = Some(Delegation::Trust { id: "t".into() });
        })
        .await;
        get(&strict, signer()).await.refused(mismatch);
    }
    let nobody = StaticDirectory::new();
    let strict = Gate::with(|builder| builder.hide_unknown_keys(true).directory(nobody)).await;
    get(&strict, strict.signer()).await.refused(mismatch);
}

#[tokio::test]
async fn only_active_keys_with_a_secret_of_their_own_may_sign() {
    let gate = Gate::new().await;
    get(&gate, gate.signer()).await.verified();
    change(&gate.backend, |key| key.status = Status::Inactive).await;
    get(&gate, gate.signer()).await.refused(S3ErrorCode::InvalidAccessKeyId);
    change(&gate.backend, |key| key.status = Status::Active).await;
    get(&gate, gate.signer()).await.verified();

    let delegated =
        |key: &mut Credential| key.delegation = Some(Delegation::Trust { id: "t".into() });
    change(&gate.backend, delegated).await;
    get(&gate, gate.signer()).await.refused(S3ErrorCode::InvalidAccessKeyId);
    let accepting = Gate::with(|builder| builder.accept_delegated(true)).await;
    change(&accepting.backend, delegated).await;
    let key = get(&accepting, accepting.signer()).await.verified().key.unwrap();
    assert_eq!(key.delegation(), Some(&Delegation::Trust { id: "t".into() }));
}

#[tokio::test]
async fn keys_of_disabled_or_missing_users_and_projects_do_not_verify_with_a_directory() {
    let user = |enabled| {
        let mut user = User::new(UserId::new("alice").unwrap(), "alice");
        user.enabled = enabled;
        user
    };
    let project = |enabled| {
        let mut project = Project::new(ProjectId::new("demo").unwrap(), "demo");
        project.enabled = enabled;
        project
    };
    for (users, projects, good) in [
        (Some(true), Some(true), true),
        (Some(false), Some(true), false),
        (Some(true), Some(false), false),
        (None, Some(true), false),
        (Some(true), None, false),
    ] {
        let (alice, demo) = (user(true).id, project(true).id);
        let mut directory = StaticDirectory::new().with_member(alice, demo, ["member"]);
        if let Some(enabled) = users {
            directory = directory.with_user(user(enabled));
        }
        if let Some(enabled) = projects {
            directory = directory.with_project(project(enabled));
        }
        let gate = Gate::with(|builder| builder.directory(directory)).await;
        let answer = get(&gate, gate.signer()).await;
        if good {
            answer.verified();
        } else {
            answer.refused(S3ErrorCode::InvalidAccessKeyId);
        }
        // Whether the owner is there shows to nobody without the secret.
        let wrong = Signer { secret: "x".into(), ..gate.signer() };
        get(&gate, wrong).await.refused(S3ErrorCode::SignatureDoesNotMatch);
    }
}

/// A layer that reads through a cache, which is what its key is written through too.
async fn cached() -> (Gate, Cached<MemoryBackend>) {
    let (backend, clock) = (MemoryBackend::default(), Watch::default());
    let cached = Cached::builder(backend.clone()).clock(clock.clone()).build();
    cached.insert(&Arc::new(record(ACCESS, SECRET)), Quota::Unlimited).await.unwrap();
    let layer = S3AuthLayer::builder(cached.clone()).clock(clock.clone()).build().unwrap();
    (Gate { backend, clock, layer }, cached)
}

#[tokio::test]
async fn what_is_written_through_the_cache_is_felt_by_the_next_request() {
    let (gate, cached) = cached().await;
    for _ in 0..3 {
        get(&gate, gate.signer()).await.verified();
        change(&cached, |key| key.status = Status::Inactive).await;
        get(&gate, gate.signer()).await.refused(S3ErrorCode::InvalidAccessKeyId);
        change(&cached, |key| key.status = Status::Active).await;
    }
    get(&gate, gate.signer()).await.verified();
    // A key that was deleted and made again has another secret, and what was derived of
    // the old one is good no more.
    let id = CredentialId::of(&AccessKey::from_stored(ACCESS));
    let found = cached.get(&id).await.unwrap().unwrap();
    assert!(cached.delete(&id, found.version).await.unwrap());
    get(&gate, gate.signer()).await.refused(S3ErrorCode::InvalidAccessKeyId);
    cached.insert(&Arc::new(record(ACCESS, "another")), Quota::Unlimited).await.unwrap();
    get(&gate, gate.signer()).await.refused(S3ErrorCode::SignatureDoesNotMatch);
    get(&gate, Signer { secret: "another".into(), ..gate.signer() }).await.verified();
}

#[tokio::test]
async fn what_is_written_elsewhere_is_felt_within_the_caches_bound() {
    let (gate, cached) = cached().await;
    get(&gate, gate.signer()).await.verified();
    change(&gate.backend, |key| key.status = Status::Inactive).await;
    gate.clock.forward(cached.max_staleness());
    get(&gate, gate.signer()).await.refused(S3ErrorCode::InvalidAccessKeyId);
    assert!(cached.staleness() <= cached.max_staleness());
}

#[tokio::test]
async fn a_secret_that_was_changed_elsewhere_is_good_no_more_within_the_caches_bound() {
    let (gate, cached) = cached().await;
    get(&gate, gate.signer()).await.verified();
    let id = CredentialId::of(&AccessKey::from_stored(ACCESS));
    let found = gate.backend.get(&id).await.unwrap().unwrap();
    assert!(gate.backend.delete(&id, found.version).await.unwrap());
    let again = Arc::new(record(ACCESS, "another"));
    gate.backend.insert(&again, Quota::Unlimited).await.unwrap();
    gate.clock.forward(cached.max_staleness());
    get(&gate, gate.signer()).await.refused(S3ErrorCode::SignatureDoesNotMatch);
    get(&gate, Signer { secret: "another".into(), ..gate.signer() }).await.verified();
}

/// Keys that cannot be looked up for a while.
#[derive(Debug)]
struct Flaky(AtomicBool);

#[async_trait]
impl KeySource for Flaky {
    fn known(&self, _: &str, _: SystemTime) -> Option<Known> {
        None
    }

    async fn find(&self, _: &AccessKey) -> Result<Option<Arc<Credential>>, BackendError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(BackendError::Unavailable("the disk is gone: s3cr3t".into()));
        }
        Ok(Some(Arc::new(record(ACCESS, SECRET))))
    }
}

#[tokio::test]
async fn while_keys_cannot_be_looked_up_clients_are_told_to_come_back() {
    let clock = Watch::default();
    let flaky = Arc::new(Flaky(AtomicBool::new(true)));
    let layer = S3AuthLayer::builder(Arc::clone(&flaky)).clock(clock.clone()).build().unwrap();
    let gate = Gate { backend: MemoryBackend::default(), clock, layer };
    let answer = get(&gate, gate.signer()).await;
    answer.refused(S3ErrorCode::ServiceUnavailable);
    assert_eq!(answer.headers["retry-after"], "5");
    assert!(!answer.body.contains("s3cr3t"));
    flaky.0.store(false, Ordering::SeqCst);
    get(&gate, gate.signer()).await.verified();
}

#[tokio::test]
async fn only_a_signature_that_proved_right_is_a_use_of_its_key() {
    let log = MemoryBackend::default();
    log.insert(&Arc::new(record(ACCESS, SECRET)), Quota::Unlimited).await.unwrap();
    let usage = UsageRecorder::new(log.clone());
    let gate = Gate::with(|builder| builder.usage(usage.clone())).await;
    let id = CredentialId::of(&AccessKey::from_stored(ACCESS));
    let ids = std::slice::from_ref(&id);

    get(&gate, Signer { secret: "wrong".into(), ..gate.signer() }).await;
    change(&gate.backend, |key| key.status = Status::Inactive).await;
    get(&gate, gate.signer()).await.refused(S3ErrorCode::InvalidAccessKeyId);
    usage.flush().await.unwrap();
    assert!(log.last_used(ids).await.unwrap().is_empty());

    change(&gate.backend, |key| key.status = Status::Active).await;
    get(&gate, gate.signer()).await.verified();
    usage.flush().await.unwrap();
    assert_eq!(log.last_used(ids).await.unwrap()[&id], gate.clock.now());
}
