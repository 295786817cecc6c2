//! A Keystone that does as it is told: in memory, and out of order at will.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    time::sleep,
};

use crate::waiting::Waiting;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// Tokens that it knows.
pub const ADMIN: &str = "token-of-admin";
pub const ALICE: &str = "token-of-alice";

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub uri: String,
    pub headers: HeaderMap,
}

/// Why a user's keys do not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    Unknown,
    Disabled,
    WithoutRoles,
}

/// A clone is the same one.
#[derive(Clone)]
pub struct Keystone {
    pub url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    credentials: Mutex<BTreeMap<String, Map<String, Value>>>,
    logins: Mutex<Vec<Value>>,
    /// What it says of tokens beside [`ADMIN`] and [`ALICE`].
    tokens: Mutex<BTreeMap<String, Value>>,
    /// Users that it does not know, has disabled, or that have no role anywhere.
    away: Mutex<BTreeMap<String, Away>>,
    /// How many credentials it lists at once.
    limit: Mutex<Option<usize>>,
    /// Statuses for what starts so, instead of an answer; 0 hangs up.
    faults: Mutex<Vec<(Method, String, u16, bool)>>,
    /// Paths on which its refusals are pages of somebody else's.
    in_html: Mutex<Vec<String>>,
    connections: AtomicUsize,
    next_id: AtomicUsize,
    /// Whether a request that hung or uploaded has ended.
    given_up: AtomicBool,
    arrived: Notify,
    go_on: Notify,
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

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The last request for what starts so.
    pub fn last(&self, path: &str) -> Seen {
        let mut seen = self.seen();
        seen.retain(|seen| seen.uri.starts_with(path));
        seen.pop().unwrap_or_else(|| panic!("nobody asked for {path}"))
    }

