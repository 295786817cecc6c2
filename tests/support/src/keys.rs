//! Keys of every kind, created through all dialects.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::Method;
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::format_description};
use tower_credentials::{
    backend::{CredentialBackend, sqlite::SqliteBackend},
    clock::{Clock, SystemClock},
    domain::Quota,
};

use crate::{
    http::{Answer, Client},
    records,
};

pub const ALICE: &str = "bb5476fd12884539b41d5a88f838d773";
pub const BOB: &str = "2b7e151628aed2a6abf7158809cf4f3c";
pub const DEMO: &str = "731fc6f265cd486d900f16e84c5cb594";

/// An access key with its secret.
#[derive(Clone, Debug)]
pub struct Key {
    pub access: String,
    pub secret: String,
}

/// How a key is created and deleted.
#[derive(Clone, Copy, Debug)]
pub enum Origin {
    Ibm,
    /// A v2 grant of type EC2.
    V2Ec2,
    /// A v2 grant of type S3.
    V2S3,
}

impl Origin {
    pub const ALL: [Self; 3] = [Self::Ibm, Self::V2Ec2, Self::V2S3];

    /// The path of v2 grants, the member with the grant, and its name in paths.
    fn v2(self) -> (String, &'static str, &'static str) {
        let (extension, root, kind) = match self {
            Self::Ibm => unreachable!("IBM keys have no slot"),
            Self::V2Ec2 => ("OS-KSADM", "OS-KSEC2-ec2Credentials", "OS-KSEC2:ec2Credentials"),
            Self::V2S3 => ("OS-KSS3", "OS-KSS3:s3Credentials", "s3credentials"),
        };
        (format!("/v2.0/users/{ALICE}/{extension}/credentials"), root, kind)
    }

    /// Creates a key of alice's.
    pub async fn mint(self, client: &Client) -> Key {
        match self {
            Self::Ibm => mint(client, "dev-alice").await,
            Self::V2Ec2 | Self::V2S3 => {
                let (path, root, _) = self.v2();
                let access = format!("granted-{self:?}");
                let secret = format!("the secret of {access}");
                let grant = json!({"username": access, "secret": secret, "signature": "s"});
                client.post(&path, "dev-admin", &json!({root: grant})).await.expect(201);
                Key { access, secret }
            }
        }
    }

    pub async fn delete(self, client: &Client, key: &Key) {
        let path = match self {
            Self::Ibm => format!("/credentials/{}", key.access),
            Self::V2Ec2 | Self::V2S3 => {
                let (path, _, kind) = self.v2();
                format!("{path}/{kind}")
            }
        };
        client.call(Method::DELETE, &path, "dev-admin", None).await.expect(204);
    }
}

/// Creates a key of the token's user; the server generates it.
pub async fn mint(client: &Client, token: &str) -> Key {
    mint_with(client, token, &json!({})).await
}

/// Creates a key with additional members, such as `boundary`.
pub async fn mint_with(client: &Client, token: &str, members: &Value) -> Key {
    let mut body = json!({"credential": {"type": "ec2"}});
    let credential = body["credential"].as_object_mut().unwrap();
    credential.extend(members.as_object().unwrap().clone());
    key_of(&client.post("/credentials/", token, &body).await.expect(201))
}

/// The key in the response to a create or a rotation.
fn key_of(answer: &Answer) -> Key {
    let answer = answer.json();
    let text = |name: &str| answer["credential"]["blob"][name].as_str().unwrap().to_owned();
    Key { access: text("access"), secret: text("secret") }
}

/// Inserts a key of alice's without a project into the file of a server that is not running.
pub async fn insert_without_project(database: &Path) -> Key {
    fs::create_dir_all(database.parent().unwrap()).unwrap();
    let key = Key { access: "projectless".into(), secret: secret_of("projectless") };
    let record = records::pair(ALICE, &key.access, &key.secret);
    let store = SqliteBackend::open(database).unwrap();
    store.insert(&Arc::new(record), Quota::Unlimited).await.unwrap();
    key
}

/// The body that creates a key with a given secret.
pub fn create_body(access: &str, secret: &str, status: &str) -> Value {
    let blob = json!({"access": access, "secret": secret, "status": status});
    json!({"credential": {"type": "ec2", "blob": blob}})
}

/// Creates a key of alice's with the secret of [`secret_of`].
pub async fn create(client: &Client, access: &str) -> Answer {
    let body = create_body(access, &secret_of(access), "Active");
    client.post("/credentials", "dev-alice", &body).await
}

/// The secret of a key from [`create`].
pub fn secret_of(access: &str) -> String {
    format!("the-secret-of-{access}")
}

/// Whether a key exists. If so, checks that it is as [`create`] created it.
pub async fn exists_unchanged(client: &Client, access: &str) -> bool {
    let answer = client.get(&format!("/credentials/{access}"), "dev-admin").await;
    if answer.status.as_u16() == 404 {
        return false;
    }
    let blob = &answer.expect(200).json()["credential"]["blob"];
    assert_eq!(*blob, json!({"access": access, "secret": secret_of(access), "status": "Active"}));
    true
}

/// Rotates a key of alice's. Without an overlap, the old key stops.
pub async fn rotate(client: &Client, key: &Key, overlap_seconds: u32) -> Key {
    let path = format!("/credentials/{}/rotate", key.access);
    let body = json!({ "overlap_seconds": overlap_seconds });
    let answer = client.post(&path, "dev-alice", &body).await;
    assert!(answer.status.is_success(), "{answer:?}");
    key_of(&answer)
}

/// Sets the expiry of a key to this long from now, and returns its time.
pub async fn expire_in(client: &Client, key: &Key, time: Duration) -> SystemTime {
    let end = SystemClock.now() + time;
    let path = format!("/credentials/{}", key.access);
    let body = json!({"credential": {"expires_at": rfc3339(end)}});
    client.call(Method::PATCH, &path, "dev-alice", Some(&body)).await.expect(200);
    end
}

/// A time in UTC with whole seconds.
pub fn rfc3339(time: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    OffsetDateTime::from(time).format(format).unwrap()
}

/// Enables or disables a key, also one that v2 granted.
pub async fn set_status(client: &Client, key: &Key, status: &str) {
    let path = format!("/credentials/{}", key.access);
    let body = json!({"credential": {"blob": {"status": status}}});
    let answer = client.call(Method::PATCH, &path, "dev-admin", Some(&body)).await.expect(200);
    assert_eq!(answer.json()["credential"]["blob"]["status"], status);
}
