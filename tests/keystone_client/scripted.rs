//! A scripted Keystone in this process, which counts calls.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use test_support::clock::TestClock;
use tokio::{net::TcpListener, time::Sleep};
use tower_credentials::{
    auth::Presented,
    domain::SecretText,
    keystone::{KeystoneClient, KeystoneClientBuilder, ServiceLogin},
};

/// The start of the clocks: 2026-01-02T03:04:05Z.
pub(crate) const START: Duration = Duration::from_secs(1_767_323_045);

/// The timeout of calls. Some tests wait for it; it must be long enough for a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(1_500);

/// The reply to a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// This status and body.
    Json(u16, Value),
    /// Status 200 with this text as body.
    Text(&'static str),
    /// No reply.
    Hang,
    /// A head and half a body, after which the connection closes.
    HalfABody,
    /// A head and half a body, after which nothing follows.
    Stall,
    /// A body without end.
    Endless,
    /// The connection closes.
    HangUp,
}

impl Reply {
    pub(crate) fn not_found() -> Self {
        Self::Json(404, json!({"error": {"code": 404, "message": "no", "title": "Not Found"}}))
    }
}

/// A Keystone.
#[derive(Clone, Debug)]
pub(crate) struct Keystone {
    pub(crate) clock: TestClock,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Replies by "METHOD /path?query"; all other requests return 404. For validations the path
    /// is the token.
    replies: BTreeMap<String, Reply>,
    /// The reply to logins, instead of a new token.
    login: Option<Reply>,
    /// Lifetime of the service user's tokens, in seconds.
    life: u64,
    logins: usize,
    connections: usize,
    /// The service user's tokens that are accepted.
    accepted: Vec<String>,
    calls: Vec<String>,
    /// The delay of all replies.
    delay: Duration,
    /// Whether a connection closes when it is used a second time.
    closes_kept: bool,
}

impl Keystone {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let keystone = Self {
            clock: TestClock::at(UNIX_EPOCH + START),
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State { life: 3600, ..State::default() })),
        };
        let served = keystone.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keystone = served.clone();
                keystone.state().connections += 1;
                let used = AtomicU64::new(0);
                let service = service_fn(move |request| {
                    let kept = used.fetch_add(1, Ordering::SeqCst) > 0;
                    keystone.clone().serve(request, kept)
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        keystone
    }

    /// A client with this clock and a short timeout.
    pub(crate) fn client(&self) -> KeystoneClient {
        self.builder().build().unwrap()
    }

    pub(crate) fn builder(&self) -> KeystoneClientBuilder {
        let login = ServiceLogin::password("s3", "top-secret-password", "service");
        KeystoneClient::builder(format!("http://{}", self.address))
            .login(login)
            .clock(self.clock.clone())
            .timeout(TIMEOUT)
    }

    pub(crate) fn reply(&self, call: &str, reply: Reply) {
        self.state().replies.insert(call.into(), reply);
    }

    pub(crate) fn json(&self, call: &str, body: Value) {
        self.reply(call, Reply::Json(200, body));
    }

    /// Makes a client's token valid, with these changes to its description.
    pub(crate) fn know(&self, token: &str, changes: Value) {
        self.json(&format!("GET {token}"), described(changes));
    }

    pub(crate) fn answer_logins(&self, reply: Option<Reply>) {
        self.state().login = reply;
    }

    pub(crate) fn set_life(&self, seconds: u64) {
        self.state().life = seconds;
    }

    pub(crate) fn delay(&self, by: Duration) {
        self.state().delay = by;
    }

    /// Closes idle connections as soon as they are used again.
    pub(crate) fn close_kept_connections(&self) {
        self.state().closes_kept = true;
    }

    /// Rejects all current tokens of the service user.
    pub(crate) fn revoke_own_tokens(&self) {
        self.state().accepted.clear();
    }

    pub(crate) fn logins(&self) -> usize {
        self.state().logins
    }

    /// The number of opened connections.
    pub(crate) fn connections(&self) -> usize {
        self.state().connections
    }

    /// The calls with the service user's token since the last call of this method.
    pub(crate) fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state().calls)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn serve(
        self,
        request: Request<Incoming>,
        kept: bool,
    ) -> Result<Response<UnsyncBoxBody<Bytes, io::Error>>, io::Error> {
        if kept && self.state().closes_kept {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let (head, body) = request.into_parts();
        let _ = body.collect().await;
        let path = head.uri.path_and_query().unwrap().as_str();
        let path = path.strip_prefix("/v3").unwrap();
        let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap());
        let (delay, token, reply) = {
            let mut state = self.state();
            let (token, reply) = if head.method == Method::POST && path == "/auth/tokens?nocatalog"
            {
                state.log_in()
            } else {
                let call = format!("{} {}", head.method, header("x-subject-token").unwrap_or(path));
                (None, state.call(&call, header("x-auth-token")))
            };
            (state.delay, token, reply)
        };
        tokio::time::sleep(delay).await;
        self.send(reply, token).await
    }

    async fn send(
        &self,
        reply: Reply,
        token: Option<String>,
    ) -> Result<Response<UnsyncBoxBody<Bytes, io::Error>>, io::Error> {
        let (status, body) = match reply {
            Reply::Json(status, body) => (status, full(&body.to_string())),
            Reply::Text(text) => (200, full(text)),
            Reply::Hang => std::future::pending().await,
            Reply::HalfABody => (200, Chunks::broken(Duration::from_millis(50)).boxed_unsync()),
            Reply::Stall => (200, Chunks::broken(Duration::from_hours(1)).boxed_unsync()),
            Reply::Endless => (200, Chunks::endless().boxed_unsync()),
            Reply::HangUp => return Err(io::ErrorKind::ConnectionReset.into()),
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(token) = token {
            response.headers_mut().insert("x-subject-token", token.parse().unwrap());
        }
        Ok(response)
    }
}

