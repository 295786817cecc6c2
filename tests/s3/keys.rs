//! Which keys may sign, and how soon a change takes effect.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::Empty;
use test_support::clock::TestClock;
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
    gate::{ACCESS, Answer, Gate, SECRET, record, request},
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
async fn unknown_key_and_wrong_secret_differ_unless_hidden() {
    let gate = Gate::new().await;
    let hidden = Gate::with(|builder| builder.hide_unknown_keys(true)).await;
    let unknown = |gate: &Gate| Signer { access: "NOBODY".into(), ..gate.signer() };
    let wrong = |gate: &Gate| Signer { secret: format!("{SECRET}x"), ..gate.signer() };

    let answer = get(&gate, unknown(&gate)).await;
    answer.refused(S3ErrorCode::InvalidAccessKeyId);
    assert!(answer.body.contains("<AWSAccessKeyId>NOBODY</AWSAccessKeyId>"), "{}", answer.body);
    let answer = get(&gate, wrong(&gate)).await;
    answer.refused(S3ErrorCode::SignatureDoesNotMatch);
    assert!(answer.body.contains("<StringToSign>AWS4-HMAC-SHA256\n20260102T030405Z\n"));
    assert!(answer.body.contains("<CanonicalRequest>GET\n/b/k\n\nhost:"), "{}", answer.body);

    // Only the access key and the request id differ.
    let plain = |answer: &Answer, access: &str| {
        let body = answer.body.replace(access, "AK");
        body.split("<RequestId>").next().unwrap().to_owned()
    };
    let [one, other] = [get(&hidden, unknown(&hidden)).await, get(&hidden, wrong(&hidden)).await];
    one.refused(S3ErrorCode::SignatureDoesNotMatch);
    assert_eq!(plain(&one, "NOBODY"), plain(&other, ACCESS));
}

#[tokio::test]
async fn hidden_unusable_key_looks_like_a_wrong_signature() {
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
async fn only_active_undelegated_keys_with_a_secret_may_sign() {
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
        // Without the secret, the state of the owner does not show.
        let wrong = Signer { secret: "x".into(), ..gate.signer() };
        get(&gate, wrong).await.refused(S3ErrorCode::SignatureDoesNotMatch);
    }
}

/// A layer over a cache, and the cache itself for writes.
async fn cached() -> (Gate, Cached<MemoryBackend>) {
    let (backend, clock) = (MemoryBackend::default(), TestClock::default());
    let cached = Cached::builder(backend.clone()).clock(clock.clone()).build();
    cached.insert(&Arc::new(record(ACCESS, SECRET)), Quota::Unlimited).await.unwrap();
    let layer = S3AuthLayer::builder(cached.clone()).clock(clock.clone()).build().unwrap();
    (Gate { backend, clock, layer }, cached)
}

#[tokio::test]
async fn writes_through_the_cache_take_effect_on_the_next_request() {
    let (gate, cached) = cached().await;
    for _ in 0..3 {
        get(&gate, gate.signer()).await.verified();
        change(&cached, |key| key.status = Status::Inactive).await;
        get(&gate, gate.signer()).await.refused(S3ErrorCode::InvalidAccessKeyId);
        change(&cached, |key| key.status = Status::Active).await;
    }
    get(&gate, gate.signer()).await.verified();
    // A key that was deleted and created again has another secret. Signing keys derived from
    // the old secret are no longer valid.
    let id = CredentialId::of(&AccessKey::from_stored(ACCESS));
    let found = cached.get(&id).await.unwrap().unwrap();
    assert!(cached.delete(&id, found.version).await.unwrap());
    get(&gate, gate.signer()).await.refused(S3ErrorCode::InvalidAccessKeyId);
    cached.insert(&Arc::new(record(ACCESS, "another")), Quota::Unlimited).await.unwrap();
    get(&gate, gate.signer()).await.refused(S3ErrorCode::SignatureDoesNotMatch);
    get(&gate, Signer { secret: "another".into(), ..gate.signer() }).await.verified();
}

#[tokio::test]
async fn writes_of_others_take_effect_within_the_caches_ttl() {
    let (gate, cached) = cached().await;
    get(&gate, gate.signer()).await.verified();
    change(&gate.backend, |key| key.status = Status::Inactive).await;
    gate.clock.advance(cached.max_staleness());
    get(&gate, gate.signer()).await.refused(S3ErrorCode::InvalidAccessKeyId);
    assert!(cached.staleness() <= cached.max_staleness());
}

#[tokio::test]
async fn replaced_secret_becomes_invalid_within_the_caches_ttl() {
    let (gate, cached) = cached().await;
    get(&gate, gate.signer()).await.verified();
    let id = CredentialId::of(&AccessKey::from_stored(ACCESS));
    let found = gate.backend.get(&id).await.unwrap().unwrap();
    assert!(gate.backend.delete(&id, found.version).await.unwrap());
    let again = Arc::new(record(ACCESS, "another"));
    gate.backend.insert(&again, Quota::Unlimited).await.unwrap();
    gate.clock.advance(cached.max_staleness());
    get(&gate, gate.signer()).await.refused(S3ErrorCode::SignatureDoesNotMatch);
    get(&gate, Signer { secret: "another".into(), ..gate.signer() }).await.verified();
}

/// Keys that cannot be looked up.
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
async fn failed_key_lookup_returns_503_with_retry_after() {
    let clock = TestClock::default();
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
async fn only_a_valid_signature_is_recorded_as_use() {
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
