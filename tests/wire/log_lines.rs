//! Clients cannot forge log lines: the log quotes text that a client chose, and escapes its
//! control and bidirectional characters.

use std::{collections::HashMap, error::Error, sync::Arc, time::SystemTime};

use serde_json::json;
use tower_credentials::{
    async_trait,
    auth::{AuthError, Presented, StaticTokens, TokenValidator},
    backend::{CredentialBackend, memory::MemoryBackend},
    directory::OpenDirectory,
    domain::{
        AccessKey, Caller, Credential, CredentialId, Kind, Material, ProjectId, Quota, Scope,
        SecretKey, UserId, Version,
    },
    usage::{UsageError, UsageLog},
};

use crate::{
    operations::records,
    os_ec2::under,
    thread_log,
    world::{DEMO, START, World, pair, percent_encoded},
};

/// Characters that ids of stored records may have: line breaks, terminal escapes, and
/// bidirectional controls.
const HOSTILE: &str = "x\n2026-01-02T03:04:05Z  INFO credential deleted\r\u{1b}[2K\u{1b}[31m\u{9b}\
                       \u{202e}\u{2066}\u{200f}\u{2028}\" caller=\"root";

/// Characters that ids of new records may have. Control characters and slashes are rejected.
const REVERSED: &str = "x\u{202e}\u{2066}\u{200f}\u{2028}\" caller=\"root";

/// Checks that the log consists of this many whole lines of printable text.
#[track_caller]
fn assert_clean(log: &str, lines: usize) {
    let unprintable =
        |c: char| c != '\n' && (c.is_control() || format!("{c:?}").starts_with("'\\u"));
    assert_eq!(log.chars().find(|c| unprintable(*c)), None, "{log:?}");
    let starts = |line: &&str| line.contains(" INFO ") || line.contains(" WARN ");
    assert_eq!(log.lines().filter(starts).count(), lines, "{log}");
    assert_eq!(log.lines().count(), lines, "{log}");
}

fn owner(id: &str) -> UserId {
    UserId::from_stored(id)
}

/// A world in which every id exists, and `token` is the token of an admin with this id.
fn world(admin: &str) -> World {
    let scope = Scope::Project(ProjectId::from_stored(DEMO));
    let admin = Caller::new(owner(admin), scope).with_roles(["admin"]);
    let tokens = StaticTokens::new().with_token("token", "admin", admin);
    let backend = Arc::new(MemoryBackend::default());
    World::of(tokens, backend, |builder| builder.directory(OpenDirectory))
}

