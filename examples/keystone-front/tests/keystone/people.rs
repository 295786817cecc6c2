//! Users, projects, roles and tokens of a Keystone.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Map, Value, json};

use crate::http::{Answer, Client};

/// A user with a password.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) password: String,
}

/// A client with an admin's token.
pub(crate) struct Admin {
    pub(crate) client: Client,
    pub(crate) token: String,
    url: String,
    roles: Map<String, Value>,
}

/// A unique name or access key.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn password() -> String {
    let random: [u8; 16] = rand::random();
    data_encoding::HEXLOWER.encode(&random)
}

pub(crate) fn project(id: &str) -> Value {
    json!({"project": {"id": id}})
}

pub(crate) fn domain() -> Value {
    json!({"domain": {"id": "default"}})
}

pub(crate) fn system() -> Value {
    json!({"system": {"all": true}})
}

pub(crate) fn unscoped() -> Value {
    json!("unscoped")
}

impl Admin {
    pub(crate) async fn login(url: &str, password: &str, scope: &Value) -> Self {
        let client = Client::new(url);
        let user = json!({"name": "admin", "domain": {"id": "default"}, "password": password});
        let token = token(&client, &by_password(&user), scope).await;
        let roles = client.get("/v3/roles", &token).await.expect(200).json();
        let roles = roles["roles"].as_array().unwrap().iter();
        let roles = roles.map(|role| (role["name"].as_str().unwrap().into(), role["id"].clone()));
        Self { client, token, url: url.to_owned(), roles: roles.collect() }
    }

    /// Creates an object; returns a value of the response.
    pub(crate) async fn make(&self, path: &str, body: &Value, at: &str) -> String {
        let answer = self.client.post(path, &self.token, body).await.expect(201).json();
        answer.pointer(at).and_then(Value::as_str).unwrap().to_owned()
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.client.call(method, path, &self.token, body).await
    }

    /// Revokes a token.
    pub(crate) async fn revoke_token(&self, token: &str) {
        let request = Request::delete(format!("{}/v3/auth/tokens", self.url))
            .header("X-Auth-Token", &self.token)
            .header("X-Subject-Token", token);
        let answer = self.client.try_send(request.body(Full::default()).unwrap()).await.unwrap();
        answer.expect(204);
    }

    pub(crate) async fn user(&self, name: &str) -> User {
        let (name, password) = (unique(name), password());
        let body = json!({"user": {"name": name, "password": password}});
        let id = self.make("/v3/users", &body, "/user/id").await;
        User { id, name, password }
    }

    /// Creates a region whose catalog has this URL for Keystone.
    pub(crate) async fn region(&self, url: &str) -> String {
        let region = unique("region");
        let body = json!({"region": {"id": region}});
        self.make("/v3/regions", &body, "/region/id").await;
        let services = self.call(Method::GET, "/v3/services?type=identity", None).await.json();
        for interface in ["admin", "internal", "public"] {
            let body = json!({"endpoint": {"service_id": services["services"][0]["id"],
                "region_id": region, "interface": interface, "url": format!("{url}/v3")}});
            self.make("/v3/endpoints", &body, "/endpoint/id").await;
        }
        region
    }

    pub(crate) async fn project(&self, name: &str) -> String {
        let body = json!({"project": {"name": unique(name), "domain_id": "default"}});
        self.make("/v3/projects", &body, "/project/id").await
    }

    /// Assigns a role on `projects/ID`, `domains/ID` or `system`.
    pub(crate) async fn grant(&self, on: &str, user: &str, role: &str) {
        let path = format!("/v3/{on}/users/{user}/roles/{}", self.role(role));
        self.call(Method::PUT, &path, None).await.expect(204);
    }

    pub(crate) async fn revoke(&self, on: &str, user: &str, role: &str) {
        let path = format!("/v3/{on}/users/{user}/roles/{}", self.role(role));
        self.call(Method::DELETE, &path, None).await.expect(204);
    }

    pub(crate) fn role(&self, name: &str) -> &str {
        self.roles[name].as_str().unwrap()
    }

    /// Creates a user with a role in a project; returns also a token for it.
    pub(crate) async fn member(&self, project_id: &str) -> (User, String) {
        let user = self.user("member").await;
        self.grant(&format!("projects/{project_id}"), &user.id, "member").await;
        let token = user.token(&self.client, &project(project_id)).await;
        (user, token)
    }
}

impl User {
    pub(crate) async fn token(&self, client: &Client, scope: &Value) -> String {
        token(client, &by_password(&json!({"id": self.id, "password": self.password})), scope).await
    }
}

fn by_password(user: &Value) -> Value {
    json!({"methods": ["password"], "password": {"user": user}})
}

/// Issues a token for an `identity`.
pub(crate) async fn token(client: &Client, identity: &Value, scope: &Value) -> String {
    let mut body = json!({"auth": {"identity": identity}});
    if !scope.is_null() {
        body["auth"]["scope"] = scope.clone();
    }
    let answer = client.post("/v3/auth/tokens", "", &body).await.expect(201);
    answer.headers["X-Subject-Token"].to_str().unwrap().to_owned()
}
