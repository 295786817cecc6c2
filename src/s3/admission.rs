//! From a verified request to what the app gets.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::Body;
use http_body_util::Full;

use super::{
    body::{Expected, VerifiedBody},
    payload_error::PayloadErrorKind,
    refusal::{Asked, Refusal},
    verifier::Proven,
};
use crate::signature::{
    ChunkDecoder, ChunkedError, SigningKey,
    checksum::Checksum,
    request::{Payload, RequestHead, S3ErrorCode, SignedRequest, Streaming},
};

const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");
const TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");

/// A request that nobody signed. What it declares of its body is checked all the same;
/// chunks cannot be signed then.
#[expect(clippy::result_large_err, reason = "the answer is sent, not carried around")]
pub(super) fn pass<B: Body<Data = Bytes>>(
    request: Request<B>,
) -> Result<Request<VerifiedBody<B>>, Response<Full<Bytes>>> {
    let (mut head, body) = request.into_parts();
    let declared = RequestHead::from(&head).declared().map_err(Refusal::from);
    let checked = declared.and_then(|payload| {
        let chunks = match payload {
            Payload::Streaming(Streaming::UnsignedTrailer) => unsigned_chunks(&head.headers)?,
            Payload::Streaming(_) => return Err(Refusal::anonymous()),
            Payload::Hash(_) | Payload::Unsigned => None,
        };
        checked(&mut head, body, payload, chunks)
    });
    match checked {
        Ok(body) => Ok(Request::from_parts(head, body)),
        Err(refusal) => Err(refusal.render(&Asked::new(&head.method, &head.uri))),
    }
}

/// A request whose head is verified, with a body that is checked as it is read; or the
/// answer, if the body cannot be right.
#[expect(clippy::result_large_err, reason = "the answer is sent, not carried around")]
pub(super) fn admit<B: Body<Data = Bytes>>(
    request: Request<B>,
    proven: Proven,
) -> Result<Request<VerifiedBody<B>>, Response<Full<Bytes>>> {
    let Proven { key, chunks, .. } = proven;
    let (mut head, body) = request.into_parts();
    match checked(&mut head, body, key.payload(), chunks) {
        Ok(body) => {
            head.extensions.insert(key);
            Ok(Request::from_parts(head, body))
        }
        Err(refusal) => Err(refusal.render(&Asked::new(&head.method, &head.uri))),
    }
}

/// The body as what was declared of it; its head becomes that of the payload.
fn checked<B: Body<Data = Bytes>>(
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
    // What most requests are has nothing to be taken away or checked.
    if head.method == Method::GET && body.is_end_stream() && payload.is_of_nothing() {
        return Ok(VerifiedBody::plain(body));
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

/// The checksum of the payload that the head tells, if it does.
fn checksum(head: &Parts) -> Result<Option<Checksum>, Refusal> {
    // With other methods it may be that of what was sent before.
    if head.method != Method::PUT {
        return Ok(None);
    }
    Checksum::of_headers(&head.headers).map_err(|_| {
        let message = "The request must have one valid x-amz-checksum- header at the most.";
        Refusal::new(S3ErrorCode::InvalidRequest, message)
    })
}

/// What takes the body out of its chunks, if it comes in chunks. `key` is the one that
/// the head was signed with.
pub(super) fn chunks(
    headers: &HeaderMap,
    signed: &SignedRequest<'_>,
    key: Option<Arc<SigningKey>>,
) -> Result<Option<Box<ChunkDecoder>>, Refusal> {
    let payload = match signed {
        SignedRequest::V2(request) => request.payload(),
        SignedRequest::V4(request) => request.payload(),
    };
    let Payload::Streaming(streaming) = payload else { return Ok(None) };
    if streaming == Streaming::UnsignedTrailer {
        return unsigned_chunks(headers);
    }
    let length = decoded_length(headers)?;
    let decoder = match (signed, key) {
        (SignedRequest::V4(request), Some(key)) => {
            let seed = request.signature().ok_or_else(Refusal::wrong_signature)?;
            ChunkDecoder::signed(key, request.timestamp(), request.scope_text(), seed, length)
        }
        // Such a request of version 2 does not parse.
        _ => return Err(Refusal::wrong_signature()),
    };
    with_trailers(decoder, headers, streaming != Streaming::Signed)
}

fn unsigned_chunks(headers: &HeaderMap) -> Result<Option<Box<ChunkDecoder>>, Refusal> {
    with_trailers(ChunkDecoder::unsigned(decoded_length(headers)?), headers, true)
}

fn with_trailers(
    decoder: ChunkDecoder,
    headers: &HeaderMap,
    has_trailers: bool,
) -> Result<Option<Box<ChunkDecoder>>, Refusal> {
    if !has_trailers {
        return Ok(Some(Box::new(decoder)));
    }
    let decoder = decoder.with_trailers(announced(headers)?).map_err(PayloadErrorKind::from)?;
    Ok(Some(Box::new(decoder)))
}

/// How long the payload is that comes in chunks.
fn decoded_length(headers: &HeaderMap) -> Result<u64, Refusal> {
    let mut values = headers.get_all(DECODED_LENGTH).iter();
    let (value, more) = (values.next(), values.next());
    let text = value.filter(|_| more.is_none()).and_then(|value| value.to_str().ok());
    let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let message = "You must provide the x-amz-decoded-content-length header.";
        Refusal::new(S3ErrorCode::MissingContentLength, message)
    })
}

/// Takes `aws-chunked` out of the content's codings: the app will not see it. Some
/// clients name it for a body without chunks too.
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

/// The trailers that are announced; none, if there is no such header.
fn announced(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(TRAILER).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(""),
        (Some(value), None) if value.to_str().is_ok() => Ok(value.to_str().unwrap_or_default()),
        _ => Err(Refusal::from(PayloadErrorKind::from(ChunkedError::UnsupportedTrailer))),
    }
}
