//! Users and projects that are deleted through the front take their keys with them.
//!
//! Keystone's answer is held back until the keys are gone, so that none works once the
//! client knows that the user is deleted. If the store fails, the answer is passed on
//! all the same, for Keystone has done what it says, and the keys are tried again in
//! the background. What is deleted in Keystone itself, or with a whole domain, is not
//! seen here; keys of users whom Keystone no longer knows do not verify.

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

use crate::answers::{Body, try_again};

/// How long to wait before each further attempt; after the last there is none.
const WAITS: [u64; 10] = [1, 2, 4, 8, 16, 32, 60, 120, 240, 480];

/// A service whose confirmed deletions of users and projects purge their keys.
#[derive(Clone, Debug)]
pub(crate) struct Purging<S> {
    inner: S,
    backend: Arc<dyn CredentialBackend>,
    /// What Keystone's paths start with, before `v3`.
    base: Arc<str>,
}

/// Whose keys to purge.
#[derive(Clone, Debug)]
enum Owner {
    Project(ProjectId),
    User(UserId),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(id) => write!(f, "project {id}"),
            Self::User(id) => write!(f, "user {id}"),
        }
    }
}

impl<S> Purging<S> {
    pub(crate) fn new(inner: S, backend: Arc<dyn CredentialBackend>, base: &str) -> Self {
        Self { inner, backend, base: base.into() }
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
        let backend = Arc::clone(&self.backend);
        // A task of its own: it goes on when the client hangs up.
        let whole = tokio::spawn(async move {
            let Ok(answer) = answer.await;
            if answer.status() == StatusCode::NO_CONTENT {
                purge(backend, owner).await;
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

/// Purges now, or if that fails in the background.
async fn purge(backend: Arc<dyn CredentialBackend>, owner: Owner) {
    let Err(error) = attempt(&*backend, &owner).await else { return };
    tracing::error!(%error, cause = cause(&error), %owner, "keys not purged, trying again");
    tokio::spawn(async move {
        for seconds in WAITS {
            sleep(Duration::from_secs(seconds)).await;
            match attempt(&*backend, &owner).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::error!(%error, cause = cause(&error), %owner, "keys not purged");
                }
            }
        }
        tracing::error!(%owner, "keys of a deleted owner stay in the store: given up");
    });
}

async fn attempt(backend: &dyn CredentialBackend, owner: &Owner) -> Result<(), BackendError> {
    let purged = match owner {
        Owner::Project(id) => backend.purge_project(id).await?,
        Owner::User(id) => backend.purge_user(id).await?,
    };
    tracing::info!(%owner, purged, "keys purged with their owner");
    Ok(())
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
