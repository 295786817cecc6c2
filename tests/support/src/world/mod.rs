//! A small world to test the layer in: users, projects, tokens, a clock, and an inner service
//! that returns 418. The status 418 shows that a request passed through.

pub mod failing;
pub mod registry;
pub mod test_issuer;
pub mod v3;

use std::{
    convert::Infallible,
    error::Error as StdError,
    io,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_credentials::{
    CredentialLayer, CredentialLayerBuilder, Error, Route,
    auth::{StaticTokens, TokenValidator},
    backend::{CredentialBackend, memory::MemoryBackend},
    clock::Clock as _,
    directory::{Project, StaticDirectory, User},
    domain::{AccessKey, Caller, Credential, Delegation, ProjectId, Scope, UserId},
};

use crate::clock::TestClock;

pub const DEMO: &str = "731fc6f265cd486d900f16e84c5cb594";
pub const OTHER: &str = "9f86d081884c7d659a2feaa0c55ad015";

pub const ALICE: &str = "bb5476fd12884539b41d5a88f838d773";
pub const BOB: &str = "2b7e151628aed2a6abf7158809cf4f3c";
pub const CAROL: &str = "60303ae22b998861bce3b28f33eec1be";
pub const GATEWAY: &str = "8f434346648f6b96df89dda901c5176b";
/// A user without a place anywhere and without a default project.
pub const DAVE: &str = "da7e0000000000000000000000000000";
/// A user of both projects, whose default is the other project.
pub const FRANK: &str = "f7a00000000000000000000000000000";

/// The time at which the clock starts: the `X-Timestamp` in IBM's documentation of the create.
pub const START: Duration = Duration::from_micros(1_458_262_564_227_740);

/// Token, user, project and roles. The first six are the accesser's development set.
const TOKENS: &[(&str, &str, &str, &[&str])] = &[
    ("dev-admin", ALICE, DEMO, &["admin"]),
    ("dev-alice", ALICE, DEMO, &["member", "key_management_user", "key_listing_user"]),
    ("dev-bob", BOB, DEMO, &["member", "key_management_user", "key_listing_user"]),
    ("dev-carol", CAROL, OTHER, &["member", "key_management_user", "key_listing_user"]),
    ("dev-reader", BOB, DEMO, &["key_listing_user"]),
    ("dev-service", GATEWAY, DEMO, &["service"]),
    ("key-user", ALICE, DEMO, &["key_management_user"]),
    ("key-admin", ALICE, DEMO, &["key_management_admin"]),
    ("list-admin", ALICE, DEMO, &["key_listing_admin"]),
    ("both-admin", ALICE, DEMO, &["key_management_admin", "key_listing_admin"]),
    ("user-and-list-admin", ALICE, DEMO, &["key_management_user", "key_listing_admin"]),
    ("impersonator", ALICE, DEMO, &["key_management_admin", "key_listing_admin", "impersonate"]),
    ("frank", FRANK, DEMO, &["key_management_user", "key_listing_user"]),
    (
        "frank-impersonator",
        FRANK,
        DEMO,
        &["key_management_user", "key_listing_user", "impersonate"],
    ),
    ("only-impersonate", ALICE, DEMO, &["impersonate"]),
    ("no-role", ALICE, DEMO, &[]),
];

pub type BoxError = Box<dyn StdError + Send + Sync>;
pub type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// The tokens of the table, and tokens that expire, are delegated, or have no scope.
pub fn tokens() -> StaticTokens {
    let caller = |user: &str, project: &str, roles: &[&str]| {
        let scope = Scope::Project(ProjectId::new(project).unwrap());
        Caller::new(UserId::new(user).unwrap(), scope).with_roles(roles.iter().copied())
    };
    let admin = caller(ALICE, DEMO, &["admin"]);
    let unscoped = Caller::new(UserId::new(ALICE).unwrap(), Scope::Unscoped)
        .with_roles(["key_management_user", "key_listing_user"]);
    let trust = Delegation::Trust { id: "t".into() };
    let mut tokens = StaticTokens::new()
        .with_token("unscoped", "alice", unscoped)
        .with_token(
            "unscoped-admin",
            "alice",
            Caller::new(UserId::new(ALICE).unwrap(), Scope::Unscoped).with_roles(["admin"]),
        )
        .with_token("trust", "alice", admin.clone().with_delegation(trust))
        .with_token("ends-in-a-minute", "alice", {
            admin.with_expiry(UNIX_EPOCH + START + Duration::from_mins(1))
        });
    for (token, user, project, roles) in TOKENS {
        tokens = tokens.with_token(token, *user, caller(user, project, roles));
    }
    tokens
}

/// The users and projects of the accesser's development set, and two more users.
pub fn directory() -> StaticDirectory {
    let mut directory = StaticDirectory::new();
    for (id, name) in [(DEMO, "demo"), (OTHER, "other")] {
        directory = directory.with_project(Project::new(ProjectId::new(id).unwrap(), name));
    }
    let users: &[(&str, &str, &[&str])] = &[
        (ALICE, "alice", &[DEMO]),
        (BOB, "bob", &[DEMO]),
        (CAROL, "carol", &[OTHER]),
        (GATEWAY, "gateway", &[DEMO]),
        (DAVE, "dave", &[]),
        (FRANK, "frank", &[OTHER, DEMO]),
    ];
    for (id, name, projects) in users {
        let id = UserId::new(*id).unwrap();
        let mut user = User::new(id.clone(), *name);
        user.default_project_id = projects.first().map(|id| ProjectId::new(*id).unwrap());
        directory = directory.with_user(user);
        for project in *projects {
            let project = ProjectId::new(*project).unwrap();
            directory = directory.with_member(id.clone(), project, ["member"]);
        }
    }
    directory
}

/// A layer with its backend and its clock.
#[derive(Clone, Debug)]
pub struct World {
    pub backend: Arc<dyn CredentialBackend>,
    pub clock: TestClock,
    pub layer: CredentialLayer,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// Creates a world whose layer has more settings.
    pub fn with(configure: impl FnOnce(CredentialLayerBuilder) -> CredentialLayerBuilder) -> Self {
        Self::of(tokens(), Arc::new(MemoryBackend::default()), configure)
    }

    pub fn of(
        validator: impl TokenValidator,
        backend: Arc<dyn CredentialBackend>,
        configure: impl FnOnce(CredentialLayerBuilder) -> CredentialLayerBuilder,
    ) -> Self {
        Self::build(validator, backend, |builder| configure(builder.directory(directory())))
    }

    /// Creates a world without a directory.
    pub fn without_directory() -> Self {
        Self::build(tokens(), Arc::new(MemoryBackend::default()), |builder| builder)
    }

    pub fn build(
        validator: impl TokenValidator,
        backend: Arc<dyn CredentialBackend>,
        configure: impl FnOnce(CredentialLayerBuilder) -> CredentialLayerBuilder,
    ) -> Self {
        let clock = TestClock::at(UNIX_EPOCH + START);
        let builder = CredentialLayer::builder(validator, Arc::clone(&backend));
        let layer = configure(builder.clock(clock.clone())).build().unwrap();
        Self { backend, clock, layer }
    }

    pub fn call(&self, method: &str, uri: &str) -> Call {
        let body = Full::default().map_err(|never| match never {}).boxed_unsync();
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = uri.parse().unwrap();
        Call { layer: self.layer.clone(), request }
    }

    pub fn get(&self, uri: &str) -> Call {
        self.call("GET", uri)
    }

    pub fn post(&self, uri: &str) -> Call {
        self.call("POST", uri)
    }

    pub fn patch(&self, uri: &str) -> Call {
        self.call("PATCH", uri)
    }

    pub fn delete(&self, uri: &str) -> Call {
        self.call("DELETE", uri)
    }

    /// Creates a key with this access key in the IBM dialect, as admin. The secret is
    /// `secret-of-{access}`.
    pub async fn mint(&self, user: &str, project: &str, access: &str) {
        let answer =
            self.post("/credentials").token("dev-admin").json(&pair(user, project, access));
        assert_eq!(answer.send().await.status, 201, "{access}");
    }

    /// The stored record with this access key.
    pub async fn stored(&self, access: &str) -> Option<Arc<Credential>> {
        self.backend.find_by_access_key(&AccessKey::from_stored(access)).await.unwrap()
    }

    pub async fn is_usable(&self, access: &str) -> bool {
        let now = self.clock.now();
        self.stored(access).await.is_some_and(|credential| credential.is_usable(now))
    }
}

/// The body of an IBM create with both keys.
pub fn pair(user: &str, project: &str, access: &str) -> Value {
    json!({"credential": {
        "type": "ec2", "user_id": user, "project_id": project,
        "blob": {"access": access, "secret": format!("secret-of-{access}")},
    }})
}

/// The text with every byte percent-encoded.
pub fn percent_encoded(text: &str) -> String {
    text.bytes().map(percent_encoding::percent_encode_byte).collect()
}

/// A request that can be completed and sent.
#[derive(Debug)]
#[must_use]
pub struct Call {
    layer: CredentialLayer,
    request: Request<RequestBody>,
}

impl Call {
    pub fn token(self, token: &str) -> Self {
        self.header("x-auth-token", token)
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        self.raw_header(name, value.as_bytes())
    }

    pub fn raw_header(mut self, name: &str, value: &[u8]) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
        self
    }

    /// Inserts an extension, as a server does.
    pub fn extension(mut self, extension: impl Clone + Send + Sync + 'static) -> Self {
        self.request.extensions_mut().insert(extension);
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.text("application/json", &body.to_string())
    }

    pub fn xml(self, body: &str) -> Self {
        self.text("application/xml", body)
    }

    pub fn text(self, content_type: &str, body: &str) -> Self {
        self.header("content-type", content_type).bytes(body.as_bytes())
    }

    pub fn bytes(self, body: &[u8]) -> Self {
        self.body(Full::from(body.to_vec()))
    }

    pub fn body<B>(mut self, body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        *self.request.body_mut() = body.map_err(io::Error::other).boxed_unsync();
        self
    }

    pub async fn send(self) -> Answer {
        let response = self.layer.layer(service_fn(teapot)).oneshot(self.request).await.unwrap();
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
            error: head.extensions.get().cloned(),
            route: head.extensions.get().copied(),
        }
    }
}

/// The inner service: returns 418.
async fn teapot(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::from("short and stout"));
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    Ok(response)
}

/// A response with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub error: Option<Arc<Error>>,
    pub route: Option<Route>,
}

impl Answer {
    /// The value of a header; empty if the header is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The ids of an IBM list.
    pub fn ids(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text());
        let body = self.json();
        let list = body["credentials"].as_array().unwrap();
        list.iter().map(|credential| credential["id"].as_str().unwrap().to_owned()).collect()
    }
}
