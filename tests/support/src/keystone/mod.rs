//! A scripted Keystone, with its credentials in memory. Tests can make it fail in many ways.

mod answers;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use data_encoding::HEXLOWER;
use http::{HeaderMap, Method};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, sync::Notify, time::sleep};

use crate::waiting::Waiting;

/// Valid tokens.
pub const ADMIN: &str = "token-of-admin";
pub const ALICE: &str = "token-of-alice";

/// A received request.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: Method,
    pub uri: String,
    pub headers: HeaderMap,
}

/// Why a user's keys are not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    Unknown,
    Disabled,
    WithoutRoles,
}

/// A scripted Keystone. Clones share the server.
#[derive(Clone)]
pub struct Keystone {
    pub url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Received>>,
    credentials: Mutex<BTreeMap<String, Map<String, Value>>>,
    logins: Mutex<Vec<Value>>,
    /// Further tokens, besides [`ADMIN`] and [`ALICE`].
    tokens: Mutex<BTreeMap<String, Value>>,
    /// Users that are unknown, disabled, or without roles.
    away: Mutex<BTreeMap<String, Away>>,
    /// The maximum length of a list of credentials.
    limit: Mutex<Option<usize>>,
    faults: Mutex<Vec<Fault>>,
    /// Paths on which errors are HTML pages, like those of a proxy.
    html_errors: Mutex<Vec<String>>,
    connections: AtomicUsize,
    next_id: AtomicUsize,
    /// Whether the client canceled a request to `/hang` or `/upload`.
    canceled: AtomicBool,
    arrived: Notify,
    proceed: Notify,
}

/// A failure of all requests with this method and path prefix.
struct Fault {
    method: Method,
    path: String,
    /// 0 closes the connection.
    status: u16,
    /// Whether the request is processed first.
    is_after: bool,
}

impl Keystone {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let this = Self { url, shared: Arc::default() };
        let serving = this.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                serving.shared.connections.fetch_add(1, Ordering::SeqCst);
                let this = serving.clone();
                let service = service_fn(move |request| this.clone().answer(request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                tokio::spawn(connection);
            }
        });
        this
    }

    pub fn requests(&self) -> Vec<Received> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The last request with this path prefix.
    pub fn last(&self, path: &str) -> Received {
        let mut requests = self.requests();
        requests.retain(|request| request.uri.starts_with(path));
        requests.pop().unwrap_or_else(|| panic!("no request for {path}"))
    }

    /// The number of requests with this method and path prefix.
    pub fn count(&self, method: &Method, path: &str) -> usize {
        let matches =
            |request: &&Received| request.method == method && request.uri.starts_with(path);
        self.requests().iter().filter(matches).count()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Whether the client canceled a request to `/hang` or `/upload`.
    pub fn is_request_canceled(&self) -> bool {
        self.shared.canceled.load(Ordering::SeqCst)
    }

    /// Waits until the client cancels a request to `/hang` or `/upload`.
    pub async fn request_canceled(&self) {
        for () in Waiting::start() {
            if self.is_request_canceled() {
                return;
            }
            sleep(Waiting::STEP).await;
        }
        panic!("the request was not canceled");
    }

    /// Waits until a blocking request has arrived.
    pub async fn arrived(&self) {
        self.shared.arrived.notified().await;
    }

    /// Resumes a blocked request.
    pub fn proceed(&self) {
        self.shared.proceed.notify_one();
    }

    /// Fails requests with this method and path prefix; 0 closes the connection.
    pub fn fail(&self, method: &Method, path: &str, status: u16) {
        self.add_fault(method, path, status, false);
    }

    /// Fails with an HTML page, like a proxy in front of Keystone.
    pub fn fail_as_proxy(&self, method: &Method, path: &str, status: u16) {
        self.shared.html_errors.lock().unwrap().push(path.to_owned());
        self.fail(method, path, status);
    }

    /// Processes requests, but closes the connection without a response.
    pub fn hang_up_after(&self, method: &Method, path: &str) {
        self.add_fault(method, path, 0, true);
    }

    fn add_fault(&self, method: &Method, path: &str, status: u16, is_after: bool) {
        let (method, path) = (method.clone(), path.to_owned());
        let fault = Fault { method, path, status, is_after };
        self.shared.faults.lock().unwrap().push(fault);
    }

    pub fn clear_faults(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    pub fn limit(&self, limit: usize) {
        *self.shared.limit.lock().unwrap() = Some(limit);
    }

    /// The bodies of the login requests.
    pub fn logins(&self) -> Vec<Value> {
        self.shared.logins.lock().unwrap().clone()
    }

    /// Adds a token of alice's with additional members.
    pub fn add_token(&self, name: &str, members: &Value) {
        let mut known = answers::token("alice", "member");
        let token = known["token"].as_object_mut().unwrap();
        token.extend(members.as_object().unwrap().clone());
        self.shared.tokens.lock().unwrap().insert(name.to_owned(), known);
    }

    /// Removes or restores a user.
    pub fn set_away(&self, user: &str, away: Option<Away>) {
        let mut all = self.shared.away.lock().unwrap();
        match away {
            Some(away) => all.insert(user.to_owned(), away),
            None => all.remove(user),
        };
    }

    /// Clears the recorded requests.
    pub fn clear_requests(&self) {
        self.shared.requests.lock().unwrap().clear();
    }

    fn away(&self, user: &str) -> Option<Away> {
        self.shared.away.lock().unwrap().get(user).copied()
    }

    /// The credentials by id.
    pub fn credentials(&self) -> BTreeMap<String, Map<String, Value>> {
        self.shared.credentials.lock().unwrap().clone()
    }

    /// Adds a credential with this id.
    pub fn put(&self, id: &str, credential: &Value) {
        let mut credential = credential.as_object().unwrap().clone();
        credential.insert("id".into(), id.into());
        credential.insert("links".into(), json!({"self": "http://keystone/"}));
        self.shared.credentials.lock().unwrap().insert(id.to_owned(), credential);
    }

    /// Adds a key pair; returns its id.
    pub fn put_pair(&self, access: &str, user: &str) -> String {
        let id = id_of_pair(access);
        let blob = json!({"access": access, "secret": secret_of(access), "trust_id": null});
        let credential = json!({"type": "ec2", "blob": blob.to_string(), "user_id": user,
            "project_id": "demo"});
        self.put(&id, &credential);
        id
    }

    /// The blobs of a user's credentials.
    pub fn blobs(&self, user: &str) -> Vec<String> {
        let credentials = self.credentials();
        let owned = credentials.values().filter(|one| one["user_id"] == user);
        owned.map(|one| one["blob"].as_str().unwrap().to_owned()).collect()
    }
}

/// The id of a key pair.
pub fn id_of_pair(access: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(access))
}

/// The secret of a key pair from [`Keystone::put_pair`].
pub fn secret_of(access: &str) -> String {
    format!("secret-of-{access}")
}
