//! [`VerifiedKey`]: who signed a request, for the app behind the layer.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    domain::{AccessKey, Attributes, Credential, CredentialId, Delegation, ProjectId, UserId},
    signature::request::Payload,
};

/// The key that a request was signed with, and what was signed.
///
/// [`S3AuthLayer`](super::S3AuthLayer) puts it into the extensions of a verified
/// request. It never gives the secret.
///
/// The body may still be being checked when the app gets the request: what it reads to
/// its end without an error was as it was [declared](Self::payload).
#[derive(Clone)]
pub struct VerifiedKey {
    credential: Arc<Credential>,
    signed: Signed,
}

/// What was signed, and how.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) mechanism: Mechanism,
    pub(super) at: Option<SystemTime>,
    pub(super) expires_at: Option<SystemTime>,
    pub(super) payload: Payload,
    /// The region, and behind it the names of the signed headers.
    pub(super) text: Box<str>,
    pub(super) region_len: usize,
}

/// How a request was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// Version 2, by the policy of a form.
    FormV2,
    /// Version 4, by the policy of a form.
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

impl VerifiedKey {
    pub(super) fn new(credential: Arc<Credential>, signed: Signed) -> Self {
        Self { credential, signed }
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The access key.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a key without one verifies nothing")]
    pub fn access_key(&self) -> &AccessKey {
        self.credential.access_key.as_ref().expect("only keys that have one verify")
    }

    /// The id of its record.
    #[must_use]
    pub fn credential_id(&self) -> &CredentialId {
        &self.credential.id
    }

    /// The user who owns it: for a project's root key, the project's own id.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        &self.credential.user_id
    }

    /// The project that it is for, if any.
    #[must_use]
    pub fn project_id(&self) -> Option<&ProjectId> {
        self.credential.project_id.as_ref()
    }

    /// The delegation that bounds its use. Only where the layer was told to
    /// [accept](super::S3AuthLayerBuilder::accept_delegated) such keys.
    #[must_use]
    pub fn delegation(&self) -> Option<&Delegation> {
        self.credential.delegation.as_ref()
    }

    /// Further members that its record carries.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.credential.attributes
    }

    /// How the request was signed.
    #[must_use]
    pub fn mechanism(&self) -> Mechanism {
        self.signed.mechanism
    }

    /// When it was signed; unknown for a presigned request and a form of version 2.
    #[must_use]
    pub fn signed_at(&self) -> Option<SystemTime> {
        self.signed.at
    }

    /// Until when the signature may be used, if the request is presigned.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.signed.expires_at
    }

    /// The region of the signature; empty in version 2.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.signed.text[..self.signed.region_len]
    }

    /// The names of the signed headers, in lower case, sorted, between semicolons. Empty
    /// in version 2, which signs `x-amz-*`, `content-md5`, `content-type` and `date`,
    /// and for forms, whose fields their policy covers.
    #[must_use]
    pub fn signed_headers(&self) -> &str {
        &self.signed.text[self.signed.region_len..]
    }

    /// Whether a header was signed with version 4; its name in lower case.
    ///
    /// Whatever is not among them anybody on the way may have changed.
    #[must_use]
    pub fn is_signed(&self, header: &str) -> bool {
        self.signed_headers().split(';').any(|name| name == header)
    }

    /// What was declared of the body.
    #[must_use]
    pub fn payload(&self) -> Payload {
        self.signed.payload
    }
}

impl fmt::Debug for VerifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedKey")
            .field("access_key", self.access_key())
            .field("user_id", self.user_id())
            .field("project_id", &self.project_id())
            .field("mechanism", &self.signed.mechanism)
            .finish_non_exhaustive()
    }
}

/// When a presigned request ends.
pub(super) fn end(signed_at: SystemTime, expires_in: Option<Duration>) -> Option<SystemTime> {
    signed_at.checked_add(expires_in?)
}
