//! Compares decoding a signed chunked payload with SHA-256 of the same bytes, in alternation.
//!
//! `cargo bench --bench chunked`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{hint::black_box, sync::Arc, time::Instant};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use test_support::bench;
use tower_credentials::{
    domain::SecretKey,
    signature::{ChunkDecoder, CredentialScope, SigningKey},
};

const PAYLOAD: usize = 32 << 20;
const ROUNDS: usize = 15;

const TIME: &str = "20260102T030405Z";
const SCOPE: &str = "20260102/us-east-1/s3/aws4_request";
const SEED: [u8; 32] = [7; 32];

fn main() {
    let scope = CredentialScope::parse(SCOPE).unwrap();
    let secret = SecretKey::from_stored("0f1e2d3c4b5a69788796a5b4c3d2e1f0");
    let key = Arc::new(SigningKey::derive(&secret, &scope));
    let payload: Vec<u8> = (0..PAYLOAD).map(|at| (at % 251).to_le_bytes()[0]).collect();
    println!("chunks     frames     SHA-256     decoder    ratio   bar: at least 0.80");
    for chunk in [64 << 10, 1 << 20] {
        let wire = encode(&payload, chunk, &key);
        for frame in [16 << 10, 64 << 10] {
            let (mut rates, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
            for round in 0..=ROUNDS {
                let of_hash = mebibytes_a_second(|| hash(&payload, frame));
                let of_decoder = mebibytes_a_second(|| decode(&wire, frame, &key));
                if round > 0 {
                    rates[0].push(of_hash);
                    rates[1].push(of_decoder);
                    ratios.push(of_decoder / of_hash);
                }
            }
            let [of_hash, of_decoder] = rates.map(bench::median);
            let ratio = bench::median(ratios);
            println!(
                "{:>4} KiB   {:>4} KiB   {of_hash:>5.0} MiB/s   {of_decoder:>5.0} MiB/s   {ratio:.2}",
                chunk >> 10,
                frame >> 10,
            );
        }
    }
}

fn hash(payload: &[u8], frame: usize) {
    let mut digest = Sha256::new();
    for frame in payload.chunks(frame) {
        digest.update(frame);
    }
    black_box(digest.finalize());
}

fn decode(wire: &Bytes, frame: usize, key: &Arc<SigningKey>) {
    let mut decoder = ChunkDecoder::signed(Arc::clone(key), TIME, SCOPE, &SEED, PAYLOAD as u64);
    let (mut wire, mut size) = (wire.clone(), 0);
    while !wire.is_empty() {
        let mut input = wire.split_to(frame.min(wire.len()));
        while let Some(piece) = decoder.decode(&mut input).unwrap() {
            size += black_box(piece).len();
        }
    }
    let (last, _) = decoder.finish().unwrap();
    assert_eq!(size + last.len(), PAYLOAD);
}

fn encode(payload: &[u8], size: usize, key: &SigningKey) -> Bytes {
    let mut previous = HEXLOWER.encode(&SEED);
    let mut wire = Vec::new();
    for chunk in payload.chunks(size).chain([&b""[..]]) {
        let [none, hashed] = [b"", chunk].map(|part| HEXLOWER.encode(&Sha256::digest(part)));
        let text =
            format!("AWS4-HMAC-SHA256-PAYLOAD\n{TIME}\n{SCOPE}\n{previous}\n{none}\n{hashed}");
        previous = HEXLOWER.encode(&key.sign(text.as_bytes()));
        wire.extend(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).bytes());
        wire.extend(chunk);
        wire.extend(b"\r\n");
    }
    wire.into()
}

#[allow(clippy::cast_precision_loss, reason = "sizes of a bench")]
fn mebibytes_a_second(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    (PAYLOAD >> 20) as f64 / started.elapsed().as_secs_f64()
}
