//! Projects, users, tokens and requests in the Keystone.

use std::{net::SocketAddr, time::SystemTime};

use data_encoding::{BASE64URL, HEXLOWER};
use http::Method;
use serde_json::{Value, json};
use test_support::bench::load::Connection;
use tower_credentials::{
    domain::{AccessKey, CredentialId, SecretKey},
    signature::{CredentialScope, SigningKey},
};

/// A project with users, and a service user that validates signatures.
pub(crate) struct World {
    pub(crate) project: String,
    pub(crate) user: String,
    token: String,
    /// Users with few and with many keys, with their tokens.
    few: [String; 2],
    many: [String; 2],
    service_token: String,
}

impl World {
    pub(crate) async fn make(keystone: SocketAddr, password: &str) -> Self {
        let mut connection = Connection::open(keystone).await;
        let system = json!({ "system": { "all": true } });
        let admin = json!({ "name": "admin", "domain": { "id": "default" }, "password": password });
        let admin = log_in(&mut connection, keystone, &admin, &system).await;
        let mut call = async |method: Method, path: &str, body: Value| {
            let text = body.to_string();
            let request = request(keystone, &method, path, &admin, &text);
            let status = connection.send(request.as_bytes()).await;
            assert!(status < 300, "{method} {path}: {status} {}", connection.json());
            connection.json()
        };
        let roles = call(Method::GET, "/v3/roles", Value::Null).await;
        let role_id = |name: &str| {
            let role = roles["roles"].as_array().unwrap().iter().find(|role| role["name"] == name);
            role.unwrap_or_else(|| panic!("no role {name}"))["id"].as_str().unwrap().to_owned()
        };
        let suffix = AccessKey::generate().unwrap().to_string();
        let named = |kind: &str, more: Value| {
            let mut object = json!({ "name": format!("{kind}-{suffix}"), "domain_id": "default" });
            object.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
            object
        };
        let id = |answer: &Value, kind: &str| answer[kind]["id"].as_str().unwrap().to_owned();
        let body = json!({ "project": named("project", json!({})) });
        let project = id(&call(Method::POST, "/v3/projects", body).await, "project");
        let mut users = Vec::new();
        for (name, role) in
            [("writer", "member"), ("few", "member"), ("many", "member"), ("service", "service")]
        {
            let body = json!({ "user": named(name, json!({ "password": suffix })) });
            let user = id(&call(Method::POST, "/v3/users", body).await, "user");
            let path = format!("/v3/projects/{project}/users/{user}/roles/{}", role_id(role));
            call(Method::PUT, &path, Value::Null).await;
            users.push(user);
        }
        let mut tokens = Vec::new();
        for user in &users {
            let user = json!({ "id": user, "password": suffix });
            let scope = json!({ "project": { "id": project } });
            tokens.push(log_in(&mut connection, keystone, &user, &scope).await);
        }
        let [token, few_token, many_token, service_token] = tokens.try_into().unwrap();
        let [user, few, many, _] = users.try_into().unwrap();
        let (few, many) = ([few, few_token], [many, many_token]);
        Self { project, user, token, few, many, service_token }
    }

    /// Prepares a request for a server; returns it with the expected status. Creates the data that
    /// the request needs.
    pub(crate) async fn request(&self, operation: &str, address: SocketAddr) -> (Vec<u8>, u16) {
        let mut connection = Connection::open(address).await;
        let keys = |user: &str| format!("/v3/users/{user}/credentials/OS-EC2");
        let create = json!({ "tenant_id": self.project }).to_string();
        let mut made = async |user: &str, token: &str| {
            let request = request(address, &Method::POST, &keys(user), token, &create);
            assert_eq!(connection.send(request.as_bytes()).await, 201, "{}", connection.json());
            connection.json()["credential"].clone()
        };
        let (text, expected) = match operation {
            "show" => {
                let key = made(&self.user, &self.token).await;
                let access_key = AccessKey::from_stored(key["access"].as_str().unwrap());
                let path = format!("/v3/credentials/{}", CredentialId::of(&access_key));
                (request(address, &Method::GET, &path, &self.token, ""), 200)
            }
            "s3tokens" => {
                let key = made(&self.user, &self.token).await;
                let body = signed(&key).to_string();
                let token = &self.service_token;
                (request(address, &Method::POST, "/v3/s3tokens", token, &body), 200)
            }
            "ec2 show" => {
                let key = made(&self.user, &self.token).await;
                let path = format!("{}/{}", keys(&self.user), key["access"].as_str().unwrap());
                (request(address, &Method::GET, &path, &self.token, ""), 200)
            }
            "ec2 create" => {
                let path = keys(&self.user);
                (request(address, &Method::POST, &path, &self.token, &create), 201)
            }
            _ => {
                let listed: usize = operation.rsplit(' ').next().unwrap().parse().unwrap();
                let [user, token] = if listed < 10 { &self.few } else { &self.many };
                for _ in 0..listed {
                    made(user, token).await;
                }
                (request(address, &Method::GET, &keys(user), token, ""), 200)
            }
        };
        (text.into_bytes(), expected)
    }
}

async fn log_in(
    connection: &mut Connection,
    keystone: SocketAddr,
    user: &Value,
    scope: &Value,
) -> String {
    let identity = json!({ "methods": ["password"], "password": { "user": user } });
    let body = json!({ "auth": { "identity": identity, "scope": scope } }).to_string();
    let request = request(keystone, &Method::POST, "/v3/auth/tokens", "", &body);
    assert_eq!(connection.send(request.as_bytes()).await, 201, "{}", connection.json());
    connection.header("x-subject-token").unwrap()
}

fn request(host: SocketAddr, method: &Method, path: &str, token: &str, body: &str) -> String {
    let token = if token.is_empty() { String::new() } else { format!("x-auth-token: {token}\r\n") };
    let body = if body == "null" { "" } else { body };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{token}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// The body of `s3tokens` for a request that is signed with this key.
fn signed(key: &Value) -> Value {
    let now = time::OffsetDateTime::from(SystemTime::now());
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = now.format(format).unwrap();
    let scope = format!("{}/us-east-1/s3/aws4_request", &date[..8]);
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", "0".repeat(64));
    let secret = SecretKey::from_stored(key["secret"].as_str().unwrap());
    let signing = SigningKey::derive(&secret, &CredentialScope::parse(&scope).unwrap());
    json!({ "credentials": {
        "access": key["access"],
        "token": BASE64URL.encode(text.as_bytes()),
        "signature": HEXLOWER.encode(&signing.sign(text.as_bytes())),
    } })
}
