//! The members of a cluster, and HTTP requests to one of them.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::error::{EtcdError, EtcdErrorKind};
use crate::tls;

/// How long a member is skipped after its first failure. Doubles with each further failure, with
/// some jitter.
const COOLDOWN: Duration = Duration::from_millis(200);
const MAX_COOLDOWN: Duration = Duration::from_secs(10);

/// The endpoints of one cluster.
#[derive(Debug)]
pub(super) struct Members {
    members: Vec<Member>,
    /// The index of the member that is asked as long as it answers.
    preferred: AtomicUsize,
}

#[derive(Debug)]
pub(super) struct Member {
    /// Scheme and authority.
    endpoint: String,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    /// How many times in a row the member has failed.
    failures: u32,
    skipped_until: Option<SystemTime>,
}

impl Members {
    /// Requires at least one endpoint. A random one is preferred at first, so that clients
    /// spread over the members.
    pub(super) fn new(endpoints: Vec<String>) -> Self {
        let preferred = rand::random_range(0..endpoints.len());
        let members = endpoints.into_iter();
        let members = members.map(|endpoint| Member { endpoint, health: Mutex::default() });
        Self { members: members.collect(), preferred: preferred.into() }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns the member to ask after `tried` others. Skips members that failed lately, unless all
    /// did.
    pub(super) fn pick(&self, tried: usize, now: SystemTime) -> &Member {
        let preferred = self.preferred.load(Ordering::Relaxed);
        let turn = |n: usize| &self.members[(preferred + n) % self.members.len()];
        let available = (0..self.members.len()).map(turn).filter(|member| member.is_available(now));
        available.cycle().nth(tried).unwrap_or_else(|| turn(tried))
    }

    /// Records that the member answered.
    pub(super) fn succeeded(&self, member: &Member) {
        *member.health() = Health::default();
        if let Some(index) = self.members.iter().position(|other| std::ptr::eq(other, member)) {
            self.preferred.store(index, Ordering::Relaxed);
        }
    }
}

impl Member {
    pub(super) fn uri(&self, path: &str) -> Result<Uri, EtcdError> {
        let uri = format!("{}{path}", self.endpoint).parse();
        uri.map_err(|_| EtcdError::unexpected("the endpoint is not a URL"))
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Records a failure of the member. Returns whether it is the first one in a row.
    pub(super) fn failed(&self, now: SystemTime) -> bool {
        let mut health = self.health();
        let cooldown = COOLDOWN.saturating_mul(1 << health.failures.min(10)).min(MAX_COOLDOWN);
        health.failures = health.failures.saturating_add(1);
        health.skipped_until = now.checked_add(cooldown.mul_f64(rand::random_range(0.5..1.0)));
        health.failures == 1
    }

    fn is_available(&self, now: SystemTime) -> bool {
        // After a clock was set back, the cooldown must not exceed its maximum.
        self.health()
            .skipped_until
            .is_none_or(|until| until.duration_since(now).map_or(true, |left| left > MAX_COOLDOWN))
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Maximum size of an answer, in bytes: several records of maximum size.
const MAX_ANSWER: usize = 16 << 20;

/// Maximum size of an error message, in bytes.
const MAX_ERROR: usize = 64 << 10;

/// How many idle connections to one member are kept.
const MAX_IDLE: usize = 256;

/// An HTTP client with a connection pool.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Http {
    pub(super) fn new(tls: rustls::ClientConfig, timeout: Duration) -> Self {
        let connector = tls::connector(tls, timeout);
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(MAX_IDLE).build(connector);
        Self { client }
    }

    /// Sends a request and reads the whole answer. The caller sets the timeout.
    pub(super) async fn call(
        &self,
        uri: Uri,
        token: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Bytes, EtcdError> {
        let response = self.open(uri, token, body).await?;
        read(response.into_body(), MAX_ANSWER).await
    }

    /// Sends a request and returns the answer with a streaming body.
    pub(super) async fn open(
        &self,
        uri: Uri,
        token: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Response<Incoming>, EtcdError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(token.map(|token| (AUTHORIZATION, token)));
        let response = self.client.request(request).await.map_err(|error| {
            let kind = if error.is_connect() {
                EtcdErrorKind::Unreachable
            } else {
                EtcdErrorKind::ConnectionLost
            };
            EtcdError::new(kind, "cannot connect to etcd").with_source(error)
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        // The answer may come from a proxy.
        let body = read(response.into_body(), MAX_ERROR).await.unwrap_or_default();
        Err(EtcdError::returned(status, serde_json::from_slice(&body).ok().as_ref()))
    }
}

async fn read(body: Incoming, max: usize) -> Result<Bytes, EtcdError> {
    match Limited::new(body, max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(EtcdError::new(EtcdErrorKind::TooLarge, "etcd's answer is too large"))
        }
        Err(error) => Err(EtcdError::new(
            EtcdErrorKind::ConnectionLost,
            "the connection was lost while reading etcd's answer",
        )
        .with_source(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn three() -> Members {
        Members::new(["a", "b", "c"].map(|name| format!("http://{name}")).into())
    }

    #[test]
    fn failed_member_is_skipped_until_its_cooldown_ends() {
        let (members, now) = (three(), UNIX_EPOCH + Duration::from_secs(9));
        let first = members.pick(0, now);
        members.succeeded(first);
        assert!(std::ptr::eq(members.pick(0, now), first), "a member that answers is kept");
        first.failed(now);
        for tried in 0..5 {
            assert!(!std::ptr::eq(members.pick(tried, now), first));
        }
        let later = now + COOLDOWN;
        assert!(std::ptr::eq(members.pick(0, later), first));
    }

    #[test]
    fn members_are_asked_in_turn_when_all_have_failed() {
        let (members, now) = (three(), UNIX_EPOCH + Duration::from_secs(9));
        for member in &members.members {
            member.failed(now);
        }
        let picked: Vec<_> = (0..3).map(|tried| &members.pick(tried, now).endpoint).collect();
        assert!(members.members.iter().all(|member| picked.contains(&&member.endpoint)));
    }

    #[test]
    fn clock_that_was_set_back_ends_cooldowns() {
        let (members, now) = (three(), UNIX_EPOCH + Duration::from_secs(1_000_000));
        let member = members.pick(0, now);
        member.failed(now);
        assert!(!member.is_available(now));
        assert!(member.is_available(UNIX_EPOCH));
    }
}
