//! Session tokens. The input is the claims of a token, or a whole token.
//!
//! Parsing never panics. Nobody makes a token without the secret of its parent, and claims that
//! parse have the same meaning when they are written again.

#![no_main]

use data_encoding::BASE64URL_NOPAD;
use libfuzzer_sys::fuzz_target;
use tower_credentials::fuzzing;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = fuzzing::session(text);
    }
    let code = BASE64URL_NOPAD.encode(&[7; 32]);
    let token = format!("tc1.{}.{code}", BASE64URL_NOPAD.encode(data));
    if let Some((session, is_same)) = fuzzing::session(&token) {
        assert!(is_same);
        assert!(session.access_key().as_str().starts_with("ASIA"));
    }
});
