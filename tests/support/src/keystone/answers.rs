//! The responses of the scripted Keystone.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{ADMIN, ALICE, Away, Fault, Keystone, Received, Shared, id_of_pair};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

impl Keystone {
    pub(super) async fn answer(self, request: Request<Incoming>) -> Result<Answer, BoxError> {
        let (parts, body) = request.into_parts();
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let uri = parts.uri.to_string();
        let headers = parts.headers.clone();
        self.shared.requests.lock().unwrap().push(Received {
            method: method.clone(),
            uri,
            headers,
        });
        let fault = {
            let faults = self.shared.faults.lock().unwrap();
            let matches = |fault: &&Fault| fault.method == method && path.starts_with(&fault.path);
            faults.iter().find(matches).map(|fault| (fault.status, fault.is_after))
        };
        match fault {
            Some((0, false)) => return Err("scripted disconnect".into()),
            Some((status, false)) => {
                if method == Method::GET && self.shared.html_errors.lock().unwrap().contains(&path)
                {
                    let mut page = text("<html>");
                    *page.status_mut() = StatusCode::from_u16(status).unwrap();
                    return Ok(page);
                }
                return Ok(error(StatusCode::from_u16(status).unwrap(), "scripted failure"));
            }
            _ => {}
        }
        // Keystone may have a path prefix.
        let below = path.strip_prefix("/identity").unwrap_or(&path);
        let answer = match below.strip_prefix("/v3/") {
            Some(path) => {
                let body = body.collect().await?.to_bytes();
                if method == Method::DELETE && path == "users/slow" {
                    self.shared.arrived.notify_one();
                    self.shared.proceed.notified().await;
                }
                self.identity(&method, path, parts.uri.query().unwrap_or(""), &parts.headers, &body)
            }
            None => self.extra(&path, body).await?,
        };
        if fault.is_some() { Err("scripted disconnect".into()) } else { Ok(answer) }
    }

    /// Paths that Keystone does not have, for tests of the proxy.
    async fn extra(&self, path: &str, mut body: Incoming) -> Result<Answer, BoxError> {
        match path {
            // Streams the request body back.
            "/echo" => Ok(Response::new(body.map_err(Into::into).boxed_unsync())),
            // Signals the arrival of each piece.
            "/upload" => {
                let _cancel = CancelGuard(Arc::clone(&self.shared));
                let mut length = 0;
                while let Some(frame) = body.frame().await {
                    length += frame?.data_ref().map_or(0, Bytes::len);
                    self.shared.arrived.notify_one();
                }
                Ok(text(format!("{length}")))
            }
            // Sends the second piece after `proceed`.
            "/pieces" => {
                let (send, pieces) = mpsc::channel(1);
                let shared = Arc::clone(&self.shared);
                tokio::spawn(async move {
                    let _ = send.send(Ok(Bytes::from_static(b"first;"))).await;
                    shared.proceed.notified().await;
                    let _ = send.send(Ok(Bytes::from_static(b"last"))).await;
                });
                Ok(Response::new(Pieces(pieces).boxed_unsync()))
            }
            // Fails in the middle of the body, after `proceed`.
            "/half" => {
                let (send, pieces) = mpsc::channel(1);
                send.try_send(Ok(Bytes::from_static(b"half of it")))?;
                let shared = Arc::clone(&self.shared);
                tokio::spawn(async move {
                    shared.proceed.notified().await;
                    let _ = send.send(Err("scripted failure".into())).await;
                });
                Ok(Response::new(Pieces(pieces).boxed_unsync()))
            }
            "/hang" => {
                let _cancel = CancelGuard(Arc::clone(&self.shared));
                self.shared.arrived.notify_one();
                std::future::pending().await
            }
            _ => {
                // Reads the body: a close before that could lose the response.
                body.collect().await?;
                Ok(text(path.to_owned()))
            }
        }
    }

    /// A small part of Keystone's API.
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
                    return error(StatusCode::FORBIDDEN, "protected");
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
            ["role_assignments"] if self.away(&user_of(query)).is_some() => {
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
            return error(StatusCode::CONFLICT, "exists");
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
        let matches = |one: &Map<String, Value>| {
            ["user_id", "type"]
                .iter()
                .all(|name| parameter(name).is_none_or(|value| one[*name] == *value))
        };
        let mut listed: Vec<_> = self.credentials().into_values().filter(matches).collect();
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
                // Like Keystone 30.
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

/// The user in a query for roles.
fn user_of(query: &str) -> String {
    let id = query.split('&').find_map(|pair| pair.strip_prefix("user.id=")).unwrap_or_default();
    percent_encoding::percent_decode_str(id).decode_utf8_lossy().into_owned()
}

pub(super) fn token(user: &str, role: &str) -> Value {
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

/// Records when its request ends.
struct CancelGuard(Arc<Shared>);

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.0.canceled.store(true, Ordering::SeqCst);
    }
}

/// A body from a channel.
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
