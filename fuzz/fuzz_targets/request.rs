//! Signed requests. The first line is the target, the others are headers.
//!
//! Parsing and verifying never panic. A canonical request starts with the method and path that
//! were sent.

#![no_main]

use http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use tower_credentials::{
    domain::SecretKey,
    signature::{
        SigningKey,
        request::{RequestHead, SignedRequest},
    },
};

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let Ok(mut request) = Request::get(target).body(()) else { return };
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    let head = RequestHead::from(&request);
    let Ok(Some(signed)) = SignedRequest::parse(head) else { return };
    let secret = SecretKey::from_stored("secret");
    match signed {
        SignedRequest::V2(signed) => {
            if let Ok(text) = signed.string_to_sign(Some("bucket")) {
                assert!(text.starts_with(b"GET\n"));
            }
            let _ = signed.verify(&secret, None);
        }
        SignedRequest::V4(signed) => {
            let key = SigningKey::derive(&secret, &signed.scope());
            let canonical = signed.canonical_request();
            assert_eq!(canonical.is_ok(), signed.verify(&key).is_ok());
            if let Ok(canonical) = canonical {
                assert!(canonical.starts_with(b"GET\n/"));
                let names = signed.signed_headers();
                assert!(names.split(';').any(|name| name == "host"));
            }
        }
        _ => {}
    }
});
