//! Form uploads: who signed a form, and whether its policy allows it.

use std::{error::Error as StdError, ops::RangeInclusive, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header, request::Parts};
use http_body::Body;
use tokio::time::timeout;

use super::{
    body::VerifiedBody,
    form::{self, ReadError, Upload},
    key::{Mechanism, Signed, VerifiedKey},
    layer::Anonymous,
    payload_error::PayloadErrorKind,
    refusal::Refusal,
    signature_rules::SignatureRules,
    verifier::{Verifier, secret_of},
};
use crate::{
    domain::Credential,
    signature::{
        decoy,
        form::{PostForm, SignedForm},
        request::{Payload, RequestError, RequestHead, S3ErrorCode},
        signed_at,
    },
};

/// Whether the body is a form.
pub(super) fn is_form(head: RequestHead<'_>) -> bool {
    let is_form = |content_type: &HeaderValue| {
        let (content_type, form) = (content_type.as_bytes().trim_ascii(), b"multipart/form-data");
        content_type.get(..form.len()).is_some_and(|start| start.eq_ignore_ascii_case(form))
    };
    *head.method() == Method::POST
        && head.headers().get_all(header::CONTENT_TYPE).iter().any(is_form)
}

/// Whether this is a form that a browser uploads a file with: a `POST` to a bucket.
pub(super) fn is_upload(head: RequestHead<'_>) -> bool {
    is_form(head)
        && head.uri().query().is_none()
        && !head.uri().path().trim_matches('/').contains('/')
}

/// A form whose signature and policy are right, as a request whose body is its file.
pub(super) async fn admit<B>(
    verifier: &Verifier,
    request: Request<B>,
) -> Result<Request<VerifiedBody<B>>, Refusal>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let (mut head, body) = request.into_parts();
    let Upload { form, signed, file } = open(&verifier.signatures, &head, body).await?;
    // Only now: what was true when the first field came may not be any more.
    let now = verifier.clock.now();
    let file = match signed {
        None if verifier.signatures.anonymous == Anonymous::Pass => file,
        None => return Err(Refusal::anonymous()),
        Some(signed) => {
            let credential = prove(verifier, &signed, now).await?;
            let length = check_policy(&verifier.signatures, &head, &form, &signed, now)?;
            verifier.note(&credential, now);
            head.extensions.insert(VerifiedKey::new(credential, signed_of(&signed, &form)));
            file.within(length)
        }
    };
    head.extensions.insert(form);
    // The app gets the file.
    remove_headers_of_form(&mut head);
    Ok(Request::from_parts(head, VerifiedBody::file(file)))
}

/// Reads a form up to its file.
pub(super) async fn open<B>(
    rules: &SignatureRules,
    head: &Parts,
    body: B,
) -> Result<Upload, Refusal>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    // Nothing signs these, and the app may take them for its own orders.
    if head.headers.keys().any(|name| name.as_str().starts_with("x-amz-")) {
        return Err(RequestError::not_signed().into());
    }
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let reading = form::read(body, content_type.unwrap_or_default());
    let read = timeout(rules.form_timeout, reading).await.map_err(|_| {
        let message = "The fields of the form did not arrive in time.";
        Refusal::new(S3ErrorCode::RequestTimeout, message)
    })?;
    let upload = read.map_err(|error| match error {
        ReadError::Form(error) => Refusal::from(error),
        ReadError::Transport(error) => {
            tracing::debug!(%error, "a form broke off");
            Refusal::from(PayloadErrorKind::Transport)
        }
    })?;
    if upload.form.field("x-amz-security-token").is_some() {
        return Err(RequestError::session_token().into());
    }
    Ok(upload)
}

/// Checks the policy of a form against its fields and its bucket; returns how long the
/// file may be.
pub(super) fn check_policy(
    rules: &SignatureRules,
    head: &Parts,
    form: &PostForm,
    signed: &SignedForm,
    now: SystemTime,
) -> Result<RangeInclusive<u64>, Refusal> {
    let in_host = rules.bucket_of(RequestHead::from(head))?;
    let bucket = in_host.as_deref().unwrap_or_else(|| head.uri.path().trim_matches('/'));
    Ok(signed.check(form, bucket, now)?)
}

/// Removes the headers that describe the body as the client sent it.
pub(super) fn remove_headers_of_form(head: &mut Parts) {
    for name in [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    head.headers.remove("content-md5");
}

/// The key that signed the form, if it may sign.
async fn prove(
    verifier: &Verifier,
    signed: &SignedForm,
    now: SystemTime,
) -> Result<Arc<Credential>, Refusal> {
    verifier.signatures.check_form(signed)?;
    let scope = signed.scope();
    let found = verifier.find(signed.access(), now).await?;
    let usable = found.filter(|found| verifier.rules.admit(found));
    let genuine = match &scope {
        Some(scope) => {
            let is_signed = |key: &_| signed.verify_with(key);
            verifier.test(scope, usable.as_deref(), is_signed).is_some()
        }
        None => signed.verify(secret_of(usable.as_deref()).unwrap_or(decoy())),
    };
    match usable {
        Some(credential) if genuine => {
            let owner = verifier.rules.owner_of(&credential);
            verifier.check_owner(&credential, owner.as_deref(), now).await?;
            Ok(credential)
        }
        None => Err(verifier.unknown(signed.access())),
        Some(_) => Err(Refusal::mismatch(signed.access())),
    }
}

/// What the app is told of the signature.
fn signed_of(signed: &SignedForm, form: &PostForm) -> Signed {
    let scope = signed.scope();
    let region = scope.as_ref().map_or("", |scope| scope.region());
    Signed {
        mechanism: match scope {
            Some(_) => Mechanism::FormV4,
            None => Mechanism::FormV2,
        },
        at: form.field("x-amz-date").and_then(signed_at),
        expires_at: None,
        payload: Payload::Unsigned,
        text: region.into(),
        region_len: region.len(),
    }
}
