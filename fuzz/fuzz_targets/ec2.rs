//! EC2-style requests. The lines are signature, verb, host, path and hash of the body, then
//! headers with a colon, and parameters with an equals sign.
//!
//! Preparing never panics. The result names the access key that was sent, and does not depend on
//! the case of header names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_credentials::{
    domain::{AccessKey, SecretKey},
    signature::Ec2TokensRequest,
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let mut next = || lines.next().filter(|line| !line.is_empty()).map(ToOwned::to_owned);
    let (signature, verb, host) = (next().unwrap_or_default(), next(), next());
    let (path, body_hash) = (next(), next());
    let access = AccessKey::from_stored("access");
    let mut request = Ec2TokensRequest::new(access.clone(), signature);
    (request.verb, request.host, request.path, request.body_hash) = (verb, host, path, body_hash);
    for line in lines {
        if let Some((name, value)) = line.split_once(':') {
            request.headers.insert(name.into(), value.into());
        } else if let Some((name, value)) = line.split_once('=') {
            request.params.insert(name.into(), value.into());
        }
    }
    let mut lower = request.clone();
    lower.headers = lower.headers.into_iter().map(|(n, v)| (n.to_ascii_lowercase(), v)).collect();
    let same = lower.headers.len() == request.headers.len();
    let Ok(signed) = request.prepare() else { return };
    assert_eq!(signed.access(), &access);
    let secret = SecretKey::from_stored("secret");
    let verified = signed.verify(&secret);
    if same {
        let lower = lower.prepare().expect("header names match in any case");
        assert_eq!(lower.freshness(), signed.freshness());
        assert_eq!(lower.verify(&secret), verified);
    }
});
