//! Form uploads: who signed a form, and whether its policy allows it.

use std::{error::Error as StdError, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body::Body;
use tokio::time::timeout;

use super::{
    body::VerifiedBody,
    form::{self, ReadError, Upload},
    key::{Mechanism, Signed, VerifiedKey},
    layer::Anonymous,
    payload_error::PayloadErrorKind,
    refusal::Refusal,
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

/// Whether this is a form that a browser uploads a file with: a `POST` to a bucket.
pub(super) fn is_upload(head: RequestHead<'_>) -> bool {
    let content_type = head.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_form = |content_type: &[u8]| {
        let form = b"multipart/form-data";
        content_type.get(..form.len()).is_some_and(|start| start.eq_ignore_ascii_case(form))
    };
    *head.method() == Method::POST
        && content_type.is_some_and(is_form)
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
    // Nothing signs these, and the app may take them for its own orders.
    if head.headers.keys().any(|name| name.as_str().starts_with("x-amz-")) {
        return Err(RequestError::not_signed().into());
    }
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let reading = form::read(body, content_type.unwrap_or_default());
    let read = timeout(verifier.form_timeout, reading).await.map_err(|_| {
        let message = "The fields of the form did not arrive in time.";
        Refusal::new(S3ErrorCode::RequestTimeout, message)
    })?;
    let Upload { form, signed, file } = read.map_err(|error| match error {
        ReadError::Form(error) => Refusal::from(error),
        ReadError::Transport(error) => {
            tracing::debug!(%error, "a form broke off");
            Refusal::from(PayloadErrorKind::Transport)
        }
    })?;
    // Only now: what was true when the first field came may not be any more.
    let now = verifier.clock.now();
    if form.field("x-amz-security-token").is_some() {
        return Err(RequestError::session_token().into());
    }
    let file = match signed {
        None if verifier.anonymous == Anonymous::Pass => file,
        None => return Err(Refusal::anonymous()),
        Some(signed) => {
            let credential = prove(verifier, &signed, now).await?;
            let in_host = verifier.bucket_of(RequestHead::from(&head))?;
            let bucket = in_host.as_deref();
            let bucket = bucket.unwrap_or_else(|| head.uri.path().trim_matches('/'));
            let length = signed.check(&form, bucket, now)?;
            verifier.note(&credential, now);
            head.extensions.insert(VerifiedKey::new(credential, signed_of(&signed, &form)));
            file.within(length)
        }
    };
    head.extensions.insert(form);
    // These are of the form, and the app gets the file.
    for name in [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    head.headers.remove("content-md5");
    Ok(Request::from_parts(head, VerifiedBody::file(file)))
}

/// The key that signed the form, if it may sign.
async fn prove(
    verifier: &Verifier,
    signed: &SignedForm,
    now: SystemTime,
) -> Result<Arc<Credential>, Refusal> {
    let scope = signed.scope();
    match &scope {
        Some(scope) => verifier.check_region_of(scope, S3ErrorCode::InvalidArgument)?,
        None if verifier.signature_v2 => {}
        None => return Err(RequestError::unsupported().into()),
    }
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
