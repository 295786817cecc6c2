//! [`VerifiedKey`]: the key that signed a request, for the app behind the layer.

use std::{fmt, slice::SliceIndex, sync::Arc, time::SystemTime};

use crate::{
    domain::{AccessKey, Attributes, Credential, CredentialId, Delegation, ProjectId, UserId},
    session::Session,
    signature::{
        Freshness,
        form::{PostForm, SignedForm},
        request::{Payload, SignedRequest},
        signed_at,
    },
};

/// The key that signed a request, and what was signed.
///
/// [`S3AuthLayer`](super::S3AuthLayer) inserts it into the extensions of a verified request. It
/// never returns the secret.
///
/// The body is checked while the app reads it. A body that the app has read to its end without
/// an error matches its [declaration](Self::payload).
#[derive(Clone)]
pub struct VerifiedKey {
    credential: Arc<Credential>,
    session: Option<Arc<Session>>,
    signed: Signed,
}

/// What was signed, and how.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    mechanism: Mechanism,
    at: Option<SystemTime>,
    expires_at: Option<SystemTime>,
    payload: Payload,
    /// The region, followed by the names of the signed headers. A request shares it with the
    /// first request of its key if it is the same.
    text: Arc<[u8]>,
    region_len: usize,
}

/// How a request was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// Version 2, in the fields of a form.
    FormV2,
    /// Version 4, in the fields of a form.
    FormV4,
    /// Version 2, in the `Authorization` header.
    HeaderV2,
    /// Version 4, in the `Authorization` header.
    HeaderV4,
    /// Version 2, presigned.
    QueryV2,
    /// Version 4, presigned.
    QueryV4,
}

impl Mechanism {
    /// Returns whether it is version 2.
    pub(super) fn is_v2(self) -> bool {
        matches!(self, Self::FormV2 | Self::HeaderV2 | Self::QueryV2)
    }
}

impl VerifiedKey {
    pub(super) fn new(
        credential: Arc<Credential>,
        session: Option<Arc<Session>>,
        signed: Signed,
    ) -> Self {
        Self { credential, session, signed }
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Returns the access key that the request names.
    pub(super) fn named(&self) -> &str {
        self.session.as_ref().map_or(self.access_key(), |session| session.access_key()).as_str()
    }

    /// Returns the session whose credential signed the request, if it has a session token.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// Returns the access key. For a session it is that of its parent.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "a record without an access key verifies nothing"
    )]
    pub fn access_key(&self) -> &AccessKey {
        self.credential.access_key.as_ref().expect("only records with an access key verify")
    }

    /// Returns the id of the key's record.
    #[must_use]
    pub fn credential_id(&self) -> &CredentialId {
        &self.credential.id
    }

    /// Returns the user who owns the key. For a project's root key this is the project's id.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        &self.credential.user_id
    }

    /// Returns the project of the key, if any.
    #[must_use]
    pub fn project_id(&self) -> Option<&ProjectId> {
        self.credential.project_id.as_ref()
    }

    /// Returns the delegation that limits the key. Always `None` unless the layer
    /// [accepts](super::S3AuthLayerBuilder::accept_delegated) such keys.
    #[must_use]
    pub fn delegation(&self) -> Option<&Delegation> {
        self.credential.delegation.as_ref()
    }

    /// Returns the further members of the key's record.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.credential.attributes
    }

    /// Returns how the request was signed.
    #[must_use]
    pub fn mechanism(&self) -> Mechanism {
        self.signed.mechanism
    }

    /// Returns the signing time. `None` for a presigned request and a form of version 2.
    #[must_use]
    pub fn signed_at(&self) -> Option<SystemTime> {
        self.signed.at
    }

    /// Returns the expiry of a presigned request.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.signed.expires_at
    }

    /// Returns the region of the signature. Empty in version 2.
    #[must_use]
    pub fn region(&self) -> &str {
        self.signed.part(..self.signed.region_len)
    }

    /// Returns the names of the signed headers, in lower case, sorted, separated by semicolons.
    /// Empty in version 2, which signs `x-amz-*`, `content-md5`, `content-type` and `date`.
    /// Empty for forms, whose policy covers their fields.
    #[must_use]
    pub fn signed_headers(&self) -> &str {
        self.signed.part(self.signed.region_len..)
    }

    /// Returns whether a header was signed with version 4. The name is in lower case.
    ///
    /// Anybody on the way may have changed an unsigned header.
    #[must_use]
    pub fn is_signed(&self, header: &str) -> bool {
        self.signed_headers().split(';').any(|name| name == header)
    }

    /// Returns what the request declares about its body.
    #[must_use]
    pub fn payload(&self) -> Payload {
        self.signed.payload
    }
}

impl Signed {
    /// Describes the signature of a request, which shares this text if it is the same.
    pub(super) fn of_request(signed: &SignedRequest<'_>, text: Option<&Arc<[u8]>>) -> Self {
        let request = match signed {
            SignedRequest::V2(request) => {
                let (mechanism, at, expires_at) = match request.freshness() {
                    Freshness::At(time) => (Mechanism::HeaderV2, Some(time), None),
                    Freshness::Until(time) => (Mechanism::QueryV2, None, Some(time)),
                    Freshness::Unknown => (Mechanism::HeaderV2, None, None),
                };
                let payload = request.payload();
                let (text, region_len) = (Arc::default(), 0);
                return Self { mechanism, at, expires_at, payload, text, region_len };
            }
            SignedRequest::V4(request) => request,
        };
        let scope = request.scope();
        let (region, headers) = (scope.region(), request.signed_headers());
        let is_same = |text: &&Arc<[u8]>| {
            text.strip_prefix(region.as_bytes()).is_some_and(|rest| rest == headers.as_bytes())
        };
        let text = text.filter(is_same).map_or_else(|| Self::text(region, headers), Arc::clone);
        let (mechanism, expires_at) = match request.expires_in() {
            None => (Mechanism::HeaderV4, None),
            Some(lifetime) => (Mechanism::QueryV4, request.signed_at().checked_add(lifetime)),
        };
        Self {
            mechanism,
            at: Some(request.signed_at()),
            expires_at,
            payload: request.payload(),
            text,
            region_len: region.len(),
        }
    }

    /// Returns a text that requests can share, with one allocation.
    pub(super) fn text(region: &str, signed_headers: &str) -> Arc<[u8]> {
        region.bytes().chain(signed_headers.bytes()).collect()
    }

    fn part(&self, range: impl SliceIndex<[u8], Output = [u8]>) -> &str {
        // Both parts were text.
        self.text.get(range).and_then(|part| str::from_utf8(part).ok()).unwrap_or_default()
    }

    /// Describes the signature of a form.
    pub(super) fn of_form(signed: &SignedForm, form: &PostForm) -> Self {
        let scope = signed.scope();
        let region = scope.as_ref().map_or("", |scope| scope.region());
        Self {
            mechanism: match scope {
                Some(_) => Mechanism::FormV4,
                None => Mechanism::FormV2,
            },
            at: form.field("x-amz-date").and_then(signed_at),
            expires_at: None,
            payload: Payload::Unsigned,
            text: Self::text(region, ""),
            region_len: region.len(),
        }
    }
}

impl fmt::Debug for VerifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedKey")
            .field("access_key", self.access_key())
            .field("user_id", self.user_id())
            .field("project_id", &self.project_id())
            .field("session", &self.session.as_ref().map(|session| session.access_key()))
            .field("mechanism", &self.signed.mechanism)
            .finish_non_exhaustive()
    }
}
