//! [`S3sAccess`]: the boundaries of keys, for stores that are built on the crate `s3s`.

use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use http::Extensions;
use quick_cache::sync::Cache;
use s3s::{
    S3Error, S3ErrorCode, S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    dto::{DeleteObjectsInput, ObjectIdentifier},
    path::S3Path,
};
use tokio::task::yield_now;

use super::{
    buffers::Buffers,
    enforcement::{ACCOUNT, Boundaries, Enforcement, KEYS_AT_ONCE, Limit, Reading, facts},
    key::{Signed, VerifiedKey},
    s3s_session,
    verification::Verification,
};
use crate::{
    backend::{KeySource, look_up},
    clock::Clock,
    domain::{Credential, CredentialId, Version},
    operation::{S3Operation, S3OperationRules},
    session::Session,
    signature::{
        form::{PostForm, SignedForm},
        request::{RequestHead, SignedRequest},
    },
};

/// The name of the upload of a form.
const POST_OBJECT: &str = "PostObject";

/// The number of cached boundaries.
const BOUNDARIES: usize = 10_000;

/// Refuses requests outside the boundary of their key, for an `s3s` service.
///
/// [`S3sAuth::with_boundaries`](super::S3sAuth::with_boundaries) creates it. Set it with
/// `S3ServiceBuilder::set_access`. A request of a key with a boundary then has a
/// [`S3Operation`] among its extensions.
///
/// An `S3Access` of your own must call [`check`](S3Access::check) and
/// [`delete_objects`](S3Access::delete_objects) of this one: without the latter, the keys in the
/// body of `DeleteObjects` are not checked.
#[derive(Clone)]
pub struct S3sAccess {
    keys: Arc<dyn KeySource>,
    clock: Arc<dyn Clock>,
    enforcement: Arc<Enforcement>,
    limits: Arc<Cache<(CredentialId, Version), Limit>>,
}

/// What `delete_objects` must check.
#[derive(Clone)]
struct Deletion {
    key: VerifiedKey,
    boundaries: Boundaries,
    operation: Arc<S3Operation<'static>>,
}

impl S3sAccess {
    pub(super) fn new(keys: Arc<dyn KeySource>, clock: Arc<dyn Clock>) -> Self {
        let operations = S3OperationRules::new();
        Self {
            keys,
            clock,
            enforcement: enforcement(operations, ACCOUNT.into()),
            limits: Arc::new(Cache::new(BOUNDARIES)),
        }
    }

    /// Sets how the store reads requests, with the base domains of its host parser. Default:
    /// [`S3OperationRules::new`].
    #[must_use]
    pub fn operations(mut self, operations: S3OperationRules) -> Self {
        self.enforcement = enforcement(operations, self.enforcement.account_id.clone());
        self
    }

    /// Sets the account in the ARNs that boundaries compare: that of
    /// [`AwsWires::account_id`](crate::aws::AwsWires::account_id). Default: `000000000000`.
    #[must_use]
    pub fn account_id(mut self, id: impl Into<String>) -> Self {
        self.enforcement = enforcement(self.enforcement.operations.clone(), id.into());
        self
    }

    /// Returns the record of the key with which a request is signed that `s3s` serves now. For a
    /// session, which has no record, it is that of its parent.
    ///
    /// # Errors
    ///
    /// `AccessDenied` if the key does not exist, `ServiceUnavailable` if the lookup fails.
    pub async fn signer(&self, access_key: &str) -> S3Result<Arc<Credential>> {
        Ok(self.signer_of(access_key, self.clock.now()).await?.0)
    }

    /// The same, with the session.
    async fn signer_of(
        &self,
        access_key: &str,
        now: SystemTime,
    ) -> S3Result<(Arc<Credential>, Option<Arc<Session>>)> {
        // `s3s` has verified the signature, and `S3sAuth` the token.
        s3s_session::note(|| Verification::Valid);
        let session = s3s_session::presented(access_key).map(|it| Arc::clone(it.session()));
        let looked_up = session.as_ref().map_or(access_key, |it| it.parent().as_str());
        // A cache hit: the signature was just verified with this key.
        let found = look_up(&*self.keys, looked_up, now).await.map_err(|error| {
            tracing::error!(%error, "key lookup failed");
            S3Error::from(S3ErrorCode::ServiceUnavailable)
        })?;
        Ok((found.ok_or_else(denied)?, session))
    }

    /// Returns the compiled boundary of a record.
    fn limit(&self, credential: &Credential) -> Limit {
        if credential.terms.boundary().is_none() {
            return Limit::None;
        }
        let version = (credential.id.clone(), credential.version);
        if let Some(limit) = self.limits.get(&version) {
            return limit;
        }
        let limit = Limit::of(credential);
        self.limits.insert(version, limit.clone());
        limit
    }

