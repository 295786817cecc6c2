//! Callers, bodies and checks for the tests of Keystone v3.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tower_credentials::{
    CredentialLayerBuilder,
    auth::StaticTokens,
    backend::memory::MemoryBackend,
    domain::{AccessKey, Caller, CredentialId, Delegation, ProjectId, Scope, UserId},
    policy::RolePolicy,
};

use super::{
    ALICE, Answer, BOB, DAVE, DEMO, GATEWAY, OTHER, START, World, directory, registry::Registry,
    test_issuer::TestIssuer,
};

pub const CREDENTIALS: &str = "/v3/credentials";
pub const S3TOKENS: &str = "/v3/s3tokens";
pub const EC2TOKENS: &str = "/v3/ec2tokens";

/// The access key of the published vectors.
pub const ACCESS: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
/// The secret of [`ACCESS`].
pub const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
/// The time at which the vectors were signed, `2026-01-02T03:04:05Z`.
pub const SIGNED: Duration = Duration::from_secs(1_767_323_045);
pub const TTL: Duration = Duration::from_mins(15);
pub const SECOND: Duration = Duration::from_secs(1);

pub fn trust() -> Delegation {
    Delegation::Trust { id: "t".into() }
}

pub fn app(restricted: bool) -> Delegation {
    let id = if restricted { "r" } else { "a" };
    Delegation::ApplicationCredential { id: id.into(), restricted }
}

pub fn access_token() -> Delegation {
    Delegation::AccessToken { id: "o".into() }
}

/// The tokens of [`super::tokens`], and tokens with other scopes and with delegations.
pub fn tokens() -> StaticTokens {
    let project = |id: &str| Scope::Project(ProjectId::new(id).unwrap());
    let domain = || Scope::Domain("default".into());
    let caller = |user: &str, scope: Scope, roles: &[&str]| {
        Caller::new(UserId::new(user).unwrap(), scope).with_roles(roles.iter().copied())
    };
    let mut tokens = super::tokens();
    for (token, user, scope, roles) in [
        ("system-admin", DAVE, Scope::System, &["admin"][..]),
        ("system-reader", DAVE, Scope::System, &["reader"]),
        ("system-member", ALICE, Scope::System, &["member"]),
        ("domain-admin", DAVE, domain(), &["admin"]),
        ("domain-reader", DAVE, domain(), &["reader"]),
        ("domain-alice", ALICE, domain(), &["member"]),
        ("project-reader", DAVE, project(DEMO), &["reader"]),
        ("reader-bob", BOB, project(DEMO), &["reader"]),
        ("unscoped-bob", BOB, Scope::Unscoped, &["member"]),
        ("service-elsewhere", GATEWAY, domain(), &["service"]),
    ] {
        tokens = tokens.with_token(token, "name", caller(user, scope, roles));
    }
    for (name, delegation) in [
        ("trust", trust()),
        ("app", app(false)),
        ("restricted", app(true)),
        ("oauth", access_token()),
        ("method", Delegation::Other),
        ("ec2", Delegation::Ec2Credential),
    ] {
        for (whose, user, scope, roles) in [
            ("alice", ALICE, project(DEMO), &["member", "reader"][..]),
            ("admin", DAVE, project(DEMO), &["admin"]),
            ("elsewhere", ALICE, project(OTHER), &["member"]),
            ("nowhere", ALICE, Scope::Unscoped, &["member"]),
            ("service", GATEWAY, project(DEMO), &["service"]),
        ] {
            let caller = caller(user, scope, roles).with_delegation(delegation.clone());
            tokens = tokens.with_token(&format!("{name}-{whose}"), "name", caller);
        }
    }
    tokens
}

/// Creates a world with these tokens and Keystone's table, in which v3 behaves as in Keystone.
pub fn world() -> World {
    world_with(|builder| builder)
}

pub fn world_with(
    configure: impl FnOnce(CredentialLayerBuilder) -> CredentialLayerBuilder,
) -> World {
    World::of(tokens(), Arc::new(MemoryBackend::default()), |builder| {
        configure(builder.policy(RolePolicy::keystone()))
    })
}

