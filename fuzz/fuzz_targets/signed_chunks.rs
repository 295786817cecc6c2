//! Signed chunks with one changed byte. The first byte is the length of the chunks, the second
//! the length of the pieces, the next two are the position of the change, and one its value.
//!
//! Decoding never panics. It returns the signed payload or an error.

#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use tower_credentials::{
    domain::SecretKey,
    signature::{ChunkDecoder, ChunkedError, CredentialScope, SigningKey},
};

const TIME: &str = "20260102T030405Z";
const SCOPE: &str = "20260102/us-east-1/s3/aws4_request";
const SEED: [u8; 32] = [7; 32];

fuzz_target!(|data: &[u8]| {
    let [chunk, piece, high, low, to, payload @ ..] = data else { return };
    let scope = CredentialScope::parse(SCOPE).expect("a scope");
    let key = Arc::new(SigningKey::derive(&SecretKey::from_stored("secret"), &scope));
    let mut body = sign(&key, payload, usize::from(*chunk).max(1));
    let piece = usize::from(*piece).max(1);
    let whole = decode(&key, &body, piece, payload.len());
    assert_eq!(whole.as_deref(), Ok(payload));
    let at = (usize::from(*high) << 8 | usize::from(*low)) % body.len();
    body[at] = *to;
    if let Ok(decoded) = decode(&key, &body, piece, payload.len()) {
        assert_eq!(decoded, payload);
    }
});

fn sign(key: &SigningKey, payload: &[u8], size: usize) -> Vec<u8> {
    let (mut body, mut previous) = (Vec::new(), HEXLOWER.encode(&SEED));
    let hash = |bytes: &[u8]| HEXLOWER.encode(&Sha256::digest(bytes));
    for chunk in payload.chunks(size).chain([&b""[..]]) {
        let (nothing, hashed) = (hash(b""), hash(chunk));
        let text =
            format!("AWS4-HMAC-SHA256-PAYLOAD\n{TIME}\n{SCOPE}\n{previous}\n{nothing}\n{hashed}");
        previous = HEXLOWER.encode(&key.sign(text.as_bytes()));
        body.extend(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).bytes());
        body.extend(chunk);
        body.extend(b"\r\n");
    }
    body
}

fn decode(
    key: &Arc<SigningKey>,
    body: &[u8],
    piece: usize,
    length: usize,
) -> Result<Vec<u8>, ChunkedError> {
    let mut decoder = ChunkDecoder::signed(Arc::clone(key), TIME, SCOPE, &SEED, length as u64);
    let mut payload = Vec::new();
    for piece in body.chunks(piece) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(data) = decoder.decode(&mut piece)? {
            payload.extend_from_slice(&data);
        }
    }
    let (last, _) = decoder.finish()?;
    payload.extend_from_slice(&last);
    Ok(payload)
}
