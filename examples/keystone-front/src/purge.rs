//! Purges the keys of users and projects that are deleted through the front.
//!
//! The front delays Keystone's response until the keys are purged. So no key works after the client
//! knows that the user is deleted. If the store fails, the front passes on the response, because
//! Keystone deleted the owner, and retries in the background.
//!
//! Until its cache entries for tokens and users expire, the front can still create keys for the
//! owner. A second purge after that time deletes them. A failed deletion may have succeeded in
//! Keystone; see [`IndeterminateDeletions`].
//!
//! The front does not see deletions in Keystone itself, nor those of a whole domain. Keys of users
//! who do not exist are not valid.
//!
//! Each purge that deletes keys has an audit event, which no intent precedes: the keys must not
//! remain because the disk of the audit file is full. If an attempt failed, it may have deleted keys
//! too. The event of the next one then has no count.

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

use http::{Extensions, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tower::Service;
use tower_credentials::{
    audit::{Actor, AuditAction, AuditEvent, AuditOutcome, AuditSink, AuditTarget},
    backend::{BackendError, CredentialBackend},
    clock::{Clock, SystemClock},
    domain::{Caller, ProjectId, Scope, UserId},
};

use crate::{
    indeterminate::IndeterminateDeletions,
    responses::{Body, retry_later},
};

/// The pause before each retry, in seconds.
const PAUSES: [u64; 10] = [1, 2, 4, 8, 16, 32, 60, 120, 240, 480];

/// The longest time between the check of a caller and the insert of its key.
const MARGIN: Duration = Duration::from_secs(1);

/// The user in the audit events of purges.
const ACTOR: &str = "keystone-front";

/// A service that purges the keys of deleted users and projects.
#[derive(Clone, Debug)]
pub struct Purging<S> {
    inner: S,
    purger: Purger,
    indeterminate: IndeterminateDeletions,
    /// The prefix of Keystone's paths, before `/v3`.
    base: Arc<str>,
}

/// Purges keys, with retries in the background.
#[derive(Clone, Debug)]
pub struct Purger {
    backend: Arc<dyn CredentialBackend>,
    audit: Arc<dyn AuditSink>,
    /// The attempts that are running, also those that wait for Keystone.
    running: TaskTracker,
    /// How long after a deletion keys can still be created for the owner.
    second_purge_after: Duration,
}

/// The two purges of an owner.
#[derive(Clone, Copy, Debug)]
enum Round {
    First,
    /// Of the keys that were created after the deletion.
    Second,
}

/// A deletion in Keystone.
#[derive(Clone, Debug)]
pub struct Deletion {
    owner: Owner,
    /// The front, on behalf of the request that deletes the owner, if that is known.
    actor: Arc<Actor>,
}

/// The owner of keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    Project(ProjectId),
    User(UserId),
}

/// For log lines. Quotes ids, because clients choose them.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(id) => write!(f, "project {:?}", id.as_str()),
            Self::User(id) => write!(f, "user {:?}", id.as_str()),
        }
    }
}

impl<S> Purging<S> {
    pub fn new(
        inner: S,
        purger: Purger,
        indeterminate: IndeterminateDeletions,
        base: &str,
    ) -> Self {
        Self { inner, purger, indeterminate, base: base.into() }
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
        let owner = owner_to_delete(request.method(), request.uri().path(), &self.base);
        let deletion = owner.map(|owner| Deletion::new(owner, request.extensions()));
        let response = self.inner.call(request);
        let Some(deletion) = deletion else { return Box::pin(response) };
        let (purger, indeterminate) = (self.purger.clone(), self.indeterminate.clone());
        // A task continues if the client disconnects.
        let deleting = self.purger.running.spawn(async move {
            let Ok(response) = response.await;
            if response.status() == StatusCode::NO_CONTENT {
                purger.purge(deletion).await;
            } else if IndeterminateDeletions::is_indeterminate(response.status()) {
                indeterminate.check(deletion.owner);
            }
            response
        });
        Box::pin(async move {
            Ok(deleting.await.unwrap_or_else(|_| {
                retry_later(StatusCode::SERVICE_UNAVAILABLE, "The front is shutting down.")
            }))
        })
    }
}