    /// How many requests there were for what starts so.
    pub fn times(&self, method: &Method, path: &str) -> usize {
        let is = |seen: &&Seen| seen.method == method && seen.uri.starts_with(path);
        self.seen().iter().filter(is).count()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Whether a request that hung or uploaded has ended.
    pub fn has_given_up(&self) -> bool {
        self.shared.given_up.load(Ordering::SeqCst)
    }

    /// Waits until it has.
    pub async fn given_up(&self) {
        for () in Waiting::start() {
            if self.has_given_up() {
                return;
            }
            sleep(Waiting::STEP).await;
        }
        panic!("the request goes on");
    }

    /// Waits until a request has arrived that waits itself.
    pub async fn arrived(&self) {
        self.shared.arrived.notified().await;
    }

    /// Lets a request go on that waits.
    pub fn go_on(&self) {
        self.shared.go_on.notify_one();
    }

    /// Answers with this status from now on what starts so; 0 hangs up.
    pub fn fail(&self, method: &Method, path: &str, status: u16) {
        let fault = (method.clone(), path.to_owned(), status, false);
        self.shared.faults.lock().unwrap().push(fault);
    }

    /// As somebody would who is not Keystone, but stands before it.
    pub fn fail_in_html(&self, method: &Method, path: &str, status: u16) {
        self.shared.in_html.lock().unwrap().push(path.to_owned());
        self.fail(method, path, status);
    }

    /// Does as it is asked, and then hangs up.
    pub fn hang_up_after(&self, method: &Method, path: &str) {
        self.shared.faults.lock().unwrap().push((method.clone(), path.to_owned(), 0, true));
    }

    pub fn heal(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    pub fn limit(&self, limit: usize) {
        *self.shared.limit.lock().unwrap() = Some(limit);
    }

    /// What was sent to log in.
    pub fn logins(&self) -> Vec<Value> {
        self.shared.logins.lock().unwrap().clone()
    }

    /// Knows a token of alice's from now on, with these members beside the usual ones.
    pub fn admit(&self, name: &str, members: &Value) {
        let mut known = token("alice", "member");
        let token = known["token"].as_object_mut().unwrap();
        token.extend(members.as_object().unwrap().clone());
        self.shared.tokens.lock().unwrap().insert(name.to_owned(), known);
    }

    /// Removes a user in one way or another, or has it back.
    pub fn set_away(&self, user: &str, away: Option<Away>) {
        let mut all = self.shared.away.lock().unwrap();
        match away {
            Some(away) => all.insert(user.to_owned(), away),
            None => all.remove(user),
        };
    }

    /// Forgets the requests that came.
    pub fn forget(&self) {
        self.shared.seen.lock().unwrap().clear();
    }

    fn away(&self, user: &str) -> Option<Away> {
        self.shared.away.lock().unwrap().get(user).copied()
    }

    /// Its credentials, by id.
    pub fn credentials(&self) -> BTreeMap<String, Map<String, Value>> {
        self.shared.credentials.lock().unwrap().clone()
    }

    /// Puts a credential in, with an id of its own choice.
    pub fn put(&self, id: &str, credential: &Value) {
        let mut credential = credential.as_object().unwrap().clone();
        credential.insert("id".into(), id.into());
        credential.insert("links".into(), json!({"self": "http://keystone/"}));
        self.shared.credentials.lock().unwrap().insert(id.to_owned(), credential);
    }

    /// Puts a key pair in; returns its id.
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
        let of = credentials.values().filter(|one| one["user_id"] == user);
        of.map(|one| one["blob"].as_str().unwrap().to_owned()).collect()
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Answer, BoxError> {
        let (parts, body) = request.into_parts();
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let uri = parts.uri.to_string();
        let headers = parts.headers.clone();
        self.shared.seen.lock().unwrap().push(Seen { method: method.clone(), uri, headers });
        let fault = {
            let faults = self.shared.faults.lock().unwrap();
            let is = |fault: &&(Method, String, u16, bool)| {
                fault.0 == method && path.starts_with(&fault.1)
            };
            faults.iter().find(is).map(|(_, _, status, after)| (*status, *after))
        };
        match fault {
            Some((0, false)) => return Err("told to hang up".into()),
            Some((status, false)) => {
                if method == Method::GET && self.shared.in_html.lock().unwrap().contains(&path) {
                    let mut page = text("<html>");
                    *page.status_mut() = StatusCode::from_u16(status).unwrap();
                    return Ok(page);
                }
                return Ok(error(StatusCode::from_u16(status).unwrap(), "told to"));
            }
            _ => {}
        }
        // It can live below another path, too.
        let below = path.strip_prefix("/identity").unwrap_or(&path);
        let answer = match below.strip_prefix("/v3/") {
            Some(path) => {
                let body = body.collect().await?.to_bytes();
                if method == Method::DELETE && path == "users/slow" {
                    self.shared.arrived.notify_one();
                    self.shared.go_on.notified().await;
                }
                self.identity(&method, path, parts.uri.query().unwrap_or(""), &parts.headers, &body)
            }
            None => self.play(&path, body).await?,
        };
        if fault.is_some() { Err("told to hang up".into()) } else { Ok(answer) }
    }

    /// What is not Keystone's, to see how it passes.
    async fn play(&self, path: &str, mut body: Incoming) -> Result<Answer, BoxError> {
        match path {
            // Comes back as it arrives.
            "/echo" => Ok(Response::new(body.map_err(Into::into).boxed_unsync())),
            // Says that the first piece is there before it asks for the rest.
            "/upload" => {
                let _given_up = GivenUp(Arc::clone(&self.shared));
                let mut length = 0;
                while let Some(frame) = body.frame().await {
                    length += frame?.data_ref().map_or(0, Bytes::len);
                    self.shared.arrived.notify_one();
                }
                Ok(text(format!("{length}")))
            }
            // Sends the rest when it is told to; without that, never.
            "/pieces" => {
                let (send, pieces) = mpsc::channel(1);
                let shared = Arc::clone(&self.shared);
                tokio::spawn(async move {
                    let _ = send.send(Ok(Bytes::from_static(b"first;"))).await;
                    shared.go_on.notified().await;
                    let _ = send.send(Ok(Bytes::from_static(b"last"))).await;
                });
                Ok(Response::new(Pieces(pieces).boxed_unsync()))
            }
            // Breaks off in the middle, when it is told to.
            "/half" => {
                let (send, pieces) = mpsc::channel(1);
                send.try_send(Ok(Bytes::from_static(b"half of it")))?;
                let shared = Arc::clone(&self.shared);
                tokio::spawn(async move {
                    shared.go_on.notified().await;
                    let _ = send.send(Err("told to break off".into())).await;
                });
                Ok(Response::new(Pieces(pieces).boxed_unsync()))
            }
            "/hang" => {
                let _given_up = GivenUp(Arc::clone(&self.shared));
                self.shared.arrived.notify_one();
                std::future::pending().await
            }
            _ => {
                // A server that hangs up on a body may take its answer along.
                body.collect().await?;
                Ok(text(path.to_owned()))
            }
        }
    }

    /// A little of Keystone.
    fn identity(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Answer {
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let (get, post) = (*method == Method::GET, *method == Method::POST);
        match segments[..] {
            ["auth", "tokens"] if post => {
                let Ok(login) = serde_json::from_slice(body) else {
                    return error(StatusCode::BAD_REQUEST, "not JSON");
                };
                self.shared.logins.lock().unwrap().push(login);
                let mut answer = json_of(StatusCode::CREATED, &token("front", "admin"));
                answer.headers_mut().insert("x-subject-token", "token-of-front".parse().unwrap());
                answer
            }
            ["auth", "tokens"] if get => {
                let token = match headers.get("x-subject-token").map(HeaderValue::as_bytes) {
                    Some(subject) if subject == ADMIN.as_bytes() => token("admin", "admin"),
                    Some(subject) if subject == ALICE.as_bytes() => token("alice", "member"),
                    subject => {
                        let tokens = self.shared.tokens.lock().unwrap();
                        let name = subject.and_then(|name| str::from_utf8(name).ok());
                        match name.and_then(|name| tokens.get(name)) {
                            Some(token) => token.clone(),
                            None => return error(StatusCode::NOT_FOUND, "no such token"),
                        }
                    }
                };
                json_of(StatusCode::OK, &token)
            }
            ["users" | "projects", id] if *method == Method::DELETE => {
                if id.starts_with("protected") {
                    return error(StatusCode::FORBIDDEN, "not this one");
                }
                let mut answer = text("");
                *answer.status_mut() = StatusCode::NO_CONTENT;
                answer
            }
            ["users", id] if self.away(id) == Some(Away::Unknown) => {
                error(StatusCode::NOT_FOUND, "no such user")
            }
            ["users", id] => json_of(
                StatusCode::OK,
                &json!({"user": {"id": id, "name": id, "domain_id": "default",
                    "enabled": self.away(id) != Some(Away::Disabled)}}),
            ),
            ["projects", id] => json_of(
                StatusCode::OK,
                &json!({"project": {"id": id, "name": id, "domain_id": "default", "enabled": true}}),
            ),
            ["domains", _] => json_of(
                StatusCode::OK,
                &json!({"domain": {"id": "default", "name": "Default", "enabled": true}}),
            ),
            ["domains"] => json_of(
                StatusCode::OK,
                &json!({"domains": [{"id": "default"}], "links": {"next": null}}),
            ),
            // Two pages.
            ["users"] if !query.contains("marker") => json_of(
                StatusCode::OK,
                &json!({"users": [{"id": "alice"}], "truncated": true,
                    "links": {"next": "http://elsewhere/v3/users?marker=alice"}}),
            ),
            ["users"] => {
                json_of(StatusCode::OK, &json!({"users": [{"id": "bob"}], "links": {"next": null}}))
            }
            ["role_assignments"] if self.away(&asked_for(query)).is_some() => {
                json_of(StatusCode::OK, &json!({"role_assignments": []}))
            }
            ["role_assignments"] => json_of(
                StatusCode::OK,
                &json!({"role_assignments": [{"role": {"id": "1", "name": "member"}}]}),
            ),
            ["credentials"] if post => self.create(body),
            ["credentials"] => self.list(query),
            ["credentials", id] => self.one(method, id, body),
            _ => text(path.into_owned()),
        }
    }

    fn create(&self, body: &Bytes) -> Answer {
        let mut sent: Value = serde_json::from_slice(body).unwrap();
        let mut credential = sent["credential"].as_object_mut().unwrap().clone();
        let number = self.shared.next_id.fetch_add(1, Ordering::SeqCst);
        let mut id = format!("keystones-own-{number}");
        if credential["type"] == "ec2" {
            let blob: Value =
                serde_json::from_str(credential["blob"].as_str().unwrap()).unwrap_or_default();
            let Some(access) = blob["access"].as_str() else {
                return error(StatusCode::BAD_REQUEST, "no access key");
            };
            id = id_of_pair(access);
        }
        let mut credentials = self.shared.credentials.lock().unwrap();
        if credentials.contains_key(&id) {
            return error(StatusCode::CONFLICT, "there is one");
        }
        credential.insert("id".into(), id.clone().into());
        credentials.insert(id, credential.clone());
        json_of(StatusCode::CREATED, &json!({"credential": credential}))
    }

    fn list(&self, query: &str) -> Answer {
        let parameter = |name: &str| {
            let found =
                query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            found.map(|text| percent_encoding::percent_decode_str(text).decode_utf8().unwrap())
        };
        let admitted = |one: &Map<String, Value>| {
            ["user_id", "type"]
                .iter()
                .all(|name| parameter(name).is_none_or(|value| one[*name] == *value))
        };
        let mut listed: Vec<_> = self.credentials().into_values().filter(admitted).collect();
        let limit = self.shared.limit.lock().unwrap().unwrap_or(usize::MAX);
        let truncated = listed.len() > limit;
        listed.truncate(limit);
        let mut answer = json!({"credentials": listed, "links": {}});
        if truncated {
            answer["truncated"] = true.into();
        }
        json_of(StatusCode::OK, &answer)
    }

    fn one(&self, method: &Method, id: &str, body: &Bytes) -> Answer {
        let id = percent_encoding::percent_decode_str(id).decode_utf8().unwrap();
        let mut credentials = self.shared.credentials.lock().unwrap();
        let Some(credential) = credentials.get_mut(&*id) else {
            return error(StatusCode::NOT_FOUND, "no such credential");
        };
        match *method {
            Method::PATCH => {
                let sent: Value = serde_json::from_slice(body).unwrap();
                let sent = sent["credential"].as_object().unwrap();
                // As Keystone 30 does.
                if sent.keys().any(|name| name != "blob") {
                    return error(StatusCode::BAD_REQUEST, "only the blob");
                }
                credential.insert("blob".into(), sent["blob"].clone());
            }
            Method::DELETE => {
                credentials.remove(&*id);
                let mut answer = text("");
                *answer.status_mut() = StatusCode::NO_CONTENT;
                return answer;
            }
            _ => {}
        }
        json_of(StatusCode::OK, &json!({"credential": credential}))
    }
}

/// The user whose roles are asked for.
fn asked_for(query: &str) -> String {
    let id = query.split('&').find_map(|pair| pair.strip_prefix("user.id=")).unwrap_or_default();
    percent_encoding::percent_decode_str(id).decode_utf8_lossy().into_owned()
}

/// The id of a pair.
pub fn id_of_pair(access: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(access))
}

/// The secret of a pair that is put in.
pub fn secret_of(access: &str) -> String {
    format!("secret-of-{access}")
}

fn token(user: &str, role: &str) -> Value {
    json!({"token": {
        "methods": ["password"],
        "user": {"id": user, "name": user, "domain": {"id": "default", "name": "Default"}},
        "project": {"id": "demo", "name": "demo", "domain": {"id": "default", "name": "Default"}},
        "roles": [
            {"id": "1", "name": role},
            {"id": "2", "name": "key_management_user"},
            {"id": "3", "name": "key_listing_user"},
        ],
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "expires_at": "2096-01-01T00:00:00.000000Z",
    }})
}

fn text(text: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed_unsync())
}

fn json_of(status: StatusCode, value: &Value) -> Answer {
    let mut answer = text(format!("{value}\n"));
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", "application/json".parse().unwrap());
    answer.headers_mut().insert("x-openstack-request-id", "req-of-keystone".parse().unwrap());
    answer
}

fn error(status: StatusCode, message: &str) -> Answer {
    let title = status.canonical_reason().unwrap();
    let code = status.as_u16();
    json_of(status, &json!({"error": {"code": code, "message": message, "title": title}}))
}

/// Tells when the request that holds it ends.
struct GivenUp(Arc<Shared>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.given_up.store(true, Ordering::SeqCst);
    }
}

/// A body, piece by piece.
struct Pieces(mpsc::Receiver<Result<Bytes, BoxError>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
