//! Form uploads: verifies the signature of a form, and checks its policy.

use std::{error::Error as StdError, ops::RangeInclusive, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header, request::Parts};
use http_body::Body;
use tokio::time::timeout;

use super::{
    body::VerifiedBody,
    enforcement::Limit,
    form::{self, ReadError, Upload},
    guesses::is_guess,
    key::{Signed, VerifiedKey},
    payload_error::PayloadErrorKind,
    refusal::Refusal,
    rules::SignatureRules,
    sessions::NotGenuine,
    verifier::{Verifier, secret_of},
};
use crate::{
    domain::Credential,
    guessers::Guess,
    session::Session,
    signature::{
        decoy,
        form::{PostForm, SESSION_TOKEN, SignedForm},
        request::{RequestError, RequestHead, S3ErrorCode},
    },
};

/// Returns whether the body is a form.
pub(super) fn is_form(head: RequestHead<'_>) -> bool {
    let is_form = |content_type: &HeaderValue| {
        let (content_type, form) = (content_type.as_bytes().trim_ascii(), b"multipart/form-data");
        content_type.get(..form.len()).is_some_and(|start| start.eq_ignore_ascii_case(form))
    };
    *head.method() == Method::POST
        && head.headers().get_all(header::CONTENT_TYPE).iter().any(is_form)
}

/// Returns whether this is a form upload: a `POST` of a form to a bucket.
pub(super) fn is_upload(head: RequestHead<'_>) -> bool {
    is_form(head)
        && head.uri().query().is_none()
        && !head.uri().path().trim_matches('/').contains('/')
}

/// Verifies the signature and the policy of a form. Returns a request whose body is the form's
/// file.
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
    // Read the clock only now: the fields may have taken a while to arrive.
    let now = verifier.clock.now();
    let file = match signed {
        None => {
            verifier.signatures.check_anonymous(form.field(SESSION_TOKEN).is_some())?;
            file
        }
        Some(signed) => {
            let (credential, session, limit) = verify(verifier, &signed, now).await?;
            let length = check_policy(&verifier.signatures, &head, &form, &signed, now)?;
            verifier.record_use(&credential, now);
            let signed = Signed::of_form(&signed, &form);
            let key = VerifiedKey::new(credential, session, signed);
            if let Some(boundaries) = limit.boundaries()? {
                let enforcement = &verifier.enforcement;
                let request = RequestHead::from(&head);
                let key = (&key, boundaries);
                let operation =
                    enforcement.check_form(request, &head.extensions, key, &form, now)?;
                head.extensions.insert(*operation);
            }
            head.extensions.insert(key);
            file.within(length)
        }
    };
    head.extensions.insert(form);
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
    // These headers are not signed, and the app could act on them.
    if head.headers.keys().any(|name| name.as_str().starts_with("x-amz-")) {
        return Err(RequestError::not_signed().into());
    }
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let reading = form::read(body, content_type.unwrap_or_default());
    let read = timeout(rules.form_timeout, reading).await.map_err(|_| {
        let message = "The fields of the form did not arrive in time.";
        Refusal::new(S3ErrorCode::RequestTimeout, message)
    })?;
    read.map_err(|error| match error {
        ReadError::Form(error) => Refusal::from(error),
        ReadError::Transport(error) => {
            tracing::debug!(%error, "reading a form failed");
            Refusal::from(PayloadErrorKind::Transport)
        }
    })
}

/// Checks the policy of a form against its fields and its bucket. Returns the allowed size of
/// the file.
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

/// Returns the key that signed the form, its session, and what limits it.
async fn verify(
    verifier: &Verifier,
    signed: &SignedForm,
    now: SystemTime,
) -> Result<(Arc<Credential>, Option<Arc<Session>>, Limit), Refusal> {
    verifier.signatures.check_form(signed)?;
    let (named, scope) = (signed.access(), signed.scope());
    let session = match (signed.session_token(), &scope) {
        (Some(token), Some(scope)) => Some(verifier.sessions.named(token.into(), named, scope)?),
        _ => None,
    };
    let looked_up = session.as_ref().map_or(named, |it| it.session().parent().as_str());
    let found = verifier.find(looked_up, now).await?;
    let is_known = found.is_some();
    let usable = found.filter(|found| verifier.rules.may_sign(found, now));
    let genuine = if let Some(scope) = &scope {
        let is_signed = |key: &_| signed.verify_with(key);
        let key = (scope, "", session.as_ref());
        verifier.signing_key(key, usable.as_deref(), is_signed).map(|derived| derived.limit)
    } else {
        let is_signed = signed.verify(secret_of(usable.as_deref()).unwrap_or(decoy()));
        let limit = || usable.as_deref().map_or(Limit::None, Limit::of);
        is_signed.then(limit).ok_or(NotGenuine::Signature)
    };
    match (usable, genuine) {
        (Some(credential), Ok(limit)) => {
            let session = session.map(|named| Arc::clone(named.session()));
            verifier.check_session(session.as_deref(), &credential, now)?;
            let owner = verifier.rules.owner_of(&credential);
            verifier.check_owner(named, &credential, owner.as_deref(), now).await?;
            Ok((credential, session, limit))
        }
        (usable, genuine) => {
            let error = genuine.err();
            let refusal = match error {
                Some(error) if usable.is_some() => verifier.not_genuine(error, named),
                _ => verifier.unknown(named),
            };
            let is_guess = is_guess(error, is_known, usable.as_deref());
            Err(refusal.with_guess(is_guess.then(|| Guess::access_key(looked_up))))
        }
    }
}
