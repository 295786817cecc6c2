//! Calls to a cluster: member selection, retries, timeouts and the login.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Uri};
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{sleep, timeout},
};

use crate::clock::Clock;
use crate::domain::SecretText;

use super::error::{EtcdError, EtcdErrorKind};
use super::transport::{Http, Member, Members};
use super::wire::{
    Authenticate, Authenticated, Base64, Range, RangeAnswer, Status, Txn, TxnAnswer, Watch,
    WatchCreate,
};

/// How many calls run at once. Further calls wait, within their own timeout.
const MAX_CALLS: usize = 256;

/// The pause after all members have failed.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A client of one cluster.
pub(super) struct Client {
    http: Http,
    members: Members,
    login: Option<Login>,
    clock: Arc<dyn Clock>,
    permits: Semaphore,
    /// Timeout of a call, including its retries.
    timeout: Duration,
}

/// The answer to a request.
pub(super) struct Answered<T> {
    pub(super) answer: T,
    /// Whether an earlier attempt at the same request may have taken effect too.
    pub(super) is_outcome_unknown: bool,
}

impl Client {
    pub(super) fn new(
        http: Http,
        endpoints: Vec<String>,
        login: Option<Login>,
        clock: Arc<dyn Clock>,
        timeout: Duration,
    ) -> Self {
        let (members, permits) = (Members::new(endpoints), Semaphore::new(MAX_CALLS));
        Self { http, members, login, clock, permits, timeout }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) async fn range(&self, range: &Range) -> Result<RangeAnswer, EtcdError> {
        Ok(self.call("/v3/kv/range", range).await?.answer)
    }

    /// Sends a transaction until a member answers. The transaction must be such that of two
    /// attempts at most one can take effect. The caller finds out whether an earlier attempt
    /// did.
    pub(super) async fn txn(&self, txn: &Txn) -> Result<Answered<TxnAnswer>, EtcdError> {
        self.call("/v3/kv/txn", txn).await
    }

    /// Reads several ranges at the same revision.
    pub(super) async fn read(
        &self,
        ranges: impl IntoIterator<Item = Range>,
    ) -> Result<TxnAnswer, EtcdError> {
        Ok(self.txn(&Txn::reading(ranges)).await?.answer)
    }

    /// Returns the status of some member.
    pub(super) async fn status(&self) -> Result<Status, EtcdError> {
        Ok(self.call("/v3/maintenance/status", &serde_json::json!({})).await?.answer)
    }

    /// Starts to watch a key from this revision on.
    pub(super) async fn watch(&self, key: Vec<u8>, revision: i64) -> Result<Incoming, EtcdError> {
        let key = Base64(key);
        let create_request = WatchCreate { key, start_revision: revision };
        let body = encode(&Watch { create_request });
        let http = &self.http;
        let opened = self.retry("/v3/watch", |uri, token| {
            let body = body.clone();
            async move { http.open(uri, token, body).await }
        });
        Ok(opened.await?.answer.into_body())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
    ) -> Result<Answered<T>, EtcdError> {
        let body = encode(request);
        let http = &self.http;
        let called = self.retry(path, |uri, token| {
            let body = body.clone();
            async move { http.call(uri, token, body).await }
        });
        let Answered { answer, is_outcome_unknown } = called.await?;
        let answer = serde_json::from_slice(&answer)
            .map_err(|_| EtcdError::unexpected("etcd's answer is not the expected JSON"))?;
        Ok(Answered { answer, is_outcome_unknown })
    }

