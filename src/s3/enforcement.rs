//! Enforces the boundary of a key before the app sees a request.

use std::{sync::Arc, time::SystemTime};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, request::Parts};
use tokio::task::yield_now;

use super::{
    buffers::Buffers,
    key::{Mechanism, VerifiedKey},
    refusal::Refusal,
};
use crate::{
    boundary::{AuthType, Boundary, Reach, RequestFacts},
    domain::Credential,
    operation::{
        ObjectToDelete, OperationError, S3Action, S3Operation, S3OperationName, S3OperationRules,
        header_of_field,
    },
    origin::{ClientAddress, ClientTls},
    session::{Session, SessionRefusal},
    signature::{
        form::PostForm,
        request::{RequestHead, S3ErrorCode},
    },
};

/// The account in ARNs, unless another is set.
pub(super) const ACCOUNT: &str = "000000000000";

/// The number of keys that are checked before other requests get a turn.
pub(super) const KEYS_AT_ONCE: usize = 50;

/// What limits the requests of a key.
#[derive(Clone, Debug)]
pub(super) enum Limit {
    /// The key may do what its owner may.
    None,
    /// The key may do what all of these allow.
    Boundaries(Boundaries),
    /// The stored boundary cannot be enforced, so nothing is allowed.
    Invalid,
}

/// Boundaries that limit a key together: that of its record, and the policies of a session.
#[derive(Clone, Debug)]
pub(super) struct Boundaries(Arc<[Boundary]>);

impl Boundaries {
    fn allow(&self, facts: &RequestFacts<'_>) -> bool {
        self.0.iter().all(|boundary| boundary.allows(facts))
    }

    pub(super) fn allow_deletion(
        &self,
        facts: &RequestFacts<'_>,
        key: &str,
        version_id: Option<&str>,
        has_etag: bool,
    ) -> bool {
        self.0.iter().all(|boundary| boundary.allows_deletion(facts, key, version_id, has_etag))
    }

    fn reach(&self, actions: &[S3Action], bucket: &str) -> Reach {
        let mut reach = Reach::All;
        for boundary in &*self.0 {
            match boundary.reach(actions, bucket) {
                Reach::None => return Reach::None,
                Reach::Some => reach = Reach::Some,
                Reach::All => {}
            }
        }
        reach
    }
}

/// How to enforce boundaries.
#[derive(Debug)]
pub(super) struct Enforcement {
    /// The account in the ARNs of conditions.
    pub(super) account_id: String,
    pub(super) operations: S3OperationRules,
    pub(super) buffers: Buffers,
}