impl Purger {
    /// `cache_ttl` is how long the front caches what Keystone returns about tokens and users.
    pub fn new(
        backend: Arc<dyn CredentialBackend>,
        audit: Arc<dyn AuditSink>,
        cache_ttl: Duration,
    ) -> Self {
        let running = TaskTracker::new();
        Self { backend, audit, running, second_purge_after: cache_ttl + MARGIN }
    }

    /// Purges at once, or in the background if that fails. Purges again when no more keys can be
    /// created.
    pub async fn purge(self, deletion: Deletion) {
        let first = self.attempt(&deletion, Round::First, false).await;
        tokio::spawn(async move {
            if !first && !self.retry(&deletion, Round::First).await {
                return;
            }
            sleep(self.second_purge_after).await;
            if !self.attempt(&deletion, Round::Second, false).await {
                self.retry(&deletion, Round::Second).await;
            }
        });
    }

    /// Waits until no attempt is running. Does not wait for retries that begin later.
    pub async fn settled(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// Retries; returns whether the purge succeeded.
    async fn retry(&self, deletion: &Deletion, round: Round) -> bool {
        for seconds in PAUSES {
            sleep(Duration::from_secs(seconds)).await;
            if self.attempt(deletion, round, true).await {
                return true;
            }
        }
        self.audit.record(deletion.event());
        tracing::error!(owner = %deletion.owner, "stopped retrying: keys of a deleted owner remain in the store");
        false
    }

    /// Purges once, perhaps after an attempt that failed; returns whether it succeeded.
    async fn attempt(&self, deletion: &Deletion, round: Round, is_retry: bool) -> bool {
        let _running = self.running.token();
        let owner = &deletion.owner;
        let purged = match owner {
            Owner::Project(id) => self.backend.purge_project(id).await,
            Owner::User(id) => self.backend.purge_user(id).await,
        };
        if let Ok(count) = purged
            && (count > 0 || is_retry)
        {
            let mut event = deletion.event().ended(AuditOutcome::Done);
            event.count = (!is_retry).then_some(count);
            self.audit.record(event);
        }
        match (purged, round) {
            (Ok(purged), Round::First) => {
                tracing::info!(%owner, purged, "purged the keys of a deleted owner");
            }
            (Ok(0), Round::Second) => {
                tracing::debug!(%owner, "no keys were created after the deletion");
            }
            (Ok(purged), Round::Second) => {
                tracing::warn!(%owner, purged, "purged keys that were created after the deletion");
            }
            (Err(error), _) => {
                let cause = cause(&error);
                tracing::error!(%error, cause, %owner, "cannot purge keys, retrying");
                return false;
            }
        }
        true
    }
}

impl Deletion {
    /// A deletion by a request with these extensions.
    fn new(owner: Owner, extensions: &Extensions) -> Self {
        let front = Caller::new(UserId::from_stored(ACTOR), Scope::System);
        Self { owner, actor: Arc::new(Actor::of(front.into(), extensions)) }
    }

    /// A deletion that the front finds by itself: any of several requests may have made it.
    pub fn found(owner: Owner) -> Self {
        Self::new(owner, &Extensions::default())
    }

    /// The event of a purge whose outcome is unknown.
    fn event(&self) -> AuditEvent {
        let mut target = AuditTarget::default();
        match &self.owner {
            Owner::Project(id) => target.project_id = Some(id.clone()),
            Owner::User(id) => target.user_id = Some(id.clone()),
        }
        AuditEvent::new(SystemClock.now(), &self.actor, AuditAction::Purge, target)
    }
}

fn cause(error: &BackendError) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

/// The user or project that a request deletes.
fn owner_to_delete(method: &Method, path: &str, base: &str) -> Option<Owner> {
    if method != Method::DELETE {
        return None;
    }
    let path = path.strip_prefix(base)?.strip_prefix('/')?;
    // Keystone removes trailing slashes, and decodes once.
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
