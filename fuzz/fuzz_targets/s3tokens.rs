//! Requests of `s3tokens`: a token and a signature, each on a line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_credentials::{
    domain::{AccessKey, SecretKey},
    signature::S3TokensRequest,
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (token, signature) = text.split_once('\n').unwrap_or((text, ""));
    let access = AccessKey::from_stored("access");
    if let Ok(request) = S3TokensRequest::parse(access, token, signature) {
        let _ = request.freshness();
        let _ = request.verify(&SecretKey::from_stored("secret"));
    }
});
