//! [`Verifications`]: counts the requests that are verified or refused.

#[cfg(feature = "metrics")]
use http::header;
#[cfg(feature = "metrics")]
use metrics::{Counter, counter};

use super::key::Mechanism;
#[cfg(feature = "metrics")]
use crate::meter::names;
use crate::{
    guessers::Held,
    signature::request::{RequestHead, S3ErrorCode},
};

/// The handles of a layer, made once. Without the feature `metrics` its methods do nothing.
#[derive(Debug)]
pub(super) struct Verifications {
    #[cfg(feature = "metrics")]
    counters: Box<[[Counter; OUTCOMES.len()]; MECHANISMS.len()]>,
}

/// How a request seems to be signed, from its head. Nothing without the feature `metrics`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presented {
    #[cfg(feature = "metrics")]
    mechanism: Option<Mechanism>,
}

/// The label `mechanism`. `none` is a request without a signature.
#[cfg(feature = "metrics")]
const MECHANISMS: [&str; 6] = ["header_v4", "query_v4", "header_v2", "query_v2", "form", "none"];

/// The label `outcome`.
#[cfg(feature = "metrics")]
const OUTCOMES: [&str; 8] = [
    "ok",
    "wrong_signature",
    "unknown_key",
    "denied",
    "wrong_time",
    "invalid_token",
    "malformed",
    "unavailable",
];

#[cfg(feature = "metrics")]
impl Verifications {
    /// Makes the handles.
    pub(super) fn new() -> Self {
        let counter = |mechanism: &'static str, outcome: &'static str| counter!(names::VERIFICATIONS, "mechanism" => mechanism, "outcome" => outcome);
        let counters = MECHANISMS.map(|mechanism| OUTCOMES.map(|it| counter(mechanism, it)));
        Self { counters: Box::new(counters) }
    }

    /// Counts one verification: by the mechanism, if the request is signed, and by the code of
    /// the refusal.
    #[inline]
    pub(super) fn count(&self, mechanism: Option<Mechanism>, result: Result<(), S3ErrorCode>) {
        let outcome = result.map_or_else(class_of, |()| 0);
        self.counters[index_of(mechanism)][outcome].increment(1);
    }

    /// Counts one verification by another verifier.
    #[cfg(feature = "s3s")]
    pub(super) fn count_as(&self, how: Presented, result: Result<(), S3ErrorCode>) {
        self.count(how.mechanism, result);
    }

    /// Counts a request with a valid signature, which may still be refused with this response.
    #[inline]
    pub(super) fn admitted<T, B>(&self, how: Mechanism, decided: &Result<T, Held<B>>) {
        self.count(Some(how), result_of(decided));
    }

    /// Counts a request that is refused with this code.
    pub(super) fn refused(&self, head: RequestHead<'_>, code: S3ErrorCode) {
        self.count(presented(head), Err(code));
    }

    /// Returns how a request seems to be signed, to count it later.
    #[expect(clippy::unused_self, reason = "as without the feature")]
    pub(super) fn presented(&self, head: RequestHead<'_>) -> Presented {
        Presented { mechanism: presented(head) }
    }

    /// Returns that a request is a form upload, to count it later.
    #[expect(clippy::unused_self, reason = "as without the feature")]
    pub(super) fn form(&self) -> Presented {
        // The version, which is in the form, makes no difference.
        Presented { mechanism: Some(Mechanism::FormV4) }
    }

    /// Counts a request that was admitted, or refused with this response.
    pub(super) fn decided<T, B>(&self, how: Presented, decided: &Result<T, Held<B>>) {
        self.count(how.mechanism, result_of(decided));
    }
}

#[cfg(feature = "metrics")]
#[inline]
fn result_of<T, B>(decided: &Result<T, Held<B>>) -> Result<(), S3ErrorCode> {
    let Err(refused) = decided else { return Ok(()) };
    // Every refusal carries its code.
    let code = refused.response.extensions().get::<S3ErrorCode>();
    Err(code.copied().unwrap_or(S3ErrorCode::AccessDenied))
}

#[cfg(feature = "metrics")]
#[inline]
fn index_of(mechanism: Option<Mechanism>) -> usize {
    match mechanism {
        Some(Mechanism::HeaderV4) => 0,
        Some(Mechanism::QueryV4) => 1,
        Some(Mechanism::HeaderV2) => 2,
        Some(Mechanism::QueryV2) => 3,
        Some(Mechanism::FormV2 | Mechanism::FormV4) => 4,
        None => 5,
    }
}

/// The index of the outcome of a refusal.
#[cfg(feature = "metrics")]
fn class_of(code: S3ErrorCode) -> usize {
    match code {
        S3ErrorCode::SignatureDoesNotMatch => 1,
        S3ErrorCode::InvalidAccessKeyId => 2,
        S3ErrorCode::AccessDenied => 3,
        S3ErrorCode::RequestTimeTooSkewed => 4,
        S3ErrorCode::ExpiredToken | S3ErrorCode::InvalidToken => 5,
        code if code.status().is_server_error() => 7,
        _ => 6,
    }
}

/// Finds the mechanism without parsing: requests that cannot be parsed count too.
#[cfg(feature = "metrics")]
fn presented(head: RequestHead<'_>) -> Option<Mechanism> {
    if let Some(value) = head.headers().get(header::AUTHORIZATION) {
        let is_v2 = value.as_bytes().starts_with(b"AWS ");
        return Some(if is_v2 { Mechanism::HeaderV2 } else { Mechanism::HeaderV4 });
    }
    let query = head.uri().query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    if has("X-Amz-Signature") || has("X-Amz-Algorithm") {
        return Some(Mechanism::QueryV4);
    }
    has("Signature").then_some(Mechanism::QueryV2)
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, reason = "as with the feature")]
impl Verifications {
    pub(super) fn new() -> Self {
        Self {}
    }

    pub(super) fn admitted<T, B>(&self, _: Mechanism, _: &Result<T, Held<B>>) {}

    pub(super) fn refused(&self, _: RequestHead<'_>, _: S3ErrorCode) {}

    pub(super) fn presented(&self, _: RequestHead<'_>) -> Presented {
        Presented {}
    }

    pub(super) fn form(&self) -> Presented {
        Presented {}
    }

    #[cfg(feature = "s3s")]
    pub(super) fn count_as(&self, _: Presented, _: Result<(), S3ErrorCode>) {}

    pub(super) fn decided<T, B>(&self, _: Presented, _: &Result<T, Held<B>>) {}
}
