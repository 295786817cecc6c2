//! Compares the front with its Keystone: the same requests to both, on one machine with the
//! clients.
//!
//! ```text
//! eval "$(scripts/keystone env FOLDER)"
//! KEYSTONE_PID=... cargo bench -p keystone-front --bench front
//! ```
//!
//! `OS_AUTH_URL` is the URL of the Keystone, and `OS_PASSWORD` the admin's password. `KEYSTONE_PID`
//! is its main process. The bench measures the CPU time of that process and its children. Without
//! these variables nothing runs. Configure Keystone for its best performance: as many workers as
//! cores, and memcached.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    env,
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use data_encoding::{BASE64URL, HEXLOWER};
use http::Method;
use serde_json::{Value, json};
use test_support::{
    bench::{
        self, engine,
        load::{self, Connection, Load},
    },
    process::{Program, Running, Server},
    secret_file,
};
use tower_credentials::{
    domain::{
        AccessKey, Credential, CredentialId, Kind, Material, ProjectId, SecretKey, UserId, Version,
    },
    signature::{CredentialScope, SigningKey},
};

const CONNECTIONS: usize = 4;
const LENGTH: Duration = Duration::from_secs(6);
/// Records in the long list.
const LISTED: usize = 100;
/// Clients and creates of the comparison with the engine.
const CREATORS: usize = 64;
const CREATES: usize = CREATORS * 300;
const ROUNDS: usize = 7;

#[tokio::main]
async fn main() {
    let variable = |name| env::var(name).ok();
    let (Some(url), Some(password), Some(keystone)) =
        (variable("OS_AUTH_URL"), variable("OS_PASSWORD"), variable("KEYSTONE_PID"))
    else {
        println!("set OS_AUTH_URL, OS_PASSWORD and KEYSTONE_PID to compare with a Keystone");
        return;
    };
    let keystone: u32 = keystone.parse().expect("KEYSTONE_PID is a number");
    let origin = url.trim_end_matches('/').trim_end_matches("/v3").to_owned();
    let direct: SocketAddr = origin.trim_start_matches("http://").parse().expect("http://ip:port");

    let front = start(&origin, &password).await;
    let address = front.host().parse().unwrap();
    let world = World::make(direct, &password).await;
    println!("{LENGTH:?} each, on {CONNECTIONS} connections or as many as said; milliseconds");
    println!("{:<26}{:>12}{:>12}{:>12}{:>12}", "", "requests/s", "p50", "p99", "server CPU");
    for (operation, connections) in [
        ("show", CONNECTIONS),
        ("s3tokens", CONNECTIONS),
        ("ec2 create", CONNECTIONS),
        ("ec2 create", CREATORS),
        ("list", CONNECTIONS),
    ] {
        let mut loads = Vec::new();
        for (name, address, process) in
            [("Keystone", direct, keystone), ("front", address, front.id())]
        {
            let (request, expected) = world.request(operation, address).await;
            // The first second warms up.
            let warm = Duration::from_secs(1);
            load::run(address, process, &request, expected, connections, warm).await;
            let load = load::run(address, process, &request, expected, connections, LENGTH).await;
            print(&format!("{operation}, {name}, {connections}"), &load);
            loads.push(load);
        }
        compare(operation, &loads[0], &loads[1]);
    }
    compare_creates_with_sqlite(&origin, &password, &world).await;
}

fn print(what: &str, load: &Load) {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{what:<26}{:>12.0}{:>12.3}{:>12.3}{:>12.4}",
        load.requests_per_second,
        millis(load.p50),
        millis(load.p99),
        millis(load.cpu),
    );
}

fn compare(operation: &str, keystone: &Load, front: &Load) {
    let (cpu_bar, slower_bar) = match operation {
        "ec2 create" => (100.0, 5.0),
        "list" => (50.0, 1.0),
        _ => (200.0, 20.0),
    };
    let cpu = keystone.cpu.as_secs_f64() / front.cpu.as_secs_f64();
    println!("    CPU: {cpu:.0} times less, bar: {cpu_bar:.0}");
    if operation != "list" {
        let p99 = keystone.p50.as_secs_f64() / front.p99.as_secs_f64();
        println!("    p99: Keystone's p50 divided by {p99:.1}, bar: {slower_bar:.0}");
    }
    if !matches!(operation, "ec2 create" | "list") {
        let rate = front.requests_per_second / keystone.requests_per_second;
        println!("    requests a second: {rate:.0} times, bar: 50");
    }
}

