//! Every operation of every dialect once, for tests of behavior that they share.

use std::sync::Arc;

use data_encoding::BASE64;
use serde_json::{Value, json};
use tower_credentials::{
    CredentialLayerBuilder,
    backend::{ListQuery, Order},
    domain::Credential,
};

use crate::{
    ec2tokens::vector,
    keystone_v2_json::{self, bobs},
    os_ec2::under,
    s3tokens,
    world::{
        ALICE, Answer, BOB, Call, DEMO, GATEWAY, World, pair,
        v3::{
            ACCESS, CREDENTIALS, EC2TOKENS, S3TOKENS, Signing, change, credential_path, ec2, id_of,
        },
    },
};

/// An operation, with a request that succeeds.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) wire: Wire,
    pub(crate) method: &'static str,
    pub(crate) uri: String,
    pub(crate) body: Option<Value>,
    /// The status of the success.
    pub(crate) done: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Ibm,
    OsEc2,
    V2,
    V3,
    /// `s3tokens` and `ec2tokens`, which a service calls.
    Tokens,
}

/// How the caller authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    Basic,
    Bearer,
    Missing,
    Token,
    WrongPassword,
}

impl Operation {
    /// All operations. Each runs in its own [`prepared`] world.
    pub(crate) fn all() -> Vec<Self> {
        let by_key = format!("/credentials/{ACCESS}");
        let by_id = credential_path(&id_of(ACCESS));
        let slot = bobs("/OS-KSEC2:ec2Credentials");
        let grant = |secret: &str| {
            let grant = json!({"username": "granted", "secret": secret, "signature": "s"});
            json!({ "ec2Credentials": grant })
        };
        let disable = json!({"credential": {"blob": {"status": "Inactive"}}});
        let blob = json!({"access": ACCESS, "secret": "a-new-secret"}).to_string();
        let mut all = vec![
            Self::new(Wire::Ibm, "POST", "/credentials", Some(pair(BOB, DEMO, "made")), 201),
            Self::new(Wire::Ibm, "GET", "/credentials", None, 200),
            Self::new(Wire::Ibm, "GET", &by_key, None, 200),
            Self::new(Wire::Ibm, "PATCH", &by_key, Some(disable), 200),
            Self::new(Wire::Ibm, "DELETE", &by_key, None, 204),
            Self::new(Wire::V2, "POST", &bobs(""), Some(keystone_v2_json::s3()), 201),
            Self::new(Wire::V2, "POST", &slot, Some(grant("another")), 200),
            Self::new(Wire::V2, "GET", &bobs(""), None, 200),
            Self::new(Wire::V2, "GET", &slot, None, 200),
            Self::new(Wire::V2, "GET", &format!("{slot}/OS-KSEC2:ec2Credentials"), None, 200),
            Self::new(Wire::V2, "DELETE", &slot, None, 204),
            Self::new(Wire::V3, "POST", CREDENTIALS, Some(ec2(BOB, DEMO, "made")), 201),
            Self::new(Wire::V3, "GET", CREDENTIALS, None, 200),
            Self::new(Wire::V3, "HEAD", CREDENTIALS, None, 200),
            Self::new(Wire::V3, "OPTIONS", CREDENTIALS, None, 200),
            Self::new(Wire::V3, "GET", &by_id, None, 200),
            Self::new(Wire::V3, "PATCH", &by_id, Some(change(&blob)), 200),
            Self::new(Wire::V3, "DELETE", &by_id, None, 204),
            Self::new(Wire::Tokens, "POST", S3TOKENS, Some(s3tokens::v4()), 200),
            Self::new(Wire::Tokens, "POST", EC2TOKENS, Some(vector("2")), 200),
        ];
        for prefix in ["/v3", "/v2.0"] {
            let (pairs, pair) = (under(prefix, BOB, ""), under(prefix, BOB, &format!("/{ACCESS}")));
            let tenant = json!({"tenant_id": DEMO});
            all.extend([
                Self::new(Wire::OsEc2, "POST", &pairs, Some(tenant), 201),
                Self::new(Wire::OsEc2, "GET", &pairs, None, 200),
                Self::new(Wire::OsEc2, "HEAD", &pairs, None, 200),
                Self::new(Wire::OsEc2, "OPTIONS", &pairs, None, 200),
                Self::new(Wire::OsEc2, "GET", &pair, None, 200),
                Self::new(Wire::OsEc2, "DELETE", &pair, None, 204),
            ]);
        }
        all
    }

    fn new(wire: Wire, method: &'static str, uri: &str, body: Option<Value>, done: u16) -> Self {
        Self { wire, method, uri: uri.into(), body, done }
    }

    /// Whether the method may change something.
    pub(crate) fn is_change(&self) -> bool {
        !matches!(self.method, "GET" | "HEAD" | "OPTIONS")
    }

    /// Whether the operation takes a body.
    pub(crate) fn takes_body(&self) -> bool {
        matches!(self.method, "PATCH" | "POST" | "PUT")
    }

    /// The request without content type and body.
    pub(crate) fn without_body(&self, world: &World, login: Login) -> Call {
        let call = world.call(self.method, &self.uri);
        let (user, token) = match self.wire {
            Wire::Tokens => (GATEWAY, "dev-service"),
            _ => (ALICE, "dev-admin"),
        };
        let basic = |password: &str| {
            format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes()))
        };
        match login {
            Login::Basic => call.header("authorization", &basic(token)),
            Login::Bearer => call.header("authorization", &format!("Bearer {token}")),
            Login::Missing => call,
            Login::Token => call.token(token),
            Login::WrongPassword => call.header("authorization", &basic("wrong")),
        }
    }

    /// The request with its body, as JSON.
    pub(crate) fn call(&self, world: &World, login: Login) -> Call {
        let call = self.without_body(world, login);
        match &self.body {
            Some(body) => call.json(body),
            None => call,
        }
    }

    /// Checks that a refusal has the dialect's form.
    #[track_caller]
    pub(crate) fn assert_refused(&self, answer: &Answer, status: u16) {
        assert_eq!(answer.status, status, "{self:?}: {}", answer.text());
        if self.method == "HEAD" {
            return;
        }
        let root = match (self.wire, status) {
            (Wire::V2, 400) => "badRequest",
            (Wire::V2, 401) => "unauthorized",
            (Wire::V2, 403) => "forbidden",
            (Wire::V2, 405) => "badMethod",
            (Wire::V2, 415) => "badMediaType",
            _ => "error",
        };
        assert_eq!(answer.json()[root]["code"], status, "{self:?}: {}", answer.text());
    }
}

/// A world in which every operation succeeds: Bob has a key pair and a grant.
pub(crate) async fn prepared(
    configure: impl FnOnce(CredentialLayerBuilder) -> CredentialLayerBuilder,
) -> Signing {
    let signing = Signing::with(configure).await;
    let grant = json!({"ec2Credentials": {
        "username": "granted", "secret": "granted-secret", "signature": "s",
    }});
    let call = signing.world.post(&bobs("")).token("dev-admin").json(&grant);
    assert_eq!(call.send().await.status, 201);
    signing
}

/// All records, for a comparison before and after.
pub(crate) async fn records(world: &World) -> Vec<Arc<Credential>> {
    world.backend.list(&ListQuery::new(Order::Key)).await.unwrap().credentials
}