/// A world at the time at which the vectors were signed. Their key is Bob's, in the demo
/// project.
#[derive(Debug)]
pub struct Signing {
    pub world: World,
    pub registry: Arc<Registry>,
    pub issuer: Arc<TestIssuer>,
}

impl Signing {
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub async fn with(
        configure: impl FnOnce(CredentialLayerBuilder) -> CredentialLayerBuilder,
    ) -> Self {
        let (registry, issuer) =
            (Arc::new(Registry::over(directory())), Arc::new(TestIssuer::default()));
        let world = world_with(|builder| {
            let builder = builder.directory(Arc::clone(&registry)).issuer(Arc::clone(&issuer));
            configure(builder)
        });
        world.clock.advance(SIGNED.checked_sub(START).unwrap());
        create(&world, &pair_of(BOB, DEMO, &blob_of(ACCESS, SECRET))).await;
        Self { world, registry, issuer }
    }

    /// Posts the body as the service user, and returns the response.
    pub async fn send(&self, path: &str, body: &Value) -> Answer {
        self.world.post(path).token("dev-service").json(body).send().await
    }

    /// Posts the body as the service user, and returns the status.
    pub async fn status(&self, path: &str, body: &Value) -> u16 {
        self.send(path, body).await.status.as_u16()
    }
}

/// The blob of a key pair.
pub fn blob_of(access: &str, secret: &str) -> String {
    json!({"access": access, "secret": secret}).to_string()
}

/// The body of a key pair with this blob.
pub fn pair_of(user: &str, project: &str, blob: &str) -> Value {
    json!({"credential": {
        "type": "ec2", "user_id": user, "project_id": project, "blob": blob,
    }})
}

/// The body of a key pair with this access key, whose secret is `secret-of-{access}`.
pub fn ec2(user: &str, project: &str, access: &str) -> Value {
    pair_of(user, project, &blob_of(access, &format!("secret-of-{access}")))
}

/// The body of a credential of another type.
pub fn opaque(user: &str, kind: &str, blob: &str) -> Value {
    json!({"credential": {"type": kind, "user_id": user, "blob": blob}})
}

/// The body of a change.
pub fn change(blob: &str) -> Value {
    json!({"credential": {"blob": blob}})
}

/// Creates a credential as admin.
pub async fn create(world: &World, body: &Value) -> Value {
    let answer = world.post(CREDENTIALS).token("dev-admin").json(body).send().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["credential"].take()
}

/// The id of the key pair with this access key.
pub fn id_of(access: &str) -> String {
    CredentialId::of(&AccessKey::from_stored(access)).to_string()
}

pub fn credential_path(id: &str) -> String {
    format!("{CREDENTIALS}/{id}")
}

/// The path of a user's key pairs, followed by `rest`.
pub fn ec2_path(user: &str, rest: &str) -> String {
    format!("/v3/users/{user}/credentials/OS-EC2{rest}")
}

/// The ids in a list of credentials, in its order.
pub fn ids(answer: &Answer) -> Vec<String> {
    members(answer, "id")
}

/// The access keys in a list of OS-EC2.
pub fn accesses(answer: &Answer) -> Vec<String> {
    members(answer, "access")
}

fn members(answer: &Answer, name: &str) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let list = body["credentials"].as_array().unwrap();
    list.iter().map(|credential| credential[name].as_str().unwrap().to_owned()).collect()
}

/// Checks the body and the headers of a refusal.
#[track_caller]
pub fn assert_refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    let error = body["error"].as_object().unwrap();
    assert_eq!(error.len(), 3, "{body}");
    assert_eq!(error["code"], status, "{body}");
    assert_eq!(error["title"], answer.status.canonical_reason().unwrap(), "{body}");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{body}");
    assert!(answer.text().ends_with("}\n"), "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    assert_framed(answer);
    let challenged = answer.headers.contains_key("www-authenticate");
    assert_eq!(challenged, status == 401, "{:?}", answer.headers);
}

/// Checks the headers that all responses have.
#[track_caller]
pub fn assert_framed(answer: &Answer) {
    assert_eq!(answer.header("vary"), "X-Auth-Token");
    let id = answer.header("x-openstack-request-id");
    assert!(id.starts_with("req-") && id.len() == 40, "{id}");
}