/// Starts the front with a new store.
async fn start(keystone: &str, password: &str) -> Running {
    let front = Program { path: env!("CARGO_BIN_EXE_keystone-front"), keeps_data: false };
    let front = Server::new(front);
    let (secret, store) = (front.home().join("password"), front.home().join("front.db"));
    secret_file::write(&secret, password);
    let store = format!("sqlite:{}", store.display());
    let arguments = ["--keystone", keystone, "--backend", &store, "--service-user", "admin"];
    let front = front.arguments(&arguments).arguments(&["--service-project", "admin"]);
    let secret = secret.to_str().unwrap();
    front.arguments(&["--service-password-file", secret]).start().await
}

/// A project with users, and a service user that validates signatures.
struct World {
    project: String,
    user: String,
    lister: String,
    token: String,
    lister_token: String,
    service_token: String,
}

impl World {
    async fn make(keystone: SocketAddr, password: &str) -> Self {
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
        let role = |name: &str| {
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
            [("writer", role("member")), ("lister", role("member")), ("service", role("service"))]
        {
            let body = json!({ "user": named(name, json!({ "password": suffix })) });
            let user = id(&call(Method::POST, "/v3/users", body).await, "user");
            let path = format!("/v3/projects/{project}/users/{user}/roles/{role}");
            call(Method::PUT, &path, Value::Null).await;
            users.push(user);
        }
        let mut tokens = Vec::new();
        for user in &users {
            let user = json!({ "id": user, "password": suffix });
            let scope = json!({ "project": { "id": project } });
            tokens.push(log_in(&mut connection, keystone, &user, &scope).await);
        }
        let [token, lister_token, service_token] = tokens.try_into().unwrap();
        let [user, lister, _] = users.try_into().unwrap();
        Self { project, user, lister, token, lister_token, service_token }
    }

    /// Prepares a request for a server; returns it with the expected status. Creates the data that
    /// the request needs.
    async fn request(&self, operation: &str, address: SocketAddr) -> (Vec<u8>, u16) {
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
            "ec2 create" => {
                let path = keys(&self.user);
                (request(address, &Method::POST, &path, &self.token, &create), 201)
            }
            _ => {
                for _ in 0..LISTED {
                    made(&self.lister, &self.lister_token).await;
                }
                let path = keys(&self.lister);
                (request(address, &Method::GET, &path, &self.lister_token, ""), 200)
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

/// Compares creates by many clients through the front with raw inserts into SQLite: the same number
/// of rows, with one row per client in each transaction.
async fn compare_creates_with_sqlite(keystone: &str, password: &str, world: &World) {
    let mut shares = Vec::new();
    for round in 0..=ROUNDS {
        // Both start with a new file.
        let front = start(keystone, password).await;
        let address = front.host().parse().unwrap();
        let (request, _) = world.request("ec2 create", address).await;
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<engine::Row> = (0..CREATES).map(|_| world.row()).collect();
        let database = engine::open(&folder.path().join("engine.db"));
        let started = std::time::Instant::now();
        for batch in rows.chunks(CREATORS) {
            engine::commit(&database, batch);
        }
        let engine = bench::rate(CREATES, started.elapsed());
        let (process, length) = (front.id(), Duration::from_secs(2));
        let load = load::run(address, process, &request, 201, CREATORS, length).await;
        if round > 0 {
            shares.push(load.requests_per_second / engine);
        }
    }
    let share = bench::median(shares);
    println!("creates by {CREATORS} clients / engine by {CREATORS}: {share:.2}, bar: 0.70");
}

impl World {
    /// The row of an OS-EC2 create.
    fn row(&self) -> engine::Row {
        let key = AccessKey::generate().unwrap();
        let material = Material::KeyPair { secret: Some(SecretKey::generate().unwrap()) };
        let (id, user) = (CredentialId::of(&key), UserId::from_stored(&*self.user));
        let now = UNIX_EPOCH + SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut record = Credential::new(id, Kind::ec2(), user, material, now, Version::fresh());
        record.project_id = Some(ProjectId::from_stored(&*self.project));
        record.access_key = Some(key);
        record.into()
    }
}
