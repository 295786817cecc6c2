//! From a verified request to the request that the app receives.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header, request::Parts};
use http_body::Body;
use http_body_util::Full;

use super::{
    body::{Expected, VerifiedBody},
    chunk_headers,
    enforcement::Reading,
    refusal::{Refusal, RefusalContext},
    verifier::Verified,
};
use crate::{
    guessers::Held,
    signature::{
        ChunkDecoder,
        checksum::Checksum,
        request::{Payload, RequestHead, S3ErrorCode},
    },
};

/// Passes a request without a signature. What it declares about its body is checked all the
/// same.
#[expect(clippy::result_large_err, reason = "the response is sent, not carried around")]
pub(super) fn pass<B: Body<Data = Bytes>>(
    request: Request<B>,
) -> Result<Request<VerifiedBody<B>>, Held<Full<Bytes>>> {
    let declared = RequestHead::from(&request).declared().map_err(Refusal::from);
    let chunks = declared.and_then(|payload| {
        let chunks = chunk_headers::decoder(request.headers(), payload, None)?;
        Ok((payload, chunks))
    });
    match chunks {
        Ok((payload, chunks)) => checked(request, payload, chunks),
        Err(refusal) => Err(refusal.render(&RefusalContext::of(&request)).into()),
    }
}

/// Passes a request whose signature is valid, and that is within the boundary of its key, with a
/// body that is checked while the app reads it. Returns the response if the body cannot be valid.
#[expect(clippy::result_large_err, reason = "the response is sent, not carried around")]
#[inline]
pub(super) fn admit<B: Body<Data = Bytes>>(
    mut request: Request<B>,
    verified: Verified,
    reading: Option<Reading>,
) -> Result<Request<VerifiedBody<B>>, Held<Full<Bytes>>> {
    let Verified { key, chunks, .. } = verified;
    let payload = key.payload();
    request.extensions_mut().insert(key);
    if let Some(Reading::Allowed(operation)) = reading {
        request.extensions_mut().insert(*operation);
    }
    checked(request, payload, chunks)
}

/// Wraps the body in the checks of its declaration.
#[expect(clippy::result_large_err, reason = "the response is sent, not carried around")]
#[inline]
fn checked<B: Body<Data = Bytes>>(
    request: Request<B>,
    payload: Payload,
    chunks: Option<Box<ChunkDecoder>>,
) -> Result<Request<VerifiedBody<B>>, Held<Full<Bytes>>> {
    // Most requests are like this. They need no change and no check, and are moved only once.
    if *request.method() == Method::GET && request.body().is_end_stream() && payload.is_empty() {
        return Ok(request.map(VerifiedBody::plain));
    }
    let (mut head, body) = request.into_parts();
    match wrapped(&mut head, body, payload, chunks) {
        Ok(body) => Ok(Request::from_parts(head, body)),
        Err(refusal) => {
            let context = RefusalContext::new(&head.method, &head.uri, &head.extensions);
            Err(refusal.render(&context).into())
        }
    }
}

/// Wraps a body, and changes the head to that of the payload.
fn wrapped<B: Body<Data = Bytes>>(
    head: &mut Parts,
    body: B,
    payload: Payload,
    chunks: Option<Box<ChunkDecoder>>,
) -> Result<VerifiedBody<B>, Refusal> {
    if let Some(decoder) = chunks {
        let decoder = decoder.with_checksum(checksum(head)?);
        head.headers.remove(header::TRANSFER_ENCODING);
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(decoder.remaining()));
        strip_coding(&mut head.headers);
        return Ok(VerifiedBody::chunked(body, decoder));
    }
    strip_coding(&mut head.headers);
    let sha256 = match payload {
        Payload::Hash(hash) => Some(hash),
        Payload::Streaming(_) | Payload::Unsigned => None,
    };
    let length = head.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let expected = Expected { sha256, checksum: checksum(head)?, length };
    Ok(VerifiedBody::checked(body, expected)?)
}

/// Returns the checksum of the payload in the head, if any.
fn checksum(head: &Parts) -> Result<Option<Checksum>, Refusal> {
    // With other methods the header may be the checksum of an earlier payload.
    if head.method != Method::PUT {
        return Ok(None);
    }
    Checksum::of_headers(&head.headers).map_err(|_| {
        let message =
            "The request must have at most one x-amz-checksum- header, and it must be valid.";
        Refusal::new(S3ErrorCode::InvalidRequest, message)
    })
}

/// Removes `aws-chunked` from the content codings: the app does not see it. Some clients also
/// name it for a body without chunks.
fn strip_coding(headers: &mut HeaderMap) {
    let named = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("aws-chunked"))
    };
    if !headers.get_all(header::CONTENT_ENCODING).iter().any(named) {
        return;
    }
    let codings: Vec<_> = headers.get_all(header::CONTENT_ENCODING).iter().cloned().collect();
    headers.remove(header::CONTENT_ENCODING);
    for value in codings {
        let others = value.to_str().map(|text| {
            let others = text.split(',').map(str::trim);
            let others = others.filter(|coding| !coding.eq_ignore_ascii_case("aws-chunked"));
            others.collect::<Vec<_>>().join(",")
        });
        let value = others.map_or(Ok(value.clone()), HeaderValue::try_from);
        if let Some(value) = value.ok().filter(|value| !value.is_empty()) {
            headers.append(header::CONTENT_ENCODING, value);
        }
    }
}