    /// Asks one member after the other until one answers or the time is over.
    async fn retry<T, F>(
        &self,
        path: &str,
        ask: impl Fn(Uri, Option<HeaderValue>) -> F,
    ) -> Result<Answered<T>, EtcdError>
    where
        F: Future<Output = Result<T, EtcdError>>,
    {
        let mut last = None;
        let answered = async {
            let _permit = self.permits.acquire().await;
            let (mut is_outcome_unknown, mut is_token_renewed) = (false, false);
            for tried in 0.. {
                let member = self.members.pick(tried % self.members.len(), self.clock.now());
                let error = match self.attempt(member, path, &ask).await {
                    Ok(answer) => {
                        self.members.succeeded(member);
                        return Ok(Answered { answer, is_outcome_unknown });
                    }
                    Err(error) => error,
                };
                if error.is(EtcdErrorKind::TokenRejected) && !is_token_renewed {
                    is_token_renewed = true;
                    continue;
                }
                if !error.is_transient() {
                    return Err(error);
                }
                is_outcome_unknown |= error.may_have_taken_effect();
                if member.failed(self.clock.now()) {
                    let endpoint = member.endpoint();
                    tracing::warn!(endpoint, %error, "a member of etcd does not answer");
                }
                last = Some(error);
                if (tried + 1) % self.members.len() == 0 {
                    sleep(RETRY_PAUSE.mul_f64(rand::random_range(0.5..1.5))).await;
                }
            }
            Err(EtcdError::timed_out())
        };
        let answered = timeout(self.timeout, answered).await;
        answered.unwrap_or_else(|_| {
            let error = EtcdError::timed_out();
            Err(match last {
                Some(last) => error.with_source(last),
                None => error,
            })
        })
    }

    async fn attempt<T, F>(
        &self,
        member: &Member,
        path: &str,
        ask: impl Fn(Uri, Option<HeaderValue>) -> F,
    ) -> Result<T, EtcdError>
    where
        F: Future<Output = Result<T, EtcdError>>,
    {
        let asked = async {
            let uri = member.uri(path)?;
            let Some(login) = &self.login else { return ask(uri, None).await };
            let token = login.token(&self.http, member).await?;
            let answer = ask(uri, Some(token.clone())).await;
            if answer.as_ref().is_err_and(|error| error.is(EtcdErrorKind::TokenRejected)) {
                login.forget(&token).await;
            }
            answer
        };
        // A member that hangs must leave time for another one.
        let attempt_timeout = match self.members.len() {
            1 => self.timeout,
            _ => self.timeout / 3,
        };
        timeout(attempt_timeout, asked).await.unwrap_or_else(|_| Err(EtcdError::timed_out()))
    }
}

/// A user and password, and the last token that etcd issued for them.
pub(super) struct Login {
    name: String,
    password: SecretText,
    token: Mutex<Option<HeaderValue>>,
}

impl Login {
    pub(super) fn new(name: String, password: SecretText) -> Self {
        Self { name, password, token: Mutex::default() }
    }

    /// Returns the stored token. Without one, requests a token from this member.
    async fn token(&self, http: &Http, member: &Member) -> Result<HeaderValue, EtcdError> {
        // Locked during the request, so that concurrent callers share one login.
        let mut token = self.token.lock().await;
        if let Some(token) = &*token {
            return Ok(token.clone());
        }
        let login = Authenticate { name: &self.name, password: self.password.expose() };
        let uri = member.uri("/v3/auth/authenticate")?;
        let answer = http.call(uri, None, encode(&login)).await.map_err(|error| {
            if error.is_transient() {
                return error;
            }
            let message = "etcd rejects the user and password";
            EtcdError::new(EtcdErrorKind::LoginRejected, message).with_source(error)
        })?;
        let Authenticated { token: text } = serde_json::from_slice(&answer)
            .map_err(|_| EtcdError::unexpected("etcd's answer to the login has no token"))?;
        let mut new = HeaderValue::try_from(text)
            .map_err(|_| EtcdError::unexpected("etcd's token is not a valid header value"))?;
        new.set_sensitive(true);
        *token = Some(new.clone());
        Ok(new)
    }

    /// Forgets a rejected token, unless it was replaced meanwhile.
    async fn forget(&self, rejected: &HeaderValue) {
        let mut token = self.token.lock().await;
        if token.as_ref() == Some(rejected) {
            *token = None;
        }
    }
}

fn encode(request: &impl Serialize) -> Bytes {
    serde_json::to_vec(request).expect("structs with text keys always serialize").into()
}