/// What a boundary says about the head of a request.
#[derive(Debug)]
pub(super) enum Reading {
    /// The request is allowed.
    Allowed(Box<S3Operation<'static>>),
    /// The keys in the body of this `DeleteObjects` must be checked.
    Body(Boundaries, Box<S3Operation<'static>>),
}

impl Limit {
    /// Compiles the boundary of a record.
    pub(super) fn of(credential: &Credential) -> Self {
        let Some(text) = credential.terms.boundary() else { return Self::None };
        match Boundary::parse(text, credential.user_id.as_str()) {
            Ok(boundary) => Self::Boundaries(Boundaries([boundary].into())),
            Err(error) => {
                let credential_id = credential.id.as_str();
                tracing::error!(%error, ?credential_id, "a stored boundary cannot be enforced");
                Self::Invalid
            }
        }
    }

    /// Compiles what limits a session of a key: the boundary of its record, and the session's own
    /// policies.
    pub(super) fn of_session(
        parent: &Credential,
        session: &Session,
    ) -> Result<Self, SessionRefusal> {
        let own = match Self::of(parent) {
            Self::None => Boundaries([].into()),
            Self::Boundaries(boundaries) => boundaries,
            Self::Invalid => return Ok(Self::Invalid),
        };
        let own = own.0.iter().cloned().map(Ok);
        let all: Result<Arc<[_]>, _> =
            own.chain(session.boundaries(parent.user_id.as_str())).collect();
        let all = all?;
        Ok(if all.is_empty() { Self::None } else { Self::Boundaries(Boundaries(all)) })
    }

    /// Returns the boundaries; `None` if nothing limits the key.
    pub(super) fn boundaries(&self) -> Result<Option<&Boundaries>, Refusal> {
        match self {
            Self::None => Ok(None),
            Self::Boundaries(boundaries) => Ok(Some(boundaries)),
            Self::Invalid => Err(outside()),
        }
    }
}

impl Enforcement {
    /// Checks the head of a request.
    pub(super) fn check(
        &self,
        head: RequestHead<'_>,
        extensions: &Extensions,
        (key, boundaries): (&VerifiedKey, &Boundaries),
        now: SystemTime,
    ) -> Result<Reading, Refusal> {
        if key.mechanism().is_v2() {
            // It signs too little of a request.
            return Err(refused(key, "signed with version 2", outside()));
        }
        let operation = self.operations.classify(head).map_err(|error| unclear(key, error))?;
        let is_allowed = if operation.name() == S3OperationName::DeleteObjects {
            match reach(boundaries, &operation) {
                Reach::All => true,
                Reach::None => false,
                Reach::Some => {
                    let operation = Box::new(operation.into_owned());
                    return Ok(Reading::Body(boundaries.clone(), operation));
                }
            }
        } else {
            let facts = facts(&operation, head.headers(), extensions, key, now);
            boundaries.allow(&facts.account_id(&self.account_id))
        };
        if is_allowed {
            Ok(Reading::Allowed(Box::new(operation.into_owned())))
        } else {
            Err(refused(key, operation.name().name(), outside()))
        }
    }

    /// Checks the body of `DeleteObjects`: all of its keys, or nothing.
    pub(super) async fn check_deletion(
        &self,
        operation: &S3Operation<'_>,
        head: &Parts,
        (key, boundaries): (&VerifiedKey, &Boundaries),
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let objects = self.operations.objects_to_delete(body).map_err(|error| {
            tracing::info!(access_key = key.access_key().as_str(), %error, "request refused");
            let message = "The XML you provided was not well-formed or did not validate.";
            Refusal::new(S3ErrorCode::MalformedXml, message)
        })?;
        let facts = facts(operation, &head.headers, &head.extensions, key, now);
        let facts = facts.account_id(&self.account_id);
        for objects in objects.chunks(KEYS_AT_ONCE) {
            let is_allowed = |object: &ObjectToDelete| {
                let version = object.version_id.as_deref();
                boundaries.allow_deletion(&facts, &object.key, version, object.has_etag)
            };
            if !objects.iter().all(is_allowed) {
                return Err(refused(key, operation.name().name(), outside()));
            }
            yield_now().await;
        }
        Ok(())
    }

    /// Checks the upload of a form.
    pub(super) fn check_form(
        &self,
        head: RequestHead<'_>,
        extensions: &Extensions,
        (key, boundaries): (&VerifiedKey, &Boundaries),
        form: &PostForm,
        now: SystemTime,
    ) -> Result<Box<S3Operation<'static>>, Refusal> {
        if key.mechanism().is_v2() {
            return Err(refused(key, "signed with version 2", outside()));
        }
        let fields = form.fields().filter(|(name, _)| !name.eq_ignore_ascii_case("key"));
        let operation = self.operations.classify_form(head, form.key(), fields);
        let operation = operation.map_err(|error| unclear(key, error))?;
        let headers = headers_of(form).ok_or_else(ambiguous)?;
        let facts = facts(&operation, &headers, extensions, key, now);
        if boundaries.allow(&facts.account_id(&self.account_id)) {
            Ok(Box::new(operation.into_owned()))
        } else {
            Err(refused(key, operation.name().name(), outside()))
        }
    }
}

/// What conditions are compared with.
pub(super) fn facts<'a>(
    operation: &'a S3Operation<'a>,
    headers: &'a HeaderMap,
    extensions: &Extensions,
    key: &'a VerifiedKey,
    now: SystemTime,
) -> RequestFacts<'a> {
    let auth = match key.mechanism() {
        Mechanism::FormV2 | Mechanism::FormV4 => AuthType::Form,
        Mechanism::HeaderV2 | Mechanism::HeaderV4 => AuthType::Header,
        Mechanism::QueryV2 | Mechanism::QueryV4 => AuthType::Query,
    };
    let facts = RequestFacts::new(operation, headers, key.user_id().as_str());
    let mut facts = facts.now(now).signed(auth, key.signed_at());
    if let Some(session) = key.session() {
        facts = facts.session(session.issued_at(), session.holder().principal());
    }
    if let Some(ClientAddress(address)) = extensions.get() {
        facts = facts.source_ip(*address);
    }
    match extensions.get() {
        Some(ClientTls::None) => facts.tls(false, None),
        Some(ClientTls::Version(version)) => facts.tls(true, *version),
        None => facts,
    }
}

/// Returns how many keys of its bucket `DeleteObjects` may delete.
fn reach(boundaries: &Boundaries, operation: &S3Operation<'_>) -> Reach {
    let bucket = operation.bucket().unwrap_or_default();
    let deletes = [S3Action::DeleteObject, S3Action::DeleteObjectVersion];
    if boundaries.reach(&deletes, bucket) == Reach::None {
        return Reach::None;
    }
    // The body can ask whether an `ETag` matches, which a reader may know.
    let mut needed = vec![S3Action::GetObject];
    needed.extend(deletes);
    needed.extend(operation.bypasses_retention().then_some(S3Action::BypassGovernanceRetention));
    if boundaries.reach(&needed, bucket) == Reach::All { Reach::All } else { Reach::Some }
}

/// The fields of a form as the headers that they stand for.
fn headers_of(form: &PostForm) -> Option<HeaderMap> {
    let is_header = |name: &str| name.starts_with("x-amz-");
    let mut headers = HeaderMap::new();
    for (field, value) in form.fields() {
        let name = header_of_field(field);
        if is_header(&name) {
            let value = HeaderValue::try_from(value).ok()?;
            headers.append(HeaderName::try_from(name).ok()?, value);
        }
    }
    Some(headers)
}

/// Logs why a request is refused. The client learns less.
fn refused(key: &VerifiedKey, what: &str, refusal: Refusal) -> Refusal {
    let access_key = key.access_key().as_str();
    tracing::info!(?access_key, what, "request refused: outside the boundary of the key");
    refusal
}

fn unclear(key: &VerifiedKey, error: OperationError) -> Refusal {
    let access_key = key.access_key().as_str();
    tracing::info!(?access_key, %error, "request refused: ambiguous");
    ambiguous()
}

/// The refusal of a request outside the boundary.
pub(super) fn outside() -> Refusal {
    let message = "Access Denied: the request is outside the boundary of the key.";
    Refusal::new(S3ErrorCode::AccessDenied, message)
}

/// The refusal of a request that two stores could read differently.
fn ambiguous() -> Refusal {
    let message = "Access Denied: the request is ambiguous, or not supported for keys with a \
                   boundary.";
    Refusal::new(S3ErrorCode::AccessDenied, message)
}
