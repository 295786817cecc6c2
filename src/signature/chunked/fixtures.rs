//! Payloads in chunks as clients send them, made with the hash crates only.

use std::sync::Arc;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{ChunkDecoder, ChunkedError};
use crate::{
    domain::SecretKey,
    signature::{CredentialScope, SigningKey},
};

pub(crate) const TIME: &str = "20130524T000000Z";
pub(crate) const SCOPE: &str = "20130524/us-east-1/s3/aws4_request";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
pub(crate) const SEED: [u8; 32] = [7; 32];

/// CRC-32 of `123456789`.
pub(crate) const OF_DIGITS: &str = "x-amz-checksum-crc32:y/Q5Jg==";

/// How a client writes trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Like the SDKs of AWS.
    Aws,
    /// Like the SDKs of MinIO.
    MinIo,
}

/// A body of these chunks and the last, empty one.
pub(crate) fn signed(chunks: &[&[u8]], trailer: Option<(&str, Form)>) -> Vec<u8> {
    let mut signer = Signer(HEXLOWER.encode(&SEED));
    let mut body = Vec::new();
    for chunk in chunks.iter().copied().chain([&b""[..]]) {
        let signature = signer.chunk(chunk);
        body.extend(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).bytes());
        body.extend(chunk);
        if !chunk.is_empty() {
            body.extend(b"\r\n");
        }
    }
    body.extend(
        match trailer {
            None => "\r\n".to_owned(),
            Some((trailer, form)) => {
                let line = if trailer.is_empty() { String::new() } else { format!("{trailer}\n") };
                let signature =
                    format!("x-amz-trailer-signature:{}\r\n\r\n", signer.trailers(&line));
                match form {
                    Form::Aws => format!("{}{signature}", line.replace('\n', "\r\n")),
                    Form::MinIo => format!("{line}\r\n{signature}"),
                }
            }
        }
        .bytes(),
    );
    body
}

/// The same without signatures.
pub(crate) fn unsigned(chunks: &[&[u8]], trailer: &str, form: Form) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks {
        // As the SDK for Rust writes it.
        body.extend(format!("{:X}\r\n", chunk.len()).bytes());
        body.extend(*chunk);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\n");
    body.extend(
        match form {
            _ if trailer.is_empty() => "\r\n".to_owned(),
            Form::Aws => format!("{trailer}\r\n\r\n"),
            Form::MinIo => format!("{trailer}\n\r\n\r\n"),
        }
        .bytes(),
    );
    body
}

pub(crate) fn decoder(length: usize) -> ChunkDecoder {
    let scope = CredentialScope::parse(SCOPE).unwrap();
    let key = Arc::new(SigningKey::derive(&SecretKey::from_stored(SECRET), &scope));
    ChunkDecoder::signed(key, TIME, SCOPE, &SEED, length as u64)
}

/// Decodes a body that arrives in pieces of this size. Returns the payload, and the trailers as
/// text.
pub(crate) fn decode(
    mut decoder: ChunkDecoder,
    body: &[u8],
    size: usize,
) -> Result<(Vec<u8>, String), ChunkedError> {
    let mut payload = Vec::new();
    for piece in body.chunks(size) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(data) = decoder.decode(&mut piece)? {
            assert!(!data.is_empty());
            payload.extend(data);
        }
        assert!(piece.is_empty());
    }
    let (last, trailers) = decoder.finish()?;
    payload.extend(last);
    let trailers =
        trailers.iter().map(|(name, value)| format!("{name}:{}", value.to_str().unwrap()));
    Ok((payload, trailers.collect()))
}

/// The previous signature.
struct Signer(String);

impl Signer {
    fn chunk(&mut self, data: &[u8]) -> String {
        let hashed = HEXLOWER.encode(&Sha256::digest(data));
        self.0 = sign(&format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{TIME}\n{SCOPE}\n{}\n{EMPTY}\n{hashed}",
            self.0
        ));
        self.0.clone()
    }

    fn trailers(&self, text: &str) -> String {
        let hashed = HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
        sign(&format!("AWS4-HMAC-SHA256-TRAILER\n{TIME}\n{SCOPE}\n{}\n{hashed}", self.0))
    }
}

fn sign(text: &str) -> String {
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in SCOPE.split('/').chain([text]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    HEXLOWER.encode(&key)
}
