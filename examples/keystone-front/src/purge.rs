//! Users and projects that are deleted through the front take their keys with them.
//!
//! Keystone's answer is held back until the keys are gone, so that none works once the
//! client knows that the user is deleted. If the store fails, the answer is passed on
//! all the same, for Keystone has done what it says, and the keys are tried again in
//! the background. For as long as the front believes what it has heard of tokens and
//! users, new keys can be made for the owner; those are purged once that time is over.
//! A deletion that fails may have been made all the same; see [`Doubts`].
//! What is deleted in Keystone itself, or with a whole domain, is not seen here; keys
//! of users whom Keystone no longer knows do not verify.

use std::{
    borrow::Cow,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use tokio::time::sleep;
use tower::Service;
use tower_credentials::{
    backend::{BackendError, CredentialBackend},
    domain::{ProjectId, UserId},
};

use crate::{
    answers::{Body, try_again},
    doubts::Doubts,
};

/// How long to wait before each further attempt; after the last there is none.
const WAITS: [u64; 10] = [1, 2, 4, 8, 16, 32, 60, 120, 240, 480];

/// How long a key takes to be made, at most, once its maker has been checked.
const MARGIN: Duration = Duration::from_secs(1);

/// A service whose confirmed deletions of users and projects purge their keys.
#[derive(Clone, Debug)]
pub struct Purging<S> {
    inner: S,
    purger: Purger,
    doubts: Doubts,
    /// What Keystone's paths start with, before `v3`.
    base: Arc<str>,
}

/// Purges, and does not give up at once. A clone is another handle to the same.
#[derive(Clone, Debug)]
pub struct Purger {
    backend: Arc<dyn CredentialBackend>,
    /// How long after a deletion a key can still be made for its owner.
    aftermath: Duration,
}

/// Which of the purges of an owner it is.
#[derive(Clone, Copy, Debug)]
enum Round {
    First,
    /// Of what was made in the meantime.
    Second,
}

/// Whose keys to purge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    Project(ProjectId),
    User(UserId),
}

/// For log lines: ids are quoted, since clients choose them.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(id) => write!(f, "project {:?}", id.as_str()),
            Self::User(id) => write!(f, "user {:?}", id.as_str()),
        }
    }
}

impl<S> Purging<S> {
    pub fn new(inner: S, purger: Purger, doubts: Doubts, base: &str) -> Self {
        Self { inner, purger, doubts, base: base.into() }
    }
}

impl<S, B> Service<Request<B>> for Purging<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let owner = owner(request.method(), request.uri().path(), &self.base);
        let answer = self.inner.call(request);
        let Some(owner) = owner else { return Box::pin(answer) };
        let (purger, doubts) = (self.purger.clone(), self.doubts.clone());
        // A task of its own: it goes on when the client hangs up.
        let whole = tokio::spawn(async move {
            let Ok(answer) = answer.await;
            if answer.status() == StatusCode::NO_CONTENT {
                purger.purge(owner).await;
            } else if Doubts::open(answer.status()) {
                doubts.ask(owner);
            }
            answer
        });
        Box::pin(async move {
            Ok(whole.await.unwrap_or_else(|_| {
                try_again(StatusCode::SERVICE_UNAVAILABLE, "The front is shutting down.")
            }))
        })
    }
}

impl Purger {
    /// What Keystone says counts for `cached_for`.
    pub fn new(backend: Arc<dyn CredentialBackend>, cached_for: Duration) -> Self {
        Self { backend, aftermath: cached_for + MARGIN }
    }

    /// Purges now, or if that fails in the background; and once more when no key can be
    /// made any longer.
    pub async fn purge(self, owner: Owner) {
        let first = self.attempt(&owner, Round::First).await;
        tokio::spawn(async move {
            if !first && !self.insist(&owner, Round::First).await {
                return;
            }
            sleep(self.aftermath).await;
            if !self.attempt(&owner, Round::Second).await {
                self.insist(&owner, Round::Second).await;
            }
        });
    }

    /// Tries again, until it is done or given up.
    async fn insist(&self, owner: &Owner, round: Round) -> bool {
        for seconds in WAITS {
            sleep(Duration::from_secs(seconds)).await;
            if self.attempt(owner, round).await {
                return true;
            }
        }
        tracing::error!(%owner, "keys of a deleted owner stay in the store: given up");
        false
    }

    /// Whether it is done.
    async fn attempt(&self, owner: &Owner, round: Round) -> bool {
        let purged = match owner {
            Owner::Project(id) => self.backend.purge_project(id).await,
            Owner::User(id) => self.backend.purge_user(id).await,
        };
        match (purged, round) {
            (Ok(purged), Round::First) => {
                tracing::info!(%owner, purged, "keys purged with their owner");
            }
            (Ok(0), Round::Second) => tracing::debug!(%owner, "no keys were made since"),
            (Ok(purged), Round::Second) => {
                tracing::warn!(%owner, purged, "keys purged that were made after their owner");
            }
            (Err(error), _) => {
                let cause = cause(&error);
                tracing::error!(%error, cause, %owner, "keys not purged, trying again");
                return false;
            }
        }
        true
    }
}

fn cause(error: &BackendError) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

/// Whom a request is to delete.
fn owner(method: &Method, path: &str, base: &str) -> Option<Owner> {
    if method != Method::DELETE {
        return None;
    }
    let path = path.strip_prefix(base)?.strip_prefix('/')?;
    // Keystone drops a slash at the end, and decodes once.
    let mut segments = path.trim_end_matches('/').split('/').map(|segment| {
        let decoded = percent_decode_str(segment).decode_utf8();
        decoded.map(Cow::into_owned)
    });
    let mut next = || segments.next()?.ok();
    let (version, kind, id) = (next()?, next()?, next()?);
    if version != "v3" || segments.next().is_some() {
        return None;
    }
    match &*kind {
        "projects" => Some(Owner::Project(ProjectId::new(id).ok()?)),
        "users" => Some(Owner::User(UserId::new(id).ok()?)),
        _ => None,
    }
}