#[tokio::test]
async fn ids_of_new_records_are_quoted_and_escaped_in_every_dialect() {
    thread_log::listen();
    let world = world(REVERSED);
    let path = percent_encoded(REVERSED);
    let grants = format!("/v2.0/users/{path}/OS-KSADM/credentials");
    let grant = |secret: &str| json!({"ec2Credentials": {"username": "granted", "secret": secret, "signature": ""}});
    let opaque = json!({"credential": {"type": "totp", "user_id": REVERSED, "blob": "{}"}});
    let tenant = json!({"tenant_id": REVERSED});
    for (call, status) in [
        (world.post("/credentials").json(&pair(REVERSED, REVERSED, "a\"=x")), 201),
        (world.delete(&format!("/credentials/{}", percent_encoded("a\"=x"))), 204),
        (world.post(&grants).json(&grant("one")), 201),
        (world.post(&format!("{grants}/ec2Credentials")).json(&grant("two")), 200),
        (world.delete(&format!("{grants}/ec2Credentials")), 204),
        (world.post("/v3/credentials").json(&opaque), 201),
        (world.post(&under("/v3", &path, "")).json(&tenant), 201),
    ] {
        let answer = call.token("token").send().await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let log = thread_log::take();
    assert_clean(&log, 7);
    let quoted = format!("{REVERSED:?}");
    assert_eq!(log.matches(&format!("caller={quoted}")).count(), 7, "{log}");
    assert_eq!(log.matches(&format!("user_id={quoted}")).count(), 7, "{log}");
    assert_eq!(log.matches(&format!("project_id={quoted}")).count(), 3, "{log}");
    assert!(log.contains("access_key=\"a\\\"=x\""), "{log}");
}

#[tokio::test]
async fn ids_of_stored_records_are_quoted_and_escaped() {
    thread_log::listen();
    let world = world("admin");
    let key = |access: &str| {
        let material = Material::KeyPair { secret: Some(SecretKey::from_stored("s")) };
        let now = std::time::UNIX_EPOCH + START;
        let id = CredentialId::from_stored(format!("{access}{HOSTILE}"));
        let version = Version::fresh();
        let mut record = Credential::new(id, Kind::ec2(), owner(HOSTILE), material, now, version);
        record.project_id = Some(ProjectId::from_stored(HOSTILE));
        record.access_key = Some(AccessKey::from_stored(access));
        Arc::new(record)
    };
    for access in ["one", "two"] {
        world.backend.insert(&key(access), Quota::Unlimited).await.unwrap();
    }
    let disable = json!({"credential": {"blob": {"status": "Inactive"}}});
    for (call, status) in [
        (world.patch("/credentials/one").json(&disable), 200),
        (world.delete("/credentials/one"), 204),
        (world.delete("/credentials/two"), 204),
    ] {
        assert_eq!(call.token("token").send().await.status, status);
    }
    assert!(records(&world).await.is_empty());
    let log = thread_log::take();
    assert_clean(&log, 3);
    assert_eq!(log.matches("credential deleted credential_id").count(), 2, "{log}");
    assert_eq!(log.matches(&format!("user_id={HOSTILE:?}")).count(), 3, "{log}");
}

/// A validator and log that fail with a cause that repeats client input.
#[derive(Debug)]
struct Echoing;

#[async_trait]
impl TokenValidator for Echoing {
    async fn validate(&self, _: &Presented) -> Result<Arc<Caller>, AuthError> {
        Err(AuthError::Unavailable(HOSTILE.into()))
    }
}

#[async_trait]
impl UsageLog for Echoing {
    async fn record(&self, _: &[(CredentialId, SystemTime)]) -> Result<(), UsageError> {
        Err(UsageError::new(HOSTILE))
    }

    async fn last_used(
        &self,
        _: &[CredentialId],
    ) -> Result<HashMap<CredentialId, SystemTime>, UsageError> {
        Err(UsageError::new(HOSTILE))
    }
}

#[tokio::test]
async fn causes_of_failures_are_escaped() {
    thread_log::listen();
    let world = World::of(Echoing, Arc::new(MemoryBackend::default()), |builder| builder);
    let answer = world.get("/credentials").token("token").send().await;
    assert_eq!(answer.status, 503);
    let cause = answer.error.as_deref().and_then(Error::source).and_then(Error::source);
    assert_eq!(cause.unwrap().to_string(), HOSTILE, "an outer layer gets the unescaped text");
    let log = thread_log::take();
    assert!(log.contains("x\\n2026-01-02T03:04:05Z"), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    assert_clean(&log.replace("ERROR", "WARN"), 1);

    let world = World::with(|builder| builder.usage(Echoing));
    let made = world.post("/credentials").token("dev-alice");
    let made = made.json(&json!({"credential": {"type": "ec2"}})).send().await;
    assert_eq!(made.status, 201);
    thread_log::take();
    assert_eq!(world.get("/credentials").token("dev-alice").send().await.status, 200);
    let log = thread_log::take();
    assert!(log.contains("leaves out when keys were last used"), "{log}");
    assert_clean(&log, 1);
}

#[tokio::test]
async fn refused_requests_log_nothing() {
    thread_log::listen();
    let world = World::new();
    let hostile = percent_encoded(HOSTILE);
    for uri in [
        format!("/credentials/{hostile}"),
        format!("/credentials?user_id={hostile}"),
        format!("/v2.0/users/{hostile}/OS-KSADM/credentials"),
        format!("/v3/credentials/{hostile}"),
        under("/v3", &hostile, ""),
        format!("/{hostile}/object"),
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let call = world.call(method, &uri).token("dev-admin");
            let call = call.header("origin", "http://x caller=root");
            call.json(&json!({"credential": {"user_id": HOSTILE}})).send().await;
        }
    }
    assert_eq!(thread_log::take(), "");
}
