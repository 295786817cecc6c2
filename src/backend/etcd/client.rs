//! Calls to a cluster: which member, how often, how long, with which token.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Uri};
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::clock::Clock;

use super::error::{Trouble, TroubleKind};
use super::http::Http;
use super::login::Login;
use super::members::{Member, Members};
use super::wire::{Base64, Range, RangeAnswer, Status, Txn, TxnAnswer, Watch, WatchCreate};

/// How many calls may be under way; more wait, within their own time.
const AT_ONCE: usize = 256;

/// The pause before all members are asked once more.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls to one cluster.
pub(super) struct Client {
    http: Http,
    members: Members,
    login: Option<Login>,
    clock: Arc<dyn Clock>,
    permits: Semaphore,
    /// The time of a call, with all its attempts.
    timeout: Duration,
}

/// An answer, and what is to be known about how it came.
pub(super) struct Answered<T> {
    pub(super) answer: T,
    /// Whether an earlier attempt at the same may have been done too.
    pub(super) is_doubtful: bool,
}

impl Client {
    pub(super) fn new(
        http: Http,
        endpoints: Vec<String>,
        login: Option<Login>,
        clock: Arc<dyn Clock>,
        timeout: Duration,
    ) -> Self {
        let (members, permits) = (Members::new(endpoints), Semaphore::new(AT_ONCE));
        Self { http, members, login, clock, permits, timeout }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The time of a call.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) async fn range(&self, range: &Range) -> Result<RangeAnswer, Trouble> {
        Ok(self.call("/v3/kv/range", range).await?.answer)
    }

    /// Sends a transaction until a member answers. Whether one that writes was done by an
    /// attempt before the last is for the caller to find out; it can be sent twice if at
    /// most one of two can find what it requires.
    pub(super) async fn txn(&self, txn: &Txn) -> Result<Answered<TxnAnswer>, Trouble> {
        self.call("/v3/kv/txn", txn).await
    }

    /// Reads that all see the same state.
    pub(super) async fn read(
        &self,
        ranges: impl IntoIterator<Item = Range>,
    ) -> Result<TxnAnswer, Trouble> {
        Ok(self.txn(&Txn::reading(ranges)).await?.answer)
    }

    /// The state of some member.
    pub(super) async fn status(&self) -> Result<Status, Trouble> {
        Ok(self.call("/v3/maintenance/status", &serde_json::json!({})).await?.answer)
    }

    /// Starts to watch a key, from this revision on.
    pub(super) async fn watch(&self, key: Vec<u8>, revision: i64) -> Result<Incoming, Trouble> {
        let key = Base64(key);
        let create_request = WatchCreate { key, start_revision: revision };
        let body = encoded(&Watch { create_request });
        let http = &self.http;
        let opened = self.attempts("/v3/watch", |uri, token| {
            let body = body.clone();
            async move { http.open(uri, token, body).await }
        });
        Ok(opened.await?.answer.into_body())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<Answered<T>, Trouble> {
        let body = encoded(question);
        let http = &self.http;
        let called = self.attempts(path, |uri, token| {
            let body = body.clone();
            async move { http.call(uri, token, body).await }
        });
        let Answered { answer, is_doubtful } = called.await?;
        let answer = serde_json::from_slice(&answer)
            .map_err(|_| Trouble::unexpected("etcd's answer is not the JSON that was asked for"))?;
        Ok(Answered { answer, is_doubtful })
    }

    /// Asks members until one answers, or the time is over.
    async fn attempts<T, F>(
        &self,
        path: &str,
        ask: impl Fn(Uri, Option<HeaderValue>) -> F,
    ) -> Result<Answered<T>, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut last = None;
        let answered = async {
            let _permit = self.permits.acquire().await;
            let (mut is_doubtful, mut is_renewed) = (false, false);
            for tried in 0.. {
                let member = self.members.pick(tried % self.members.len(), self.clock.now());
                let trouble = match self.attempt(member, path, &ask).await {
                    Ok(answer) => {
                        self.members.succeeded(member);
                        return Ok(Answered { answer, is_doubtful });
                    }
                    Err(trouble) => trouble,
                };
                if trouble.is(TroubleKind::TokenRefused) && !is_renewed {
                    is_renewed = true;
                    continue;
                }
                if !trouble.is_passing() {
                    return Err(trouble);
                }
                is_doubtful |= trouble.may_have_happened();
                if member.failed(self.clock.now()) {
                    let endpoint = member.endpoint();
                    tracing::warn!(endpoint, %trouble, "a member of etcd gave no answer");
                }
                last = Some(trouble);
                if (tried + 1) % self.members.len() == 0 {
                    sleep(PAUSE.mul_f64(rand::random_range(0.5..1.5))).await;
                }
            }
            Err(Trouble::timed_out())
        };
        let answered = timeout(self.timeout, answered).await;
        answered.unwrap_or_else(|_| {
            let trouble = Trouble::timed_out();
            Err(match last {
                Some(last) => trouble.with_source(last),
                None => trouble,
            })
        })
    }

    async fn attempt<T, F>(
        &self,
        member: &Member,
        path: &str,
        ask: impl Fn(Uri, Option<HeaderValue>) -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let asked = async {
            let uri = member.uri(path)?;
            let Some(login) = &self.login else { return ask(uri, None).await };
            let token = login.token(&self.http, member).await?;
            let answer = ask(uri, Some(token.clone())).await;
            if answer.as_ref().is_err_and(|trouble| trouble.is(TroubleKind::TokenRefused)) {
                login.forget(&token).await;
            }
            answer
        };
        // A member that hangs must leave time for another.
        let patience = match self.members.len() {
            1 => self.timeout,
            _ => self.timeout / 3,
        };
        timeout(patience, asked).await.unwrap_or_else(|_| Err(Trouble::timed_out()))
    }
}

pub(super) fn encoded(question: &impl Serialize) -> Bytes {
    serde_json::to_vec(question).expect("values with text for keys always serialise").into()
}
