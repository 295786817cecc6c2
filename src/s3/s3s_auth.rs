//! [`S3sAuth`]: the same keys for stores that are built on the crate `s3s`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    auth::{S3Auth, SecretKey},
};

use super::{
    rules::{KeyRules, MAX_SKEW},
    s3s_access::S3sAccess,
    s3s_session,
    verification::Verification,
};
use crate::{
    backend::{KeySource, look_up},
    clock::{Clock, SystemClock},
    directory::{self, Directory},
    domain::Credential,
    session::{Session, SessionRefusal},
};

/// Gives an `s3s` service the secrets of the keys that may sign, by the rules of
/// [`S3AuthLayer`](super::S3AuthLayer).
///
/// `s3s` verifies signatures itself: it is given the secret, and derives the signing key
/// for each request. It does not report whether the signature is valid, so no use of a key
/// is recorded here.
///
/// Every setting replaces an earlier value.
///
/// **Put [`S3sGuardLayer`](super::S3sGuardLayer) in front of the service.** This type decides
/// which keys may sign. `s3s` decides which signatures it accepts, and it accepts more than
/// `S3AuthLayer`: version 2 of any age, URLs of any lifetime. Sessions need the guard: `s3s` does
/// not give their tokens to this type.
///
/// ```
/// use s3s::{S3, service::{S3Service, S3ServiceBuilder}};
/// use tower::Layer;
/// use tower_credentials::{
///     backend::{cached::Cached, memory::MemoryBackend},
///     directory::Directory,
///     s3::{S3sAuth, S3sGuardLayer, S3sGuardService},
/// };
///
/// fn serve(
///     store: impl S3,
///     keys: Cached<MemoryBackend>,
///     directory: impl Directory,
/// ) -> S3sGuardService<S3Service> {
///     let mut builder = S3ServiceBuilder::new(store);
///     let (auth, access) = S3sAuth::new(keys).directory(directory).with_boundaries();
///     builder.set_auth(auth);
///     builder.set_access(access);
///     S3sGuardLayer::new().layer(builder.build())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct S3sAuth {
    keys: Arc<dyn KeySource>,
    rules: KeyRules,
    clock: Arc<dyn Clock>,
    accept_bounded: bool,
    max_skew: Duration,
}

impl S3sAuth {
    /// Accepts these keys, except those that are bound to a delegation. Without a
    /// [directory](Self::directory), the owners of the keys are not checked.
    #[must_use]
    pub fn new(keys: impl KeySource) -> Self {
        Self {
            keys: Arc::new(keys),
            rules: KeyRules::default(),
            clock: Arc::new(SystemClock),
            accept_bounded: false,
            max_skew: MAX_SKEW,
        }
    }

    /// Sets whether keys that are bound to a delegation may sign, as
    /// [`S3AuthLayerBuilder::accept_delegated`](super::S3AuthLayerBuilder::accept_delegated)
    /// does.
    #[must_use]
    pub fn accept_delegated(mut self, accept: bool) -> Self {
        self.rules.accept_delegated = accept;
        self
    }

    /// Sets the directory that knows users, projects and memberships, as
    /// [`S3AuthLayerBuilder::directory`](super::S3AuthLayerBuilder::directory) does.
    #[must_use]
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.rules.owners = self.rules.owners.with_directory(directory::unless_open(directory));
        self
    }

    /// Sets how long the directory's last answer counts during an outage of the directory, as
    /// [`S3AuthLayerBuilder::directory_grace`](super::S3AuthLayerBuilder::directory_grace)
    /// does.
    #[must_use]
    pub fn directory_grace(mut self, grace: Duration) -> Self {
        self.rules.owners = self.rules.owners.with_grace(grace);
        self
    }

    /// Sets how far ahead of the clock a session may have been issued. Default: 15 minutes. Give the
    /// guard the same value.
    #[must_use]
    pub fn max_skew(mut self, skew: Duration) -> Self {
        self.max_skew = skew;
        self
    }

    /// Sets the clock. Default: [`SystemClock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl S3sAuth {
    /// Also accepts keys with a boundary, which the returned [`S3sAccess`] enforces: give both to
    /// the service. Without it such keys are refused. Call it after the other setters.
    #[must_use]
    pub fn with_boundaries(mut self) -> (Self, S3sAccess) {
        self.accept_bounded = true;
        let access = S3sAccess::new(Arc::clone(&self.keys), Arc::clone(&self.clock));
        (self, access)
    }

    /// Notes that `s3s` gets the secret of a key. Only `S3sAccess` notes whether the signature is
    /// valid: without it, that remains unknown.
    fn note_given(&self, credential: &Arc<Credential>) {
        if self.accept_bounded {
            s3s_session::note(|| Verification::SecretGiven(Arc::clone(credential)));
        }
    }
}

#[async_trait]
impl S3Auth for S3sAuth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let now = self.clock.now();
        let session = s3s_session::presented(access_key);
        let looked_up = session.as_ref().map_or(access_key, |it| it.session().parent().as_str());
        let found = look_up(&*self.keys, looked_up, now).await.map_err(|error| {
            tracing::error!(%error, "key lookup failed");
            S3Error::from(S3ErrorCode::ServiceUnavailable)
        })?;
        s3s_session::note(|| match found {
            Some(_) => Verification::MayNotSign,
            None => Verification::UnknownKey(looked_up.into()),
        });
        let usable = found.filter(|found| self.rules.may_sign(found, now));
        let is_bounded = |found: &Arc<Credential>| {
            let session = session.as_ref().map(|it| &**it.session());
            found.terms.boundary().is_some() || session.is_some_and(Session::has_policies)
        };
        let usable = usable.filter(|found| self.accept_bounded || !is_bounded(found));
        let Some(credential) = usable else { return Err(S3ErrorCode::InvalidAccessKeyId.into()) };
        let owner = self.rules.owner_of(&credential);
        let checked = self.rules.owner_may_use(&credential, owner.as_deref(), now).await;
        let may_use = checked.map_err(|error| {
            tracing::error!(%error, "directory lookup failed");
            S3Error::from(S3ErrorCode::ServiceUnavailable)
        })?;
        // As in S3, a disabled key looks like one that does not exist.
        let secret = credential.secret_key().filter(|_| may_use);
        let secret = secret.ok_or_else(|| S3Error::from(S3ErrorCode::InvalidAccessKeyId))?;
        let Some(presented) = session else {
            self.note_given(&credential);
            return Ok(secret.expose().into());
        };
        let (secret, is_genuine) = presented.open(secret);
        if !is_genuine {
            s3s_session::note(|| Verification::ForgedToken(Arc::clone(&credential)));
            return Err(S3ErrorCode::InvalidToken.into());
        }
        match presented.session().check(&credential, now, self.max_skew) {
            Ok(()) => {
                self.note_given(&credential);
                Ok(secret.expose().into())
            }
            Err(SessionRefusal::Ended) => Err(S3ErrorCode::ExpiredToken.into()),
            Err(SessionRefusal::BreaksRule) => Err(S3ErrorCode::InvalidToken.into()),
        }
    }
}