    /// Checks a form, whose fields the guard has read.
    fn check_form(
        &self,
        head: RequestHead<'_>,
        extensions: &Extensions,
        (credential, session): (Arc<Credential>, Option<Arc<Session>>),
        boundaries: &Boundaries,
        now: SystemTime,
    ) -> S3Result<Box<S3Operation<'static>>> {
        // Without the guard nobody has read the form as `s3s` does.
        let form: &PostForm = extensions.get().ok_or_else(denied)?;
        let signed = SignedForm::find(form).ok().flatten().ok_or_else(denied)?;
        let key = VerifiedKey::new(credential, session, Signed::of_form(&signed, form));
        let key = (&key, boundaries);
        self.enforcement.check_form(head, extensions, key, form, now).map_err(|_| denied())
    }
}

#[async_trait]
impl S3Access for S3sAccess {
    /// Refuses a request without a signature, and a request outside the boundary of its key.
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let access_key = context.credentials().ok_or_else(denied)?.access_key.clone();
        let now = self.clock.now();
        let (credential, session) = self.signer_of(&access_key, now).await?;
        let limit = match &session {
            Some(session) => Limit::of_session(&credential, session).map_err(|_| denied())?,
            None => self.limit(&credential),
        };
        let Some(boundaries) = limit.boundaries().map_err(|_| denied())?.cloned() else {
            return Ok(());
        };
        let name = context.s3_op().name().to_owned();
        let (bucket, object) = match context.s3_path() {
            S3Path::Root => (None, None),
            S3Path::Bucket { bucket } => (Some(bucket.clone()), None),
            S3Path::Object { bucket, key } => (Some(bucket.clone()), Some(key.clone())),
        };
        // The context gives access to its parts one at a time.
        let (method, uri) = (context.method().clone(), context.uri().clone());
        let headers = context.headers().clone();
        let head = RequestHead::new(&method, &uri, &headers);
        let extensions = context.extensions_mut();
        let operation = if name == POST_OBJECT {
            self.check_form(head, extensions, (credential, session), &boundaries, now)?
        } else {
            let signed = SignedRequest::parse(head).ok().flatten().ok_or_else(denied)?;
            let key = VerifiedKey::new(credential, session, Signed::of_request(&signed, None));
            let reading = self.enforcement.check(head, extensions, (&key, &boundaries), now);
            match reading.map_err(|_| denied())? {
                Reading::Allowed(operation) => operation,
                Reading::Body(boundaries, operation) => {
                    let pending = Arc::new((*operation).clone());
                    extensions.insert(Deletion { key, boundaries, operation: pending });
                    operation
                }
            }
        };
        // `s3s` must read the request alike.
        // A form names its key in a field.
        let is_same_target = operation.bucket() == bucket.as_deref()
            && (operation.key() == object.as_deref() || name == POST_OBJECT);
        if operation.name().name() != name || !is_same_target {
            let operation = operation.name().name();
            tracing::warn!(
                access_key,
                operation,
                name,
                "request refused: s3s reads it differently"
            );
            return Err(denied());
        }
        extensions.insert(*operation);
        Ok(())
    }

    /// Refuses a deletion with a key outside the boundary.
    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        let Some(deletion) = request.extensions.get::<Deletion>().cloned() else { return Ok(()) };
        let Deletion { key, boundaries, operation } = &deletion;
        // The body may have taken a while to arrive.
        let now = self.clock.now();
        if key.credential().is_expired(now) {
            return Err(S3ErrorCode::InvalidAccessKeyId.into());
        }
        if key.session().is_some_and(|session| session.expires_at() <= now) {
            return Err(S3ErrorCode::ExpiredToken.into());
        }
        let facts = facts(operation, &request.headers, &request.extensions, key, now);
        let facts = facts.account_id(&self.enforcement.account_id);
        let is_allowed = |object: &ObjectIdentifier| {
            let (version, has_etag) = (object.version_id.as_deref(), object.e_tag.is_some());
            self.enforcement.operations.is_key(&object.key)
                && boundaries.allow_deletion(&facts, &object.key, version, has_etag)
        };
        for objects in request.input.delete.objects.chunks(KEYS_AT_ONCE) {
            if !objects.iter().all(is_allowed) {
                return Err(denied());
            }
            yield_now().await;
        }
        Ok(())
    }
}

impl fmt::Debug for S3sAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3sAccess").field("keys", &self.keys).finish_non_exhaustive()
    }
}

fn enforcement(operations: S3OperationRules, account_id: String) -> Arc<Enforcement> {
    Arc::new(Enforcement { account_id, operations, buffers: Buffers::new(0) })
}

fn denied() -> S3Error {
    S3Error::with_message(S3ErrorCode::AccessDenied, "Access Denied")
}
