//! The headers of a body in chunks.

use http::{HeaderMap, HeaderName};

use super::{payload_error::PayloadErrorKind, refusal::Refusal};
use crate::signature::{
    ChunkChain, ChunkDecoder, ChunkedError,
    request::{Payload, S3ErrorCode, Streaming},
};

const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");
const TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");

/// Returns the decoder of the body, if the body is in chunks. Signed chunks need a chain.
pub(super) fn decoder(
    headers: &HeaderMap,
    payload: Payload,
    chain: Option<Box<ChunkChain>>,
) -> Result<Option<Box<ChunkDecoder>>, Refusal> {
    let Payload::Streaming(streaming) = payload else { return Ok(None) };
    if streaming != Streaming::UnsignedTrailer && chain.is_none() {
        // The chunks are signed and the head is not.
        return Err(Refusal::anonymous());
    }
    let decoder = ChunkDecoder::unsigned(decoded_length(headers)?).with_chain(chain);
    if streaming == Streaming::Signed {
        return Ok(Some(Box::new(decoder)));
    }
    let decoder = decoder.with_trailers(announced(headers)?).map_err(PayloadErrorKind::from)?;
    Ok(Some(Box::new(decoder)))
}

/// Returns the length of a payload in chunks.
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

/// Returns the announced trailers. Empty without the header.
fn announced(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(TRAILER).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(""),
        (Some(value), None) if value.to_str().is_ok() => Ok(value.to_str().unwrap_or_default()),
        _ => Err(Refusal::from(PayloadErrorKind::from(ChunkedError::UnsupportedTrailer))),
    }
}