impl State {
    fn log_in(&mut self) -> (Option<String>, Reply) {
        self.logins += 1;
        if let Some(reply) = &self.login {
            return (None, reply.clone());
        }
        let token = format!("own-token-{}", self.logins);
        self.accepted.push(token.clone());
        let body = described(json!({"expires_at": after(self.life)}));
        (Some(token), Reply::Json(201, body))
    }

    fn call(&mut self, call: &str, token: Option<&str>) -> Reply {
        let accepted = token.is_some_and(|token| self.accepted.iter().any(|own| own == token));
        self.calls.push(call.into());
        if accepted {
            self.replies.get(call).cloned().unwrap_or_else(Reply::not_found)
        } else {
            Reply::Json(
                401,
                json!({"error": {"code": 401, "message": "no", "title": "Unauthorized"}}),
            )
        }
    }
}

/// A time this many seconds after the start, in Keystone's format.
pub(crate) fn after(seconds: u64) -> String {
    let moment = time_of(START.as_secs() + seconds);
    format!("{moment}.000000Z")
}

fn time_of(seconds: u64) -> String {
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    let parts: Vec<&str> = text.split([' ', ',']).filter(|part| !part.is_empty()).collect();
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|month| *month == parts[2]).unwrap() + 1;
    format!("{}-{month:02}-{}T{}", parts[3], parts[1], parts[4])
}

/// Keystone's description of a token of user `amy` in project `demo`, with changed members.
pub(crate) fn described(changes: Value) -> Value {
    let mut token = json!({
        "methods": ["password"],
        "user": {"id": "amy", "name": "Amy", "domain": {"id": "default", "name": "Default"}},
        "project": {"id": "demo", "name": "Demo", "domain": {"id": "default", "name": "Default"}},
        "roles": [{"id": "r-1", "name": "member"}, {"id": "r-2", "name": "reader"}],
        "audit_ids": ["59UrKlzvT864t0ogWBsfXw"],
        "issued_at": after(0), "expires_at": after(3600), "is_domain": false,
    });
    let members = token.as_object_mut().unwrap();
    if let Value::Object(changes) = changes {
        for (name, value) in changes {
            if value.is_null() {
                members.remove(&name)
            } else {
                members.insert(name, value)
            };
        }
    }
    json!({ "token": token })
}

/// The credentials that a client presents.
pub(crate) fn token(text: &str) -> Presented {
    Presented::Token(SecretText::new(text))
}

fn full(text: &str) -> UnsyncBoxBody<Bytes, io::Error> {
    let never = |never: Infallible| match never {};
    Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(never).boxed_unsync()
}

/// A body of many chunks that ends, or breaks off a little later.
struct Chunks {
    left: usize,
    breaks: Option<Pin<Box<Sleep>>>,
}

impl Chunks {
    fn endless() -> Self {
        Self { left: usize::MAX, breaks: None }
    }

    fn broken(after: Duration) -> Self {
        Self { left: 1, breaks: Some(Box::pin(tokio::time::sleep(after))) }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left > 0 {
            self.left -= 1;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 4096])))));
        }
        let Some(breaks) = &mut self.breaks else { return Poll::Ready(None) };
        breaks.as_mut().poll(cx).map(|()| Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}
